import math

import torch

from skd_mm.deploy.verification import relative_difference, worst_difference


def test_the_difference_is_relative_to_the_largest_magnitude_of_each_tensor():
    reference = [torch.tensor([1., -4.]), torch.tensor([100.])]
    assert relative_difference([torch.tensor([2., -4.]), torch.tensor([101.])], reference) == 0.25
    assert relative_difference(reference, reference) == 0


def test_what_cannot_be_compared_differs_infinitely():
    one = torch.tensor([1., 2.])
    for other in (one[:1], torch.tensor([math.nan, 2.]), [one, one]):
        assert relative_difference(other, one) == math.inf
    assert relative_difference(torch.tensor([math.inf]), torch.tensor([math.inf])) == 0


def test_the_worst_batch_counts():
    batches = [(torch.tensor([1.]), ), (torch.tensor([2.]), )]
    assert worst_difference(lambda x: x * x, lambda x: x, batches) == 1
