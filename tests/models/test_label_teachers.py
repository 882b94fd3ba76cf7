import pytest
import torch
from mmpretrain.structures import DataSample

from skd_mm.losses import KDLoss
from skd_mm.models import TargetBank, VirtualTeacher
from tests.helpers import batch


def samples(labels):
    return [DataSample().set_gt_label(label) for label in labels]


def ask(teacher, labels, side=8):
    return teacher(torch.zeros(len(labels), 3, side, side), samples(labels), mode='tensor')


def bank(**kwargs):
    return TargetBank(**dict(dict(num_classes=4, rows=5), **kwargs)).eval()


def test_a_row_of_the_labels_class_is_drawn():
    teacher = bank()
    labels = [0, 3, 3, 1] * 25
    rows = ask(teacher, labels)
    assert rows.shape == (100, 4)
    chosen = [next(i for i in range(5) if torch.equal(teacher.bank.logits[label, i], row))
              for label, row in zip(labels, rows, strict=True)]
    assert set(chosen) == set(range(5))


def test_draws_are_those_of_pytorchs_generator():
    teacher = bank()
    torch.manual_seed(3)
    one = ask(teacher, [1, 2] * 8)
    other = ask(teacher, [1, 2] * 8)
    torch.manual_seed(3)
    assert torch.equal(one, ask(teacher, [1, 2] * 8)) and not torch.equal(one, other)


def test_without_samples_it_answers_all_the_same():
    assert bank()(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert bank(stride=4)(torch.zeros(2, 3, 9, 16)).shape == (2, 4, 3, 4)


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_the_gradient_with_the_mean_is_that_with_a_random_row_in_expectation(temperature):
    """Over all rows of the class, exactly: the loss's gradient is linear in the target's distribution."""
    teacher, mean = bank(rows=7).double(), bank(rows=7, target='mean', temperature=temperature).double()
    teacher.bank.logits.mul_(8)
    mean.load_state_dict(teacher.state_dict())
    loss = KDLoss(temperature)
    for label in range(4):
        student = torch.randn(1, 4, dtype=torch.double).mul_(5).requires_grad_()
        gradients = [torch.autograd.grad(loss(student, row[None]).sum(), student)[0]
                     for row in teacher.bank.logits[label]]
        expected, = torch.autograd.grad(loss(student, ask(mean, [label])).sum(), student)
        torch.testing.assert_close(torch.stack(gradients).mean(0), expected)
        assert max((gradient - expected).abs().max() for gradient in gradients) > 0.05


def test_the_mean_stands_still_and_a_sampled_bank_does_not():
    mean = bank(target='mean')
    assert torch.equal(ask(mean, [0, 1, 2]), ask(mean, [0, 1, 2]))
    assert (bank().random, bank(rows=1).random, mean.random, VirtualTeacher(4).random) == (True, False, False, False)


def test_the_mean_is_made_of_what_is_loaded():
    one, other = bank(target='mean'), bank(target='mean')
    assert not torch.equal(ask(one, [1]), ask(other, [1]))
    other.load_state_dict(one.state_dict())
    assert torch.equal(ask(one, [1]), ask(other, [1]))
    assert list(one.state_dict()) == ['bank.logits']


@pytest.mark.parametrize('target', ['sampled', 'mean'])
def test_a_permutation_moves_rows_and_columns(target):
    plain, moved = bank(rows=1, target=target), bank(rows=1, target=target, permutation=2)
    plain.bank.logits.copy_((10 * torch.eye(4) + torch.rand(4, 4))[:, None])
    plain.bank.prepare()
    moved.load_state_dict(plain.state_dict())
    order = moved.bank.order.tolist()
    assert sorted(order) == [0, 1, 2, 3] and order != [0, 1, 2, 3]
    for k in range(4):
        row = ask(moved, [k])[0]
        assert row.argmax() == k
        assert torch.equal(row, ask(plain, [order[k]])[0][order])


def test_dense_one_row_an_image_and_class():
    teacher = bank(num_classes=3, stride=2)
    inputs, data = batch(3, 8)
    for sample in data:
        sample.gt_sem_seg.data[0, :, 5:] = 255
    rows = teacher(inputs, data)
    assert rows.shape == (3, 3, 4, 4)
    for image, sample in zip(rows, data, strict=True):
        labels = sample.gt_sem_seg.data[0, ::2, ::2]
        for k in range(3):
            here = image[:, labels == k]
            assert (here == here[:, :1]).all()
            assert any(torch.equal(row, here[:, 0]) for row in teacher.bank.logits[k]) or not here.numel()
    draws = {tuple(teacher(inputs, data)[0, :, 0, 0].tolist()) for _ in range(30)}
    assert len(draws) == 5
    for sample in data:
        sample.gt_sem_seg.data.zero_()
    one, other, _ = zip(*(teacher(inputs, data)[:, :, 0, 0].tolist() for _ in range(10)), strict=True)
    assert one != other  # each image has its own


def test_dense_labels_are_read_at_the_nearest_pixel():
    teacher = bank(num_classes=3, rows=1, stride=4)
    inputs, data = batch(2, 10)
    rows = teacher(inputs, data)
    assert rows.shape == (2, 3, 3, 3)
    nearest = [0, 3, 6]  # floor(i * 10 / 3)
    for image, sample in zip(rows, data, strict=True):
        labels = sample.gt_sem_seg.data[0][nearest][:, nearest]
        assert torch.equal(image, teacher.bank.logits[labels, 0].movedim(-1, 0))


def test_the_virtual_teacher():
    teacher = VirtualTeacher(5, correct=0.8)
    rows = ask(teacher, [2, 0]).softmax(1)
    expected = torch.full((2, 5), 0.05)
    expected[[0, 1], [2, 0]] = 0.8
    torch.testing.assert_close(rows, expected)


@pytest.mark.parametrize(('teacher', 'words'), [
    (lambda: TargetBank(1), 'TargetBank: `num_classes` must be an integer of at least 2, not 1'),
    (lambda: VirtualTeacher(1), 'VirtualTeacher: `num_classes`'),
    (lambda: VirtualTeacher(4, correct=0.2), r'`correct` must be between 1 / 4 and 1, not 0.2'),
    (lambda: bank(rows=0), '`rows` must be 1 or more, not 0'),
    (lambda: bank(stride=0), '`stride` must be 1 or more, not 0'),
    (lambda: bank(target='means'), "not 'means'; did you mean 'mean'")])
def test_what_makes_no_sense_is_refused(teacher, words):
    with pytest.raises(ValueError, match=words):
        teacher()


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match=r'there is a label 4, but the teacher has the classes 0 to 3'):
        ask(bank(), [0, 4])
    with pytest.raises(ValueError, match='there is a label -1'):
        ask(bank(), [-1])
    with pytest.raises(ValueError, match='there is a label 255'):  # it is a class like others where images have one
        ask(bank(), [255])
    inputs, data = batch(2, 8)
    data[1].gt_sem_seg.data[0, 3, 3] = 7
    with pytest.raises(ValueError, match='there is a label 7'):
        bank(stride=1)(inputs, data)
    bank(stride=1, ignore_index=7)(inputs, data)


def test_images_without_one_label_are_refused():
    mixed = DataSample().set_gt_score(torch.tensor([0.5, 0.5, 0, 0]))
    with pytest.raises(ValueError, match='TargetBank needs one label per image'):
        bank()(torch.zeros(1, 3, 8, 8), [mixed])
    with pytest.raises(ValueError, match='needs one label map per image'):
        bank(stride=1)(torch.zeros(1, 3, 8, 8), samples([1]))
