import copy
import math

import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import CRDLoss
from skd_mm.memories import ContrastMemory, contrast
from tests.two_processes import run_two_processes

CLASSES = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
ALL = torch.ones(3, dtype=torch.bool)


def embeddings(count, dim=4):
    return F.normalize(torch.randn(count, dim), dim=1), F.normalize(torch.randn(count, dim), dim=1)


def seen(negatives=6, **kwargs):
    """A memory of ten images of three classes, all of which came once."""
    memory = ContrastMemory(10, dim=4, negatives=negatives, **kwargs)
    memory(*embeddings(10), torch.arange(10), CLASSES)
    return memory


def rows_of(odds, memory, embedding, bank):
    """Which rows the log-odds of one sample came from: every row's log-odds, compared."""
    every = bank @ embedding / memory.temperature
    return [int((every - value).abs().argmin()) for value in odds]


def test_compares_with_the_own_row_and_with_rows_of_other_classes():
    memory = seen()
    before, index = copy.deepcopy(memory), torch.tensor([4, 0, 9])
    student, teacher = embeddings(3)
    odds = memory(student, teacher, index, CLASSES[index])
    for side, (values, embedding, bank) in enumerate(
            zip(odds, (student, teacher), (before.teacher, before.student), strict=True)):
        scores = values + before.log_mean[side] + math.log(6)
        for i in range(3):
            rows = rows_of(scores[i], memory, embedding[i], bank)
            assert rows[0] == index[i]
            assert all(CLASSES[row] != CLASSES[index[i]] for row in rows[1:])
            torch.testing.assert_close(scores[i], bank[rows] @ embedding[i] / 0.07)
    # Both sides are compared with the same images.
    assert rows_of(odds[0][0] + before.log_mean[0] + math.log(6), memory, student[0], before.teacher) == rows_of(
        odds[1][0] + before.log_mean[1] + math.log(6), memory, teacher[0], before.student)


def test_every_row_of_another_class_is_drawn_alike():
    memory = seen(negatives=70000)
    counts = memory._draw(torch.tensor([1, 2]), ALL[:2])
    for label, drawn in zip((1, 2), counts, strict=True):
        frequency = torch.bincount(drawn, minlength=10) / 70000
        others = label != CLASSES
        assert not frequency[~others].any()
        torch.testing.assert_close(frequency[others], torch.full_like(frequency[others], 1 / others.sum()), rtol=.04,
                                   atol=0)


def test_rows_not_yet_seen_are_drawn_until_an_image_comes_again():
    memory = ContrastMemory(10, dim=4, negatives=500)
    index = torch.arange(5)
    memory(*embeddings(5), index, CLASSES[:5])
    assert not memory.complete and set(memory._draw(torch.tensor([0]), ALL[:1])[0].tolist()) == {3, 4, 5, 6, 7, 8, 9}
    memory(*embeddings(2), index[:2], CLASSES[:2])
    assert memory.complete and set(memory._draw(torch.tensor([0]), ALL[:1])[0].tolist()) == {3, 4}
    assert set(memory._draw(torch.tensor([2]), ALL[:1])[0].tolist()) == {0, 1, 2, 3, 4}


def test_rows_move_by_the_momentum_and_keep_length_one():
    memory = seen(momentum=0.25)
    before, index = copy.deepcopy(memory), torch.tensor([7, 2])
    student, teacher = embeddings(2)
    memory(student, teacher, index, CLASSES[index])
    for name, embedding in (('student', student), ('teacher', teacher)):
        expected = getattr(before, name).clone()
        expected[index] = F.normalize(0.25 * expected[index] + 0.75 * embedding, dim=1)
        torch.testing.assert_close(getattr(memory, name), expected)


def test_rows_start_with_length_one_on_average():
    memory = ContrastMemory(3000, dim=16)
    for bank in (memory.student, memory.teacher):
        torch.testing.assert_close(bank.square().sum(1).mean(), torch.tensor(1.), rtol=0.02, atol=0)
        assert bank.abs().max() <= math.sqrt(3 / 16)


