import pytest
import torch

from skd_mm.losses import BPKDLoss, CWDLoss
from skd_mm.losses.bpkd import class_edges

SHAPE = (5, 4, 3, 2)


def labels():
    """Of four times the resolution: unlabelled corners, an image without a label, absent classes, a label too high."""
    blocks = torch.randint(0, 3, (5, 6, 4))
    truth = blocks.repeat_interleave(2, 1).repeat_interleave(2, 2)
    truth[0, :3, :5] = 255
    truth[1] = 255
    truth[2, 4:6, 1] = 4
    truth[3] = 2
    return truth


def masks(truth, classes=4, reach=1, size=(3, 2)):
    """Edges of each class, and the labelled share, by windows around each pixel and blocks of pixels."""
    height, width = truth.shape
    edge = torch.zeros(classes, height, width, dtype=torch.float64)
    for k in range(classes):
        for y in range(height):
            for x in range(width):
                window = truth[max(0, y - reach):y + reach + 1, max(0, x - reach):x + reach + 1] == k
                edge[k, y, x] = float(window.any()) - float(window.all())
    high, wide = height // size[0], width // size[1]
    pooled = torch.zeros(classes, *size, dtype=torch.float64)
    share = torch.zeros(size, dtype=torch.float64)
    for y in range(size[0]):
        for x in range(size[1]):
            rows, columns = slice(y * high, (y + 1) * high), slice(x * wide, (x + 1) * wide)
            pooled[:, y, x] = edge[:, rows, columns].sum((1, 2)) / (high * wide)
            share[y, x] = (truth[rows, columns] < classes).double().sum() / (high * wide)
    return pooled, share


def divergence(one, other, temperature):
    """KL of the second from the first, of two lists of scores."""
    p_s, p_t = ([torch.exp(z / temperature) for z in side] for side in (one, other))
    total_s, total_t = sum(p_s), sum(p_t)
    return sum(t / total_t * torch.log((t / total_t) / (s / total_s)) for s, t in zip(p_s, p_t, strict=True))


def formula(student, teacher, labels, edge=50, body=20, alpha=2, temperature=1, reach=1):
    values = []
    for z_s, z_t, truth in zip(student, teacher, labels, strict=True):
        edges, share = masks(truth, reach=reach)
        inner = (1 - edges) * share
        edges = edges * share
        positions = [(y, x) for y in range(3) for x in range(2)]
        at = {(y, x): divergence(z_s[:, y, x] * edges[:, y, x], z_t[:, y, x] * edges[:, y, x], temperature)
              for y, x in positions}
        loss_edge, loss_body = 0, 0
        for k in range(4):
            count = sum(1 for y, x in positions if edges[k, y, x] > 0)
            if count:
                loss_edge = loss_edge + sum(edges[k, y, x] * at[y, x] for y, x in positions) / count
            loss_body = loss_body + divergence((z_s[k] * inner[k]).reshape(-1), (z_t[k] * inner[k]).reshape(-1),
                                               temperature) / 4
        values.append(temperature**2 * (edge * alpha * loss_edge + body * loss_body))
    return torch.stack(values)


@pytest.mark.parametrize('arguments', [{}, dict(edge=3, body=.5, alpha=1, temperature=4), dict(body=0), dict(edge=0)])
def test_equals_its_formula(agrees, arguments):
    agrees(BPKDLoss(kernel_size=3, **arguments), lambda s, t, labels: formula(s, t, labels, **arguments),
           torch.randn(SHAPE).double(), torch.randn(SHAPE).double(), labels=labels())


def test_the_kernel_reaches_three_pixels_by_default(agrees):
    agrees(BPKDLoss(), lambda s, t, labels: formula(s, t, labels, reach=3), torch.randn(SHAPE).double(),
           torch.randn(SHAPE).double(), labels=labels())


def test_edges_of_many_classes_and_of_a_resolution_that_does_not_divide():
    truth = torch.randint(0, 20, (2, 45, 52))
    loss = BPKDLoss(kernel_size=5)
    edges, valid = loss._masks(truth, torch.zeros(2, 20, 6, 7))
    assert edges.shape == (2, 20, 6, 7) and valid.shape == (2, 1, 6, 7) and (valid == 1).all()
    whole = torch.stack([masks(image, 20, 2, (45, 52))[0] for image in truth])
    torch.testing.assert_close(edges.double(), torch.nn.functional.adaptive_avg_pool2d(whole, (6, 7)), rtol=0,
                               atol=1e-6)


def test_an_edge_lies_on_both_sides_and_not_at_the_border():
    members = torch.zeros(1, 1, 6, 8)
    members[..., 4:] = 1
    assert class_edges(members, 3, (6, 8))[0, 0, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert not class_edges(torch.ones(1, 1, 6, 8), 3, (6, 8)).any()


def test_without_labels_it_is_cwd():
    student, teacher = torch.randn(SHAPE), torch.randn(SHAPE)
    expected = 20 * CWDLoss(1)(student, teacher)
    torch.testing.assert_close(BPKDLoss()(student, teacher), expected)
    torch.testing.assert_close(BPKDLoss()(student, teacher, labels=torch.zeros(5).long()), expected)
    # One class everywhere has no edge either.
    torch.testing.assert_close(BPKDLoss()(student, teacher, labels=torch.full((5, 12, 8), 2)), expected)


def test_an_image_without_a_label_is_zero(gradients):
    student, teacher = torch.randn(SHAPE), torch.randn(SHAPE)
    value, (grad, _) = gradients(BPKDLoss(), student, teacher, labels=labels())
    assert value[1] == 0 and not grad[1].any() and grad.isfinite().all() and (value[[0, 2, 3, 4]] > 0).all()


def test_another_ignored_label():
    student, teacher, truth = torch.randn(SHAPE), torch.randn(SHAPE), labels()
    expected = BPKDLoss()(student, teacher, labels=truth.where(truth != 1, 255))
    torch.testing.assert_close(BPKDLoss(ignore_index=1)(student, teacher, labels=truth), expected)


def test_a_rare_class_weighs_as_much_as_a_frequent_one():
    student, teacher = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8) * torch.tensor([1., 0, 0]).view(3, 1, 1)
    truth = torch.zeros(1, 8, 8).long()
    truth[0, 0, 0] = 2
    one = BPKDLoss(body=0, kernel_size=3)(student, teacher, labels=truth)
    truth[0, 0, 0:8] = 2
    many = BPKDLoss(body=0, kernel_size=3)(student, teacher, labels=truth)
    torch.testing.assert_close(one, many)


def test_decomposes_by_sample(decomposes):
    decomposes(BPKDLoss(), torch.randn(SHAPE).double(), torch.randn(SHAPE).double(), labels=labels())


def test_keeps_precision(keeps_precision):
    keeps_precision(BPKDLoss(), 10 * torch.randn(SHAPE), 10 * torch.randn(SHAPE), labels=labels())


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'BPKDLoss .*PoolToSmaller'):
        BPKDLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
    for key, value in (('temperature', 0), ('kernel_size', 4), ('kernel_size', -1)):
        with pytest.raises(ValueError, match=f'BPKDLoss: `{key}`'):
            BPKDLoss(**{key: value})
