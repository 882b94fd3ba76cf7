import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import CIRKDLoss, CIRKDMemoryLoss, cirkd
from skd_mm.losses.cirkd import relation_divergence

STUDENT, TEACHER = (5, 3, 3, 2), (5, 4, 3, 2)


def unit(vector):
    return vector / sum(value**2 for value in vector)**0.5


def pixels(feature):
    return [unit(feature[:, y, x]) for y in range(feature.shape[1]) for x in range(feature.shape[2])]


def divergence(scores_s, scores_t):
    p_s, p_t = ([torch.exp(score) for score in scores] for scores in (scores_s, scores_t))
    total_s, total_t = sum(p_s), sum(p_t)
    return sum(t / total_t * torch.log((t / total_t) / (s / total_s)) for s, t in zip(p_s, p_t, strict=True))


def formula(student, teacher, temperature=0.1, pairs='all', pool=lambda feature: feature):
    sides = [[pixels(pool(feature)) for feature in side] for side in (student, teacher)]
    total, count = 0, 0
    for i in range(len(student)):
        for j in range(len(student)) if pairs == 'all' else (i,):
            rows = 0
            for p in range(len(sides[0][i])):
                scores = [[sum(side[i][p] * other) / temperature for other in side[j]] for side in sides]
                rows = rows + divergence(*scores)
            total, count = total + rows / len(sides[0][i]), count + 1
    return total / count


def test_equals_its_formula_and_needs_one_image(relates, agrees):
    relates(CIRKDLoss(), formula, torch.randn(STUDENT).double(), torch.randn(TEACHER).double(), agrees, minimum=1)
    agrees(CIRKDLoss(), formula, torch.randn(1, 3, 3, 2).double(), torch.randn(1, 4, 3, 2).double())


def test_each_image_with_itself(relates, agrees):
    relates(CIRKDLoss(pairs='self', temperature=.5), lambda s, t: formula(s, t, .5, 'self'),
            torch.randn(STUDENT).double(), torch.randn(TEACHER).double(), agrees, minimum=1)


@pytest.mark.parametrize('chunk', [1, 31, 60, 2**20])
def test_chunks_change_nothing(agrees, chunk):
    agrees(CIRKDLoss(chunk=chunk), CIRKDLoss(), torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


def test_the_entries_computed_at_once(monkeypatch):
    entries, compute = [], cirkd._divergence
    monkeypatch.setattr(cirkd, '_divergence', lambda rows, other, keys, *rest: (
        entries.append(len(rows) * len(keys) * keys.shape[1]), compute(rows, other, keys, *rest))[1])
    CIRKDLoss(chunk=100)(torch.randn(STUDENT), torch.randn(TEACHER))
    assert entries == [90, 90] * 5  # rows of 5 · 6 entries


def test_nothing_but_the_pixels_is_kept_for_the_backward_pass():
    student, teacher = torch.randn(4, 3, 8, 8, requires_grad=True), torch.randn(4, 4, 8, 8)
    largest = []
    with torch.autograd.graph.saved_tensors_hooks(lambda part: largest.append(part.numel()) or part, lambda part: part):
        CIRKDLoss(chunk=1024)(student, teacher).backward()
    assert max(largest) <= 1024 < 256**2


def test_pooling_keeps_what_is_left(agrees):

    def pool(feature):
        return torch.stack([torch.stack([feature[:, y:y + 2, x:x + 2].mean((1, 2)) for x in range(0, 2, 2)], 1)
                            for y in range(0, 3, 2)], 1)

    agrees(CIRKDLoss(pool=2), lambda s, t: formula(s, t, pool=pool), torch.randn(STUDENT).double(),
           torch.randn(TEACHER).double())


def test_gradcheck():
    teacher = torch.randn(2, 4, 2, 2).double()
    student = torch.randn(2, 3, 2, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: CIRKDLoss(temperature=1)(s, teacher), student)


def test_a_rotation_of_the_channels_and_the_scale_do_not_matter(gradients):
    student = torch.randn(STUDENT).double()
    basis = torch.linalg.qr(torch.randn(4, 4).double()).Q[:, :3]
    value, (grad, _) = gradients(CIRKDLoss(), student, torch.einsum('dc,bcyx->bdyx', basis, 3 * student))
    assert value.abs() < 1e-12 and grad.abs().max() < 1e-12


def test_keeps_precision(keeps_precision):
    keeps_precision(CIRKDLoss(), torch.randn(STUDENT), torch.randn(TEACHER))


def test_a_dead_pixel_gives_numbers(gradients):
    student, teacher = F.relu(torch.randn(STUDENT)), F.relu(torch.randn(TEACHER))
    student[:, :, 0, 0] = 0
    value, (grad, _) = gradients(CIRKDLoss(), student, teacher)
    assert value.isfinite() and grad.isfinite().all() and grad.abs().max() < 100


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'CIRKDLoss .*PoolToSmaller'):
        CIRKDLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
    with pytest.raises(ValueError, match="CIRKDLoss: `pairs` must be 'all' or 'self', not 'none'"):
        CIRKDLoss(pairs='none')
    for loss, key in ((CIRKDLoss, 'temperature'), (CIRKDLoss, 'pool'), (CIRKDLoss, 'chunk'),
                      (CIRKDMemoryLoss, 'temperature'), (CIRKDMemoryLoss, 'chunk')):
        with pytest.raises(ValueError, match=f'{loss.__name__}: .*`{key}`.* must be positive'):
            loss(**{key: 0})