def test_z_is_the_mean_of_the_first_batch_and_stays():
    memory = ContrastMemory(10, dim=4, negatives=6)
    before = copy.deepcopy(memory)
    student, teacher = embeddings(3)
    odds = memory(student, teacher, torch.arange(3), CLASSES[:3])
    z = memory.log_mean.clone()
    for side in (0, 1):
        scores = odds[side] + z[side] + math.log(6)
        torch.testing.assert_close(scores.exp().mean().log(), z[side])
    # The scores are those before the batch was remembered.
    torch.testing.assert_close(odds[0][:, 0] + z[0] + math.log(6), (student * before.teacher[:3]).sum(1) / 0.07)
    memory(*embeddings(3), torch.arange(3, 6), CLASSES[3:6])
    assert torch.equal(memory.log_mean, z)


def test_gradients_are_those_of_the_rows_as_they_were():
    memory = seen()
    before, index = copy.deepcopy(memory), torch.tensor([4, 0, 9])
    student, teacher = (side.requires_grad_() for side in embeddings(3))
    state = torch.get_rng_state()
    CRDLoss()(*memory(student, teacher, index, CLASSES[index])).backward()
    assert not torch.equal(memory.student, before.student)
    torch.set_rng_state(state)
    drawn = torch.cat([index[:, None], before._draw(CLASSES[index], ALL[:3])], 1)
    # The formula, with everything written out, on the memory as it was.
    one, other = (side.detach().clone().requires_grad_() for side in (student, teacher))
    total = 0
    for k, (side, bank) in enumerate(((one, before.teacher), (other, before.student))):
        for i in range(3):
            x = bank[drawn[i]] @ side[i] / 0.07 - before.log_mean[k] - math.log(6)
            total = total - torch.log(torch.sigmoid(x[0])) - torch.log(1 - torch.sigmoid(x[1:])).sum()
    (total / 3).backward()
    torch.testing.assert_close(student.grad, one.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(teacher.grad, other.grad, rtol=1e-3, atol=1e-4)


def test_only_the_chosen_samples_are_remembered():
    memory = seen()
    before, chosen = copy.deepcopy(memory), torch.tensor([True, False, True])
    student, teacher = embeddings(3)
    index = torch.tensor([4, 0, 9])
    memory(student[chosen], teacher[chosen], index[chosen], CLASSES[index[chosen]])
    changed = (memory.student != before.student).any(1)
    assert changed.nonzero().flatten().tolist() == [4, 9]


def test_only_the_selected_samples_are_remembered_and_count():
    """With a mask the odds and the state are those of the selected samples alone."""
    one = seen()
    other, index, selected = copy.deepcopy(one), torch.tensor([4, 9, 0, 1]), torch.tensor([True, True, False, False])
    student, teacher = embeddings(4)
    torch.manual_seed(1)
    odds = one(student, teacher, index, CLASSES[index], selected)
    torch.manual_seed(1)
    expected = other(student[:2], teacher[:2], index[:2], CLASSES[index[:2]])
    for side, expected_side in zip(odds, expected, strict=True):
        torch.testing.assert_close(side[:2], expected_side)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_mask_counts_in_z_and_in_what_came_before():
    one = ContrastMemory(10, dim=4, negatives=6)
    one.labels[8:] = torch.tensor([0, 2])
    other = copy.deepcopy(one)
    index, nothing = torch.tensor([4, 9, 8]), torch.zeros(3, dtype=torch.bool)
    student, teacher = embeddings(3)
    one(student, teacher, index, torch.tensor([-5, 0, 0]), nothing)  # a label of a sample that does not count
    assert one.log_mean.isnan().all() and not one.complete and one.labels.tolist() == [-1] * 8 + [0, 2]
    for _ in range(2):
        torch.manual_seed(1)
        one(student, teacher, index, CLASSES[index], torch.tensor([True, False, False]))
        torch.manual_seed(1)
        other(student[:1], teacher[:1], index[:1], CLASSES[index[:1]])
    assert one.complete
    torch.testing.assert_close(one.state_dict(), other.state_dict())


def test_a_batch_of_which_nothing_is_selected_may_be_of_the_only_class():
    memory, index = ContrastMemory(10, dim=4, negatives=6), torch.arange(3)
    for selected in (None, torch.zeros(3, dtype=torch.bool)):
        memory(*embeddings(3), index, torch.zeros(3, dtype=torch.long), selected)
        memory.complete.fill_(True)


def test_z_is_known_after_loading_a_state_without_it():
    memory = seen()
    memory.load_state_dict(ContrastMemory(10, dim=4, negatives=6).state_dict())
    memory(*embeddings(3), torch.arange(3), CLASSES[:3])
    assert memory.log_mean.isfinite().all()


@pytest.mark.parametrize('index_is_cheaper', [True, False])
def test_rows_change_in_place_and_the_backward_pass_has_those_before(monkeypatch, index_is_cheaper):
    monkeypatch.setattr(contrast, '_index_is_cheaper', lambda rows, bank: index_is_cheaper)
    memory = seen()
    places = [memory.student.data_ptr(), memory.teacher.data_ptr()]
    before, index = copy.deepcopy(memory), torch.tensor([4, 0, 9])
    student, teacher = (side.requires_grad_() for side in embeddings(3))
    torch.manual_seed(3)
    odds = memory(student, teacher, index, CLASSES[index])
    after = copy.deepcopy(memory.state_dict())
    torch.manual_seed(3)
    rows = torch.cat([index[:, None], before._draw(CLASSES[index], ALL)], dim=1)
    weights = [torch.randn(3, 7) for _ in range(2)]
    loss = sum((side * weight).sum() for side, weight in zip(odds, weights, strict=True))
    for _ in range(2):
        gradients = torch.autograd.grad(loss, (student, teacher), retain_graph=True)
        for gradient, weight, bank in zip(gradients, weights, (before.teacher, before.student), strict=True):
            torch.testing.assert_close(gradient, torch.einsum('br,brd->bd', weight, bank[rows]) / 0.07)
    assert [memory.student.data_ptr(), memory.teacher.data_ptr()] == places
    assert all(torch.equal(value, after[name]) for name, value in memory.state_dict().items())
    memory(*embeddings(3), index, CLASSES[index])
    with pytest.raises(RuntimeError, match='written to by another step'):
        loss.backward()


def test_copies_rows_where_that_moves_less_memory():
    rows = torch.zeros(8, 4097, dtype=torch.long)
    assert contrast._index_is_cheaper(rows, torch.empty(1280000, 128, device='meta'))
    assert not contrast._index_is_cheaper(rows, torch.empty(50000, 128, device='meta'))


def test_an_overflow_is_not_remembered():
    memory = seen()
    before = copy.deepcopy(memory.state_dict())
    student, teacher = embeddings(3)
    student[1] = float('nan')
    memory(student, teacher, torch.arange(3), CLASSES[:3])
    assert torch.equal(memory.student[1], before['student'][1])
    assert not torch.equal(memory.student[0], before['student'][0]) and memory.student.isfinite().all()


def test_no_samples_change_nothing_and_give_a_loss_of_zero():
    memory = ContrastMemory(10, dim=4, negatives=6)
    before = copy.deepcopy(memory.state_dict())
    student = torch.randn(0, 4, requires_grad=True)
    value = CRDLoss()(*memory(student, torch.randn(0, 4), torch.arange(0), torch.arange(0)))
    value.backward()
    assert value == 0 and student.grad is not None
    for name, buffer in memory.state_dict().items():
        torch.testing.assert_close(buffer, before[name], equal_nan=True)


def test_without_labels_each_image_is_its_own_class():
    memory = ContrastMemory(4, dim=4, negatives=200)
    memory(*embeddings(4), torch.arange(4))
    assert memory.labels.tolist() == [0, 1, 2, 3]
    assert set(memory._draw(torch.tensor([2]), ALL[:1])[0].tolist()) == {0, 1, 3}


def test_eval_mode_remembers_nothing_and_is_repeatable():
    memory = seen().eval()
    before = copy.deepcopy(memory.state_dict())
    student, teacher = embeddings(3)
    odds = memory(student, teacher)
    torch.testing.assert_close(odds[0][:, 0] + memory.log_mean[0] + math.log(6), (student * teacher).sum(1) / 0.07)
    torch.testing.assert_close(odds, memory(student, teacher))
    assert [tuple(side.shape) for side in odds] == [(3, 7), (3, 7)]
    for name, buffer in memory.state_dict().items():
        assert torch.equal(buffer, before[name])
    assert all(side.isfinite().all() for side in ContrastMemory(10, dim=4, negatives=6).eval()(student, teacher))


def test_a_run_goes_on_exactly_from_its_state():
    memory = ContrastMemory(10, dim=4, negatives=6)
    for start in (0, 2):  # some images came twice, some not at all
        memory(*embeddings(4), torch.arange(start, start + 4), CLASSES[start:start + 4])
    other = ContrastMemory(10, dim=4, negatives=6)
    other.load_state_dict(copy.deepcopy(memory.state_dict()))
    results = []
    for part in (memory, other):
        torch.manual_seed(1)
        for start in (6, 3, 0):
            index = torch.arange(start, start + 3)
            results.append(part(*embeddings(3), index, CLASSES[index]))
    for one, two in zip(results[:3], results[3:], strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert all(torch.equal(buffer, other.state_dict()[name]) for name, buffer in memory.state_dict().items())


def test_the_defaults_are_those_of_the_table():
    memory = ContrastMemory(20)
    assert (memory.student.shape[1], memory.negatives, memory.temperature, memory.momentum) == (128, 16384, 0.07, 0.5)


def test_computes_in_float32_under_autocast():
    memory = seen()
    student, teacher = embeddings(3)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low = memory.eval()(student, teacher)
    torch.testing.assert_close(low, memory(student, teacher))


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(index=None), 'needs the position'), (dict(index=torch.tensor([3, 10])), 'num_samples=10, but .* number 10'),
    (dict(index=torch.tensor([3, 4]), labels=torch.zeros(2, 8, 8)), 'one class an image'),
    (dict(index=torch.tensor([3, 4]), labels=torch.tensor([-1, 0])), 'counted from 0'),
    (dict(index=torch.tensor([3, 4]), labels=torch.tensor([0, 0])), None)])
