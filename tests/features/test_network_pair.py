import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmseg.models import FCNHead
from torch import nn

from skd_mm.features import FeatureCache, FeatureExtractor
from tests.helpers import SPOTS, Prepared, ToyBackbone, batch, build_distiller, calls, network


def identified(size, first=0):
    inputs, samples = batch(size)
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'{first + i}.png', sample_idx=first + i))
    return inputs, samples


@pytest.fixture
def recorded(monkeypatch):
    """The batch size of each forward pass that records outputs, and what it records."""
    seen, run = [], FeatureExtractor.run

    def watched(self, call, *args, record=None, **kwargs):
        result = run(self, call, *args, record=record, **kwargs)
        if record:
            seen.append((max(len(output) for output in record.values() if output is not None), set(record)))
        return result

    monkeypatch.setattr(FeatureExtractor, 'run', watched)
    return seen


def test_a_whole_batch_records_only_what_the_rest_of_the_student_reads(recorded):
    distiller = build_distiller()
    distiller.activate([SPOTS[2]], [SPOTS[2]], cache=FeatureCache(2**30))
    distiller.train()
    distiller.loss(*identified(6))
    (probed, everything), (filled, needed) = recorded
    assert probed == 2 and filled == 6
    assert needed == {SPOTS[1]} and needed < everything


def test_images_that_are_missing_are_computed_alone_once_the_cache_is_full():
    distiller = build_distiller()
    inputs, samples = identified(4)
    distiller.activate([SPOTS[2]], [SPOTS[2]], cache=FeatureCache(2**30))
    distiller.train()
    distiller.loss(inputs[:3], samples[:3])
    distiller.cache.full = True
    sizes = []
    first = distiller.teacher.backbone.layers[0]
    handle = first.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    found = distiller.loss(inputs, samples)
    handle.remove()
    assert sizes == [1]
    distiller.activate([SPOTS[2]], [SPOTS[2]])
    for name, value in distiller.loss(inputs, samples).items():
        torch.testing.assert_close(found[name], value)


def test_only_the_first_batch_of_an_image_runs_the_teacher():
    distiller = build_distiller()
    distiller.activate([SPOTS[1]], [SPOTS[1]], cache=FeatureCache(2**30))
    distiller.train()
    with calls(distiller.teacher) as count:
        for _ in range(3):
            distiller.loss(*identified(4))
    assert count['backbone.layers.0'] == 1


@MODELS.register_module(force=True)
class PreparedBackbone(ToyBackbone):
    """Its first layer ends with a module that prepares its weight in `train`, as LeViT's attention does."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layers[0].append(Scale(4))


class Scale(BaseModule):

    def __init__(self, channels):
        super().__init__()
        self.inner = Prepared(channels)

    def forward(self, x):
        return self.inner(x.movedim(1, -1)).movedim(-1, 1)


@pytest.mark.parametrize('cache', [False, True])
def test_modules_that_prepare_their_weights_in_train_are_frozen_and_thawed(cache):
    student = network()
    student['backbone'] = dict(student['backbone'], type='PreparedBackbone')
    distiller = build_distiller(student, student)
    for k in range(3):
        distiller.activate([SPOTS[k]], [SPOTS[k]], cache=FeatureCache(2**30) if cache else None)
        distiller.train()
        optimizer = torch.optim.SGD(distiller.trainable().values(), lr=0.1)
        for _ in range(2):
            sum(distiller.loss(*identified(4)).values()).backward()
            optimizer.step()
        distiller.eval()
        distiller.predict(*identified(4))
    scale = distiller.student.backbone.layers[0][-1].inner
    assert isinstance(scale, nn.Module) and not torch.equal(scale.weight, torch.ones(4))
    torch.testing.assert_close(scale.prepared, scale.weight.detach() * 2)


def test_what_a_cache_gives_up_in_the_middle_of_a_batch_is_computed(monkeypatch):
    distiller = build_distiller()
    distiller.activate([SPOTS[2]], [SPOTS[2]], cache=FeatureCache(2**30))
    distiller.train()
    inputs, samples = identified(5)
    distiller.loss(inputs[:2], samples[:2])
    cache, put = distiller.cache, distiller.cache.put

    def short_of_memory(*args):
        cache.release(1.0)
        return put(*args)

    monkeypatch.setattr(cache, 'put', short_of_memory)
    found = distiller.loss(inputs, samples)
    distiller.activate([SPOTS[2]], [SPOTS[2]])
    for name, value in distiller.loss(inputs, samples).items():
        torch.testing.assert_close(found[name], value)


def test_a_feature_inside_a_module_of_the_frozen_prefix():
    spots = [*SPOTS[:2], dict(name='two', student=('backbone.layers.0.0', SPOTS[2]), loss=dict(type='FSPLoss'))]
    losses = []
    for cache in (None, FeatureCache(2**30)):
        distiller = build_distiller(spots=spots)
        distiller.activate(['two'], ['two'], cache=cache)
        distiller.train()
        losses.append([distiller.loss(*identified(4))['spots.two.loss'] for _ in range(2)])
    assert torch.equal(torch.stack(losses[0]), torch.stack(losses[1]))


@MODELS.register_module(force=True)
class TrainingOnlyHead(FCNHead):
    """A head whose losses cannot be computed in eval mode."""

    def loss(self, inputs, batch_data_samples, train_cfg):
        if not self.training:
            raise ValueError('no losses in eval mode')
        return super().loss(inputs, batch_data_samples, train_cfg)


def test_a_student_whose_losses_need_training_mode_is_trained_without_a_cache():
    student = network()
    student['decode_head'] = dict(student['decode_head'], type='mmengine.TrainingOnlyHead')
    losses = []
    for cache in (None, FeatureCache(2**30)):
        distiller = build_distiller(student, network())
        distiller.activate(['task_head'], [], task=1.0, cache=cache)
        distiller.train()
        losses.append([distiller.loss(*identified(4))['decode.loss_ce'] for _ in range(2)])
    assert losses[0] == losses[1] and not len(cache)
