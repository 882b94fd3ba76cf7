"""Class scores of detectors: all levels of the head at one spot."""

import copy

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from skd_mm.losses import SigmoidKDLoss
from skd_mm.tasks import example_samples
from tests.detectors import detector_config

SPOT = dict(name='logits', student=[f'bbox_head[0][{i}]' for i in range(5)], loss=dict(type='SigmoidKDLoss'))


def distiller(spot=SPOT, **teacher):
    student, wide = detector_config(), detector_config(**{'bbox_head.feat_channels': 24}, **teacher)
    init_default_scope('mmdet')
    return MODELS.build(dict(type='skd_mm.Distiller', student=student, teacher=wide, spots=[spot]))


@pytest.mark.parametrize('task', [0, 1])
def test_the_scores_of_all_levels_are_compared_with_the_task_loss_and_without(task):
    model = distiller()
    model.activate('all', ['logits'], task)
    model.eval()
    inputs = torch.randn(2, 3, 64, 64)
    samples = example_samples(model.student, (3, 64, 64), inputs.device, 2)
    losses = model.loss(inputs, copy.deepcopy(samples))
    sides = [tuple(network(inputs, samples, mode='tensor')[0]) for network in (model.student, model.teacher)]
    assert len(sides[0]) == 5
    torch.testing.assert_close(losses['spots.logits.loss'], SigmoidKDLoss()(*sides).mean())
    assert ('loss_cls' in losses) == bool(task)
    losses['spots.logits.loss'].backward()
    head = model.student.bbox_head
    assert head.retina_cls.weight.grad.any() and head.retina_reg.weight.grad is None


@pytest.mark.parametrize(('spot', 'teacher', 'message'), [
    (SPOT, {'bbox_head.num_classes': 3}, "spot 'logits': SigmoidKDLoss .* the same levels, anchors, classes"),
    (dict(SPOT, student='bbox_head[0]'), {}, r"'bbox_head\[0\]' .* is a list, .* like 'bbox_head\[0\]\[-1\]'"),
    (dict(SPOT, student='bbox_head[0][5]'), {}, r"'bbox_head\[0\]\[5\]' .* has no element 5: it is a list of 5")])
def test_scores_that_cannot_be_compared_are_refused(spot, teacher, message):
    with pytest.raises((KeyError, ValueError), match=message):
        distiller(spot, **teacher)