def test_refuses_what_it_cannot_use(arguments, message):
    memory = ContrastMemory(10, dim=4, negatives=6)
    if message is None:  # in the second epoch there must be two classes
        memory(*embeddings(2), **arguments)
        message = 'of one class'
    with pytest.raises(ValueError, match=message):
        memory(*embeddings(2), **arguments)


@pytest.mark.parametrize('argument', [dict(num_samples=1), dict(num_samples=9, momentum=1),
                                      dict(num_samples=9, temperature=0), dict(num_samples=9, negatives=0)])
def test_refuses_numbers_that_make_no_sense(argument):
    with pytest.raises(ValueError, match='ContrastMemory needs'):
        ContrastMemory(**argument)


# What each of two processes gives in each step, and which of it is distilled: everything, a part, nothing.
STEPS = [(([0, 5, 6], [1, 2, 3]), ([0, 0, 0], [1, 1, 1])), (([4, 5, 6], [7, 0, 1]), ([1, 1, 1], [1, 0, 0])),
         (([8, 9, 0], [1, 2, 3]), ([1, 1, 0], [0, 0, 0])), (([0, 3, 1], [9, 5, 6]), ([1, 1, 0], [1, 1, 1]))]


def _process(rank, address, queue):
    torch.distributed.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    torch.manual_seed(0)
    memory = ContrastMemory(10, dim=4, negatives=6)
    for parts, chosen in STEPS:
        index = torch.tensor(parts[rank])
        student, teacher = (side[index] for side in embeddings(10))
        torch.manual_seed(rank)
        memory(student, teacher, index, CLASSES[index], torch.tensor(chosen[rank], dtype=torch.bool))
        torch.manual_seed(7 + parts[0][0])
    queue.put((rank, {name: buffer.tolist() for name, buffer in memory.state_dict().items()}))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_the_memories_of_all_processes_are_what_one_would_be(tmp_path):
    states = dict(run_two_processes(_process, tmp_path))
    torch.manual_seed(0)
    memory = ContrastMemory(10, dim=4, negatives=6)
    for parts, chosen in STEPS:
        index = torch.tensor(parts[1] + parts[0])  # Z is from what rank 1 draws in the first step
        student, teacher = (side[index] for side in embeddings(10))
        torch.manual_seed(1)
        memory(student, teacher, index, CLASSES[index], torch.tensor(chosen[1] + chosen[0], dtype=torch.bool))
        torch.manual_seed(7 + parts[0][0])
    assert memory.complete and memory.labels.tolist() == CLASSES.tolist()
    for state in states.values():
        for name, buffer in memory.state_dict().items():
            torch.testing.assert_close(torch.tensor(state[name]), buffer, msg=name)


def test_embeddings_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match=r'has dim=4, and the embeddings are \[5\]'):
        seen().eval()(*embeddings(2, dim=5))
