import pytest
import torch

from skd_mm.losses import FSPLoss
from skd_mm.losses.fsp import flow_matrix


def features(dtype=torch.float64):
    student = torch.randn(5, 3, 4, 6, dtype=dtype), torch.randn(5, 2, 2, 3, dtype=dtype)
    teacher = torch.randn(5, 3, 4, 6, dtype=dtype), torch.randn(5, 2, 4, 6, dtype=dtype)
    return student, teacher


def formula(student, teacher):

    def gram(one, other):
        if one.shape[1] > other.shape[1]:  # 4×6 onto 2×3: the mean of each 2×2 block
            one = (one[:, ::2, ::2] + one[:, 1::2, ::2] + one[:, ::2, 1::2] + one[:, 1::2, 1::2]) / 4
        return torch.stack([torch.stack([(a * b).mean() for b in other]) for a in one])

    return torch.stack([(gram(*pair_s) - gram(*pair_t)).square().mean()
                        for pair_s, pair_t in zip(zip(*student, strict=True), zip(*teacher, strict=True), strict=True)])


def test_equals_its_formula(agrees):
    agrees(FSPLoss(), formula, *features())


def test_gradcheck():
    (one, other), teacher = features()
    assert torch.autograd.gradcheck(lambda a, b: FSPLoss()((a, b), teacher),
                                    (one.requires_grad_(), other.requires_grad_()))


def test_decomposes_by_sample(decomposes):
    decomposes(FSPLoss(), *features())


def test_keeps_precision(keeps_precision):
    keeps_precision(FSPLoss(), *features(torch.float32))


def test_the_same_flow_is_the_minimum():
    student, _ = features()
    assert not FSPLoss()(student, student).any()
    # The flow has no places: both layers may be shifted alike.
    one, other = student[1], torch.randn(5, 4, 2, 3).double()
    shifted = one.roll(1, 3), other.roll(1, 3)
    assert FSPLoss()(shifted, (one, other)).abs().max() < 1e-30


def test_the_finer_layer_is_pooled_along_each_axis_by_itself():
    one, other = torch.randn(2, 3, 4, 2), torch.randn(2, 5, 2, 4)
    expected = torch.einsum('bcyx,bdyx->bcd', one.reshape(2, 3, 2, 2, 2).mean(3), other.reshape(2, 5, 2, 2, 2).mean(4))
    torch.testing.assert_close(flow_matrix(one, other), expected / 4)


def test_refuses_single_layers_and_other_widths():
    student, teacher = features()
    with pytest.raises(ValueError, match=r"FSPLoss needs the features of two layers.*\['backbone.layer1'"):
        FSPLoss()(student[0], teacher[0])
    with pytest.raises(ValueError, match='FSPLoss compares layers with the same numbers of channels'):
        FSPLoss()(student, teacher[::-1])
