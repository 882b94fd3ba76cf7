import copy
from unittest import mock

import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import CIRKDMemoryLoss
from skd_mm.memories import ClassQueues
from skd_mm.registry import MEMORIES, build
from tests.two_processes import run_two_processes

CLASSES, DIM, SIZE = 3, 4, (4, 3)


def memory(**kwargs):
    return ClassQueues(**{**dict(num_classes=CLASSES, dim=DIM, pixel_slots=20, region_slots=5, pixel_keys=12,
                                 region_keys=6, pixels_per_image=4), **kwargs})


def batch(count=3, dtype=torch.float32):
    features = [torch.randn(count, DIM, *SIZE, dtype=dtype) for _ in range(2)]
    truth = torch.randint(0, CLASSES, (count, *SIZE))
    truth[0, 0] = 255
    truth[0][truth[0] == 1] = 2  # an absent class
    return *features, truth


class Reference:
    """The authors' algorithm, one image and class after the other, with the same chances."""

    def __init__(self, queues, per_image=4, faulty=False):
        self.pixels, self.regions = queues.pixels.clone(), queues.regions.clone()
        self.slots = [[0] * CLASSES, [0] * CLASSES]
        self.per_image, self.faulty = per_image, faulty

    def remember(self, teacher, labels, chances):
        for feature, truth, chance in zip(teacher, labels, chances, strict=True):
            positions = [F.normalize(vector, dim=0) for vector in feature.flatten(1).t()]
            truth = truth.flatten().tolist()
            for k in range(CLASSES):
                of_class = [p for p, label in enumerate(truth) if label == k]
                if not of_class:
                    continue
                slot = self.slots[0][k]
                mean = sum(positions[p] for p in of_class) / len(of_class)
                self.regions[k, slot] = F.normalize(mean, dim=0)
                self.slots[0][k] = (slot + 1) % self.regions.shape[1]
                drawn = range(len(of_class)) if self.faulty else of_class
                order = sorted(drawn, key=lambda p: -chance[k, p])[:self.per_image]
                slot, size = self.slots[1][k], self.pixels.shape[1]
                if slot + len(order) >= size:
                    slots, self.slots[1][k] = range(size - len(order), size), 0
                else:
                    slots, self.slots[1][k] = range(slot, slot + len(order)), slot + len(order)
                for at, p in zip(slots, order, strict=True):
                    self.pixels[k, at] = positions[p]


def remember(queues, teacher, labels, chances, **kwargs):
    with mock.patch('torch.rand', lambda *shape, **kwargs: chances):
        return queues(teacher, teacher, None, labels, **kwargs)


@pytest.mark.parametrize('faulty', [False, True])
def test_remembers_as_the_authors_algorithm_does(faulty):
    queues = memory(faulty_sampling=faulty)
    reference = Reference(queues, faulty=faulty)
    for step in range(8):  # so that all queues begin again
        _, teacher, truth = batch()
        chances = torch.rand(3, CLASSES, 12)
        remember(queues, teacher, truth, chances)
        reference.remember(teacher, truth, chances)
        torch.testing.assert_close(queues.regions, reference.regions)
        torch.testing.assert_close(queues.pixels, reference.pixels)
        assert [queues.region_slot.tolist(), queues.pixel_slot.tolist()] == reference.slots, step


def test_fewer_positions_than_pixels_per_image():
    queues = memory(pixels_per_image=16)
    reference = Reference(queues, per_image=16)
    _, teacher, truth = batch()
    chances = torch.rand(3, CLASSES, 12)
    remember(queues, teacher, truth, chances)
    reference.remember(teacher, truth, chances)
    torch.testing.assert_close(queues.pixels, reference.pixels)


def test_which_pixels_are_drawn():
    """Channel p of position p is 1, so that a remembered pixel tells where it comes from."""
    teacher = torch.eye(12).reshape(1, 12, 4, 3).expand(200, -1, -1, -1)
    truth = torch.tensor([0, 0, 2, 2, 255, 1, 1, 1, 1, 1, 1, 1]).reshape(1, 4, 3).expand(200, -1, -1)
    for faulty, drawn in ((False, range(5, 12)), (True, range(7))):
        queues = memory(dim=12, pixel_slots=5000, pixel_keys=3, region_keys=3, faulty_sampling=faulty)
        queues(teacher, teacher, None, truth)
        counts = torch.bincount(queues.pixels[1, :800].argmax(1), minlength=12)
        assert queues.pixel_slot.tolist() == [400, 800, 400]
        assert [p for p in range(12) if counts[p]] == list(drawn)
        assert counts[list(drawn)].min() > 80  # each as likely as any other: 114
        assert torch.bincount(queues.pixels[0, :4].argmax(1), minlength=12)[:2].tolist() == [2, 2]