def remembered(count=5, dim=4):
    """Features of both networks and what they are compared with, as a memory gives them."""
    student, teacher = (F.normalize(torch.randn(count, dim, 3, 2).double(), dim=1) for _ in range(2))
    keys = [F.normalize(torch.randn(1, number, dim).double(), dim=2).expand(count, -1, -1) for number in (7, 4)]
    return (student, *keys), (teacher, *keys)


def labels():
    truth = torch.randint(0, 3, (5, 3, 2))
    truth[0, 0] = 255
    truth[2] = 255
    return truth


def memory_formula(student, teacher, labels=None, pixel=.1, region=.1, temperature=.1):
    total = 0
    for weight, which in ((pixel, 1), (region, 2)):
        values = []
        for b in range(len(student[0])):
            for y in range(3):
                for x in range(2):
                    if labels is None or labels[b, y, x] != 255:
                        scores = [[sum(side[0][b, :, y, x] * key) / temperature for key in side[which][0]]
                                  for side in (student, teacher)]
                        values.append(divergence(*scores))
        total = total + weight * sum(values) / len(values)
    return total


@pytest.mark.parametrize('arguments', [{}, dict(pixel=2, region=.3, temperature=.5)])
def test_memory_loss_equals_its_formula(agrees, arguments):
    (student, *keys), (teacher, *_) = remembered()
    agrees(lambda s, t, labels: CIRKDMemoryLoss(**arguments)((s, *keys), (t, *keys), labels=labels),
           lambda s, t, labels: memory_formula((s, *keys), (t, *keys), labels, **arguments), student, teacher,
           labels=labels())


def test_memory_loss_without_labels_counts_all_pixels():
    student, teacher = remembered()
    expected = memory_formula(student, teacher)
    torch.testing.assert_close(CIRKDMemoryLoss()(student, teacher), expected)
    torch.testing.assert_close(CIRKDMemoryLoss()(student, teacher, labels=torch.zeros(5).long()), expected)
    torch.testing.assert_close(CIRKDMemoryLoss(chunk=20)(student, teacher), expected)


def test_memory_loss_of_selected_images():
    student, teacher = remembered()
    selected, truth = torch.arange(5) < 3, labels()
    expected = memory_formula(*(tuple(part[:3] for part in side) for side in (student, teacher)), truth[:3])
    other = [(side[0].clone().index_fill(0, torch.tensor([3, 4]), float('nan')), *side[1:])
             for side in (student, teacher)]
    torch.testing.assert_close(CIRKDMemoryLoss()(*other, selected, labels=truth), expected)
    assert CIRKDMemoryLoss()(*other, torch.zeros(5).bool(), labels=truth) == 0


def test_memory_loss_without_a_labelled_pixel_is_a_connected_zero(gradients):
    student, teacher = remembered()
    value, grads = gradients(CIRKDMemoryLoss(), student, teacher, labels=torch.full((5, 6, 4), 255))
    assert value == 0 and grads[0] is not None and not grads[0].any()
    other = labels()
    torch.testing.assert_close(CIRKDMemoryLoss(ignore_index=9)(student, teacher, labels=other.where(other != 255, 9)),
                               CIRKDMemoryLoss()(student, teacher, labels=other))


def test_memory_loss_needs_a_memory():
    with pytest.raises(ValueError, match=r'CIRKDMemoryLoss .*ClassQueues.*`memory`'):
        CIRKDMemoryLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4))


def test_divergence_of_rows_to_sets_of_keys():
    rows, keys = torch.randn(3, 4).double(), torch.randn(2, 5, 4).double()
    other_rows, other_keys = torch.randn(3, 6).double(), torch.randn(2, 5, 6).double()
    value = relation_divergence(rows, other_rows, keys, other_keys, 2., 13)
    for i in range(3):
        for j in range(2):
            scores = [[(row[i] * key).sum() / 2 for key in some[j]]
                      for row, some in ((rows, keys), (other_rows, other_keys))]
            torch.testing.assert_close(value[i, j], divergence(*scores))
