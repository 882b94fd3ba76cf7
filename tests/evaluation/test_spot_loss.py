import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from skd_mm.evaluation import SpotLossMetric


def samples(*losses):
    return [BaseDataElement(metainfo=dict(spot_losses=dict(a=loss, b=2 * loss))) for loss in losses]


def measure(batches, size, **kwargs):
    evaluator = Evaluator([SpotLossMetric(**kwargs)])
    for batch in batches:
        evaluator.process(batch, None)
    return evaluator.evaluate(size)


def test_every_sample_weighs_alike():
    found = measure([samples(1., 2., 3.), samples(6.)], 4)
    assert found == {'spot_loss': 9., 'spots.a.loss': 3., 'spots.b.loss': 6.}


def test_or_every_batch_as_in_the_published_code():
    found = measure([samples(1., 2., 3.), samples(6.)], 4, average='batches')
    assert found['spots.a.loss'] == pytest.approx((2 + 6) / 2)
    assert found['spot_loss'] == pytest.approx(12)


def test_it_starts_anew_with_every_validation():
    metric = SpotLossMetric()
    evaluator = Evaluator([metric])
    for loss in (1., 5.):
        evaluator.process(samples(loss), None)
        assert evaluator.evaluate(1)['spots.a.loss'] == loss


def test_what_a_sampler_adds_to_fill_up_the_processes_does_not_count():
    assert measure([samples(1., 3.), samples(100.)], 2)['spots.a.loss'] == 2


def test_nan_stays_nan():
    assert torch.tensor(measure([samples(1., float('nan'))], 2)['spot_loss']).isnan()


def test_a_wrong_average():
    with pytest.raises(ValueError, match="`average` must be 'samples' or 'batches', not 'sample'"):
        SpotLossMetric(average='sample')