def test_labels_of_another_resolution_are_taken_at_the_nearest_pixel():
    queues = memory()
    other = copy.deepcopy(queues)
    _, teacher, truth = batch()
    chances = torch.rand(3, CLASSES, 12)
    remember(queues, teacher, truth, chances)
    remember(other, teacher, truth.repeat_interleave(4, 1).repeat_interleave(4, 2), chances)
    assert torch.equal(queues.pixels, other.pixels) and torch.equal(queues.regions, other.regions)


def test_what_is_compared_is_of_length_one_and_drawn_after_the_batch_was_remembered():
    queues = memory(pixel_keys=57, region_keys=12)  # all slots
    student, teacher, truth = batch()
    mine, theirs = queues(student, teacher, None, truth)
    torch.testing.assert_close(mine[0], F.normalize(student, dim=1))
    torch.testing.assert_close(theirs[0], F.normalize(teacher, dim=1))
    for side in (mine, theirs):
        assert [tuple(part.shape) for part in side[1:]] == [(3, 60, DIM), (3, 15, DIM)]
        for part, queue in zip(side[1:], (queues.pixels, queues.regions), strict=True):
            assert torch.equal(part[0].sort(0).values, queue.flatten(0, 1).sort(0).values)
            assert torch.equal(part[0], part[2])
    torch.testing.assert_close(mine[1].norm(dim=2), torch.ones(3, 60))


def test_the_same_slots_of_all_classes_are_drawn_and_others_in_every_step():
    queues = memory()
    with torch.no_grad():
        queues.pixels.copy_(torch.arange(20.)[:, None].expand(CLASSES, 20, DIM))
    student, teacher, _ = batch()
    draws = [queues(student, teacher)[0][1][0, :, 0].reshape(CLASSES, 5) for _ in range(2)]
    assert torch.equal(draws[0][0], draws[0][1]) and len(set(draws[0][0].tolist())) == 5
    assert not torch.equal(draws[0], draws[1])


def test_only_the_student_has_a_gradient():
    queues = memory()
    student, teacher, truth = batch()
    student.requires_grad_()
    loss = CIRKDMemoryLoss()
    loss(*queues(student, teacher, None, truth), labels=truth).backward()
    assert student.grad.any() and not student.grad[0, :, 0].any()
    assert not any(buffer.requires_grad for buffer in queues.buffers())


@pytest.mark.parametrize('labels', [None, torch.zeros(3).long(), torch.full((3, *SIZE), 255)])
def test_nothing_is_remembered_without_a_label(labels):
    queues = memory()
    before = copy.deepcopy(queues.state_dict())
    student, teacher, _ = batch()
    assert CIRKDMemoryLoss()(*queues(student, teacher, None, labels)).isfinite()
    assert all(torch.equal(buffer, before[name]) for name, buffer in queues.state_dict().items())


def test_only_selected_images_are_remembered():
    queues = memory()
    other = copy.deepcopy(queues)
    _, teacher, truth = batch()
    chances = torch.rand(3, CLASSES, 12)
    remember(queues, teacher, truth, chances, selected=torch.tensor([True, True, False]))
    remember(other, teacher[:2], truth[:2], chances[:2])
    assert all(torch.equal(buffer, other.state_dict()[name]) for name, buffer in queues.state_dict().items())


def test_a_feature_that_has_overflowed_is_remembered_as_if_it_had_no_label():
    queues = memory()
    other = copy.deepcopy(queues)
    _, teacher, truth = batch()
    chances = torch.rand(3, CLASSES, 12)
    teacher[0, 0, 2, 1] = float('inf')
    remember(queues, teacher, truth, chances)
    truth[0, 2, 1] = 255
    remember(other, teacher, truth, chances)
    assert queues.pixels.isfinite().all() and not torch.equal(queues.pixels, memory().pixels)
    assert all(torch.equal(buffer, other.state_dict()[name]) for name, buffer in queues.state_dict().items())


def test_labels_that_are_no_class_are_not_remembered():
    queues = memory()
    other = copy.deepcopy(queues)
    _, teacher, truth = batch()
    chances = torch.rand(3, CLASSES, 12)
    remember(queues, teacher, truth.where(truth != 255, 7), chances)
    remember(other, teacher, truth, chances)
    assert torch.equal(queues.pixels, other.pixels)
    third = copy.deepcopy(queues)
    third.ignore_index = 2
    remember(third, teacher, truth, chances)
    assert torch.equal(third.pixels[2], queues.pixels[2]) and not torch.equal(third.pixels[0], queues.pixels[0])


