"""Heads whose hooks the models' own code does not run, and auxiliary heads, which the losses alone call."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmseg.models.decode_heads import FCNHead

from skd_mm.features import FeatureCache, call_model
from tests.helpers import SPOTS, batch, build_distiller, calls, network, state

AUX = 'auxiliary_head.conv_seg'


def with_auxiliary(heads=1, width=4):
    model = copy.deepcopy(network(width))
    head = dict(model['decode_head'], in_index=1, loss_decode=dict(type='mmseg.CrossEntropyLoss', loss_weight=0.4))
    model['auxiliary_head'] = head if heads == 1 else [dict(head, in_index=i) for i in range(heads)]
    return model


def spots(name=AUX):
    return [dict(name='main', student='decode_head.conv_seg', loss=dict(type='DISTLoss')),
            dict(name='aux', student=name, loss=dict(type='DISTLoss'), weight=0.4)]


def logits_of(model, inputs, head=None):
    features = model.extract_feat(inputs)
    return (head or model.auxiliary_head).forward(features)


def test_the_head_is_called_once_as_a_module():
    distiller = build_distiller()
    inputs, head = batch()[0], distiller.student.decode_head
    with calls(distiller.student) as count:
        distiller.student(inputs, mode='tensor')
        assert not count['decode_head']  # mmsegmentation calls its `forward`
        outputs = [call_model(distiller.student, inputs, names=['decode_head']) for _ in range(2)]
    assert count['decode_head'] == 2 and count['decode_head.conv_seg'] == 3
    torch.testing.assert_close(*outputs)
    assert 'forward' not in vars(head) and not head._forward_pre_hooks


@pytest.mark.parametrize('task', [0, 1])
def test_auxiliary_logits_are_compared_with_the_task_loss_and_without(task):
    distiller = build_distiller(with_auxiliary(), with_auxiliary(width=6), spots=spots())
    distiller.activate('all', ['main', 'aux'], task)
    inputs, samples = batch()
    distiller.eval()
    losses = distiller.loss(inputs, samples)
    for name, head, weight in (('main', 'decode_head', 1), ('aux', 'auxiliary_head', 0.4)):
        sides = [logits_of(model, inputs, getattr(model, head)) for model in (distiller.student, distiller.teacher)]
        torch.testing.assert_close(losses[f'spots.{name}.loss'], weight * distiller.spots['main'].loss(*sides))
    assert ('aux.loss_ce' in losses) == bool(task)
    losses['spots.aux.loss'].backward()
    assert distiller.student.auxiliary_head.conv_seg.weight.grad.any()
    assert distiller.student.backbone.layers[1][0].weight.grad.any()


def test_one_of_several_auxiliary_heads_runs():
    distiller = build_distiller(with_auxiliary(3), with_auxiliary(3), spots=spots('auxiliary_head.1.conv_seg'))
    distiller.activate('all', ['aux'])
    inputs, samples = batch()
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller.loss(inputs, samples)
    for count in (student, teacher):
        assert count['auxiliary_head.1.conv_seg'] == 1 and not count['decode_head.conv_seg']
        assert not count['auxiliary_head.0.conv_seg'] and not count['auxiliary_head.2.conv_seg']
        assert count['backbone'] == 1


def test_an_auxiliary_head_does_not_run_if_its_spot_is_not_active():
    distiller = build_distiller(with_auxiliary(), with_auxiliary(), spots=spots())
    distiller.activate('all', ['main'])
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller.loss(*batch())
    for count in (student, teacher):
        assert count['decode_head.conv_seg'] == 1 and not count['auxiliary_head.conv_seg']


def test_the_model_is_as_it_was():
    model = build_distiller(with_auxiliary(), spots=spots()).student.eval()
    inputs, _ = batch()
    before = state(model)
    output = call_model(model, inputs, names=[AUX])
    assert torch.equal(output, model(inputs, mode='tensor')) and 'extract_feat' not in vars(model)
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())
    with pytest.raises(TypeError):
        call_model(model, None, names=[AUX])
    assert 'extract_feat' not in vars(model)


def test_a_teacher_that_is_cached():
    distiller = build_distiller(with_auxiliary(), with_auxiliary(width=6), spots=spots())
    distiller.activate('all', ['main', 'aux'])
    inputs, samples = batch()
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'{i}.png'))
    expected = distiller.eval().loss(inputs, samples)
    distiller.activate('all', ['main', 'aux'], cache=FeatureCache(2**20))
    for _ in range(2):
        losses = distiller.loss(inputs, samples)
        for name, value in expected.items():
            torch.testing.assert_close(losses[name], value)
    with calls(distiller.teacher) as count:
        distiller.loss(inputs, samples)
    assert not count
    distiller.activate(['auxiliary_head.conv_seg'], ['aux'], cache=FeatureCache(2**20))  # on a frozen backbone
    losses = [distiller.loss(inputs, samples)['spots.aux.loss'] for _ in range(2)]
    torch.testing.assert_close(losses, [expected['spots.aux.loss']] * 2)


def test_a_stage_ends_at_an_auxiliary_head():
    distiller = build_distiller(with_auxiliary(), with_auxiliary(), spots=[SPOTS[0], *spots()])
    stages = {stage.name: stage.modules for stage in distiller.stages}
    assert {'auxiliary_head.conv_seg', 'backbone.layers.1'} <= set(stages['aux'])
    assert 'backbone.layers.2' in stages['main']


def test_a_head_that_needs_data_samples_gets_the_sizes_of_the_images_in_tensor_mode():
    sizes = []

    @MODELS.register_module(force=True)
    class MaskHead(FCNHead):
        def forward(self, inputs, batch_data_samples):
            sizes.extend((sample.img_shape, sample.batch_input_shape) for sample in batch_data_samples)
            return super().forward(inputs)

    cfg = network()
    model = MODELS.build(dict(cfg, decode_head=dict(cfg['decode_head'], type='mmengine.MaskHead')))
    assert call_model(model, torch.zeros(2, 3, 8, 12)).shape[:2] == (2, 3)
    assert sizes == [((8, 12), (8, 12))] * 2
    assert 'forward' not in model.decode_head.__dict__
