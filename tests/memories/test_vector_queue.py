import copy

import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import QueueKDLoss
from skd_mm.memories import VectorQueue
from tests.two_processes import run_two_processes

DIM = 4


def batch(count=3):
    return torch.randn(count, DIM), torch.randn(count, DIM)



def test_holds_the_last_vectors_of_the_teacher():
    queue, expected = VectorQueue(DIM, slots=7), []
    for _ in range(5):
        student, teacher = batch()
        mine, theirs = queue(student, teacher)
        expected += F.normalize(teacher, dim=1)
        torch.testing.assert_close(mine[0], F.normalize(student, dim=1))
        torch.testing.assert_close(theirs[0], F.normalize(teacher, dim=1))
        for side in (mine, theirs):
            assert side[1].shape == (3, 7, DIM) and side[2].shape == (3, 7)
            found = side[1][2][side[2][2]]
            # Those of this batch are among them, and the order does not matter.
            key = found[:, 0].argsort()
            last = torch.stack(expected[-7:])
            torch.testing.assert_close(found[key], last[last[:, 0].argsort()])
    assert queue.written == 15


def test_eval_mode_remembers_nothing():
    queue = VectorQueue(DIM, slots=7)
    queue(*batch())
    before = copy.deepcopy(queue.state_dict())
    queue.eval()(*batch())
    assert all(torch.equal(part, before[name]) for name, part in queue.state_dict().items())
    assert queue(*batch())[0][2].sum(1).tolist() == [3, 3, 3]


def test_only_what_is_selected_and_finite_is_remembered():
    queue, other = VectorQueue(DIM, slots=7), VectorQueue(DIM, slots=7)
    for _ in range(4):
        student, teacher = batch(5)
        teacher[1, 2] = float('inf')
        queue(student, teacher, selected=torch.tensor([True, True, False, True, False]))
        other(student[[0, 3]], teacher[[0, 3]])
    assert all(torch.equal(part, other.state_dict()[name]) for name, part in queue.state_dict().items())
    assert queue.written == 8 and queue.vectors.isfinite().all()


def test_only_the_student_has_a_gradient_and_a_later_step_does_not_change_it():
    queue = VectorQueue(DIM, slots=7)
    student, teacher = batch()
    losses = []
    for _ in range(2):
        own = student.clone().requires_grad_()
        losses.append((own, QueueKDLoss()(*queue(own, teacher)).sum()))
    first, other = losses[0][0], VectorQueue(DIM, slots=7)
    losses[0][1].backward()
    alone = student.clone().requires_grad_()
    QueueKDLoss()(*other(alone, teacher)).sum().backward()
    assert first.grad.any() and torch.equal(first.grad, alone.grad)
    assert not any(buffer.requires_grad for buffer in queue.buffers())


def test_a_run_continues_exactly_from_its_state():
    queue = VectorQueue(DIM, slots=7)
    for _ in range(3):
        queue(*batch())
    other = VectorQueue(DIM, slots=7)
    other.load_state_dict(copy.deepcopy(queue.state_dict()))
    for _ in range(3):
        student, teacher = batch()
        torch.testing.assert_close(queue(student, teacher), other(student, teacher), rtol=0, atol=0)
    assert all(torch.equal(part, other.state_dict()[name]) for name, part in queue.state_dict().items())


def test_low_precision():
    queue = VectorQueue(DIM, slots=7)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        student, teacher = (side.bfloat16() for side in batch())
        mine, theirs = queue(student, teacher)
    assert mine[0].dtype == mine[1].dtype == theirs[0].dtype == torch.float32
    torch.testing.assert_close(theirs[1][0, :3], F.normalize(teacher.float(), dim=1))


def test_refuses_what_does_not_fit():
    queue = VectorQueue(DIM, slots=7)
    for shape in ((3, 5), (3, DIM, 2, 2)):
        with pytest.raises(ValueError, match=r'VectorQueue has dim=4, and .*Conv1x1.*GlobalPool'):
            queue(torch.ones(shape), torch.ones(3, DIM))
    with pytest.raises(ValueError, match=r'VectorQueue: `slots` must be at least the batch .*, 8 images, not 7'):
        queue(*batch(8))
    for name in ('dim', 'slots'):
        for value in (0, 2.5, True):
            with pytest.raises(ValueError, match=f'VectorQueue: `{name}` must be a positive whole number, not'):
                VectorQueue(**{**dict(dim=4), name: value})
    assert VectorQueue(DIM).vectors.shape == (8192, DIM)


def _data():
    torch.manual_seed(0)
    return VectorQueue(DIM, slots=7), [batch(4) for _ in range(4)]


def _process(rank, address, results):
    torch.distributed.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    queue, steps = _data()
    part = slice(2 * rank, 2 * rank + 2)
    losses = [QueueKDLoss()(*queue(student[part], teacher[part])).tolist() for student, teacher in steps]
    results.put((rank, losses, {name: buffer.tolist() for name, buffer in queue.state_dict().items()}))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_what_one_would_be(tmp_path):
    found = run_two_processes(_process, tmp_path)
    queue, steps = _data()
    for step, (student, teacher) in enumerate(steps):
        expected = QueueKDLoss()(*queue(student, teacher))
        torch.testing.assert_close(torch.tensor(found[0][1][step] + found[1][1][step]), expected)
    for _, _, state in found:
        for name, buffer in queue.state_dict().items():
            torch.testing.assert_close(torch.tensor(state[name]), buffer, msg=name)