def test_eval_mode_remembers_nothing_and_is_repeatable():
    queues = memory().eval()
    before = copy.deepcopy(queues.state_dict())
    student, teacher, truth = batch()
    one, other = queues(student, teacher, None, truth), queues(student, teacher, None, truth)
    torch.testing.assert_close(one, other)
    assert all(torch.equal(buffer, before[name]) for name, buffer in queues.state_dict().items())
    assert torch.equal(one[0][1][0].reshape(CLASSES, 5, DIM), queues.pixels[:, :5])


def test_a_run_goes_on_exactly_from_its_state():
    queues = memory()
    for _ in range(3):
        queues(*batch()[:2], None, batch()[2])
    other = memory()
    other.load_state_dict(copy.deepcopy(queues.state_dict()))
    results = []
    for part in (queues, other):
        torch.manual_seed(1)
        for _ in range(3):
            student, teacher, truth = batch()
            results.append(part(student, teacher, None, truth))
    torch.testing.assert_close(results[:3], results[3:], rtol=0, atol=0)
    assert all(torch.equal(buffer, other.state_dict()[name]) for name, buffer in queues.state_dict().items())


def test_half_precision():
    queues = memory(half=True)
    assert queues.pixels.dtype == queues.regions.dtype == torch.float16
    student, teacher, truth = batch()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        sides = queues(student.half(), teacher.half(), None, truth)
    assert all(part.dtype == torch.float32 for side in sides for part in side)
    torch.testing.assert_close(sides[1][0], F.normalize(teacher.half().float(), dim=1))
    exact = memory()
    exact.load_state_dict(queues.state_dict())
    chances = torch.rand(3, CLASSES, 12)
    remember(queues, teacher, truth, chances)
    remember(exact, teacher, truth, chances)
    torch.testing.assert_close(queues.pixels.float(), exact.pixels, rtol=0, atol=1e-3)


def test_is_built_from_a_config_with_the_published_sizes():
    queues = build(MEMORIES, dict(type='ClassQueues', num_classes=19, dim=1))
    assert queues.pixels.shape == (19, 20000, 1) and queues.regions.shape == (19, 2000, 1)
    assert queues.num_keys == dict(pixels=216, regions=54) and queues.pixels_per_image == 16
    assert not queues.faulty_sampling
    torch.testing.assert_close(memory().pixels.norm(dim=2), torch.ones(CLASSES, 20))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'ClassQueues has dim=4, and .*\[3, 5, 4, 3\].*Projector'):
        memory()(torch.ones(3, 5, *SIZE), torch.ones(3, 4, *SIZE))
    with pytest.raises(ValueError, match='ClassQueues has dim=4'):
        memory()(torch.ones(3, 4), torch.ones(3, 4))
    for key in ('num_classes', 'dim', 'pixel_keys', 'region_keys', 'pixels_per_image'):
        with pytest.raises(ValueError, match=f'ClassQueues: `{key}` must be positive, not 0'):
            memory(**{key: 0})
    for key, least in (('pixel_slots', 5), ('region_slots', 3)):
        with pytest.raises(ValueError, match=f'ClassQueues: `{key}` must be at least {least} here, not {least - 1}'):
            memory(**{key: least - 1})


def _data():
    torch.manual_seed(0)
    return memory(), [(*batch(4), torch.rand(4, CLASSES, 12)) for _ in range(4)]


def _process(rank, address, results):
    torch.distributed.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    queues, steps = _data()
    losses = []
    for student, teacher, truth, chances in steps:
        part = slice(2 * rank, 2 * rank + 2)
        remember(queues, teacher[part], truth[part], chances[part])
        queues.eval()  # the same slots in all processes
        losses.append(CIRKDMemoryLoss()(*queues(student[part], teacher[part]), labels=truth[part]).item())
        queues.train()
    results.put((rank, losses, {name: buffer.tolist() for name, buffer in queues.state_dict().items()}))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_the_queues_of_all_processes_are_what_one_would_be(tmp_path):
    found = run_two_processes(_process, tmp_path)
    queues, steps = _data()
    for step, (student, teacher, truth, chances) in enumerate(steps):
        remember(queues, teacher, truth, chances)
        queues.eval()
        for rank, losses, _ in found:
            part = slice(2 * rank, 2 * rank + 2)
            expected = CIRKDMemoryLoss()(*queues(student[part], teacher[part]), labels=truth[part])
            assert losses[step] == pytest.approx(expected.item(), rel=1e-5)
        queues.train()
    for _, _, state in found:
        for name, buffer in queues.state_dict().items():
            torch.testing.assert_close(torch.tensor(state[name]), buffer, msg=name)
