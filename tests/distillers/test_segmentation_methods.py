"""The losses that segmentation methods have, at spots of a distiller."""

import pytest
import torch

from skd_mm.analysis.benchmark.memory import peak_memory
from skd_mm.distillers.spot import Setting, Spot
from skd_mm.losses import CIRKDMemoryLoss
from tests.helpers import batch, build_distiller, network
from tests.segmentation_methods import FEATURE, LOGITS, METHODS, QUEUES

LIMITS = {'BPKDLoss': 80, 'CIRKDLoss': 400, 'CIRKDMemoryLoss': 400}  # MiB


def distiller_of(method, **kwargs):
    distiller = build_distiller(network(), network(width=6), spots=[dict(METHODS[method], name='spot')], **kwargs)
    distiller.activate('all', ['spot'])
    return distiller


def value_of(distiller, inputs, samples):
    return distiller.loss(inputs, samples)['spots.spot.loss']


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_the_student(method):
    distiller = distiller_of(method).train()
    value = value_of(distiller, *batch(4))
    assert value > 0
    value.backward()
    assert all(parameter.grad is not None for parameter in distiller.trainable().values())
    assert distiller.student.backbone.layers[0][0].weight.grad.any()


@pytest.mark.parametrize('method', METHODS)
def test_images_without_a_label_give_numbers(method):
    distiller = distiller_of(method).train()
    inputs, samples = batch(2)
    for sample in samples:
        sample.gt_sem_seg.data[:] = 255
    value = value_of(distiller, inputs, samples)
    value.backward()
    assert value.isfinite() and (value == 0) == (method in ('DKDLoss', 'IFVDLoss', 'BPKDLoss', 'CIRKDMemoryLoss'))
    for parameter in distiller.trainable().values():
        assert parameter.grad.isfinite().all()
    assert value_of(distiller, inputs, None).isfinite()


@pytest.mark.parametrize('method', METHODS)
def test_every_method_under_autocast(method):
    distiller = distiller_of(method).eval()
    inputs, samples = batch(2)
    expected = value_of(distiller, inputs, samples)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = value_of(distiller, inputs, samples)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=.15, atol=.01)


@pytest.mark.parametrize('method', METHODS)
def test_every_method_at_crops_of_camvid(method):
    """Crops of 360 pixels have logits of 45: no power of two divides that. One image has a single class."""
    spot = dict(METHODS[method], name='spot')
    distiller = build_distiller(network(stride=2), network(width=6, stride=2), spots=[spot])
    distiller.activate('all', ['spot'])
    inputs, samples = batch(2, side=90)
    samples[0].gt_sem_seg.data[:] = 1
    value = value_of(distiller.train(), inputs, samples)
    value.backward()
    assert value > 0 and distiller.student.backbone.layers[0][0].weight.grad.isfinite().all()


def test_a_memory_of_pixels_gets_maps_of_labels():
    distiller = distiller_of('CIRKDMemoryLoss')
    queues = distiller.spots['spot'].memory
    inputs, samples = batch(2)
    for sample in samples:
        sample.gt_sem_seg.data[sample.gt_sem_seg.data == 1] = 255
    distiller.train().loss(inputs, samples)
    assert queues.region_slot.tolist() == [2, 0, 2] and queues.pixel_slot.tolist() == [32, 0, 32]
    value = value_of(distiller.eval(), inputs, samples)
    spot = distiller.spots['spot']
    outputs = distiller.pair.run(inputs, samples, 'tensor')
    sides = spot.connect(outputs.features[FEATURE], outputs.targets[FEATURE])
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
    torch.testing.assert_close(value, CIRKDMemoryLoss()(*queues(*sides), labels=labels))


def test_numbers_of_classes_and_channels_are_those_of_the_networks():
    queues = distiller_of('CIRKDMemoryLoss').spots['spot'].memory
    assert (queues.num_classes, queues.pixels.shape[2]) == (3, 6)
    assert distiller_of('IFVDLoss').spots['spot'].loss.num_classes == 3
    # The teacher's connector counts, and so does what the config says.
    widened = dict(METHODS['CIRKDMemoryLoss'], teacher_connector=[dict(type='Conv1x1', out_channels=5)],
                   connector=[dict(type='Conv1x1', out_channels=5)], memory=dict(QUEUES, num_classes=2), name='spot')
    queues = build_distiller(network(), network(width=6), spots=[widened]).spots['spot'].memory
    assert (queues.num_classes, queues.pixels.shape[2]) == (2, 5)


@pytest.mark.parametrize('method', [
    pytest.param(method, marks=[pytest.mark.slow] if method in LIMITS else []) for method in METHODS])
def test_the_memory_that_150_classes_take(method):
    """One image of 512 × 512 with logits and features of 64 × 64 positions; the docs have the limits."""
    channels = (150, 150) if METHODS[method]['student'] == LOGITS else (32, 48)
    settings = {**METHODS[method], 'name': 'spot', 'teacher': 'head', 'student': 'head', 'setting': Setting(150)}
    settings = {'loss': dict(type='MSELoss'), 'connector': None, 'teacher_connector': None, **settings}
    if settings.get('memory', {}).get('type') == 'ClassQueues':
        settings['memory'] = dict(type='ClassQueues', pixel_slots=100, region_slots=100)
    features = [torch.randn(1, count, 64, 64) for count in channels]
    spot = Spot(**settings, features=features).train()
    features[0].requires_grad_()
    labels = torch.randint(150, (1, 64, 64)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    peak = peak_memory(lambda: spot(*features, dict(labels=labels)).mean().backward())
    assert features[0].grad.isfinite().all()
    assert peak < LIMITS.get(method, 32)


def test_several_methods_at_one_module():
    spots = [dict(METHODS[method], name=method) for method in METHODS]
    distiller = build_distiller(network(), network(width=6), spots=spots)
    distiller.activate('all', list(METHODS), 1)
    losses = distiller.train().loss(*batch(2))
    assert {f'spots.{method}.loss' for method in METHODS} <= set(losses)
    sum(value for key, value in losses.items() if 'loss' in key).backward()
