import pytest
import torch

from skd_mm.losses import MSELoss, SpotLoss


def test_the_mean_squared_error_of_every_sample():
    student = torch.tensor([[[[1., 2.], [3., 4.]]], [[[0., 0.], [0., 0.]]]])
    teacher = torch.tensor([[[[1., 2.], [3., 0.]]], [[[1., 1.], [1., 1.]]]])
    assert MSELoss()(student, teacher).tolist() == [4., 1.]  # 4² / 4 values, and 1


def test_the_sum_of_the_squared_errors_of_every_sample():
    student, teacher = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2)
    torch.testing.assert_close(MSELoss('sum')(student, teacher), 12 * MSELoss()(student, teacher))
    half = torch.full((1, 1, 300, 300), 3., dtype=torch.float16)
    assert MSELoss('sum')(half, torch.zeros_like(half)).item() == 810000
    with pytest.raises(ValueError, match="`reduction` must be 'mean' or 'sum', not 'max'"):
        MSELoss('max')


def test_the_mean_over_the_batch_is_torchs_loss():
    student, teacher = torch.randn(2, 3, 5, 4, 4).unbind()
    loss = MSELoss()(student, teacher)
    assert loss.shape == (3, )
    torch.testing.assert_close(loss.mean(), torch.nn.functional.mse_loss(student, teacher))


@pytest.mark.parametrize('shape', [(2, 7), (2, 7, 5), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_any_number_of_dimensions(shape):
    assert MSELoss()(torch.zeros(shape), torch.ones(shape)).tolist() == [1.] * shape[0]


def test_a_copy_is_worth_exactly_nothing():
    feature = torch.randn(2, 3, 4, 4)
    assert MSELoss()(feature, feature.clone()).tolist() == [0., 0.]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_float32(dtype):
    student = torch.full((1, 1, 300, 300), 3., dtype=dtype)
    loss = MSELoss()(student, torch.zeros_like(student))
    assert loss.dtype == torch.float32
    assert loss.item() == 9  # the sum, 810000, is beyond float16


def test_gradient_flows_into_the_student():
    student = torch.randn(2, 3, requires_grad=True)
    teacher = torch.randn(2, 3)
    MSELoss()(student, teacher).mean().backward()
    torch.testing.assert_close(student.grad, 2 * (student - teacher).detach() / 6)


def test_has_no_state_and_wants_equal_shapes():
    loss = MSELoss()
    assert isinstance(loss, SpotLoss)
    assert not loss.state_dict() and loss.same_shape and not loss.relational
    with pytest.raises(RuntimeError):
        loss(torch.zeros(2, 3, 4), torch.zeros(2, 5, 4))
