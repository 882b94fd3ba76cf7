"""Lengths, learning rates and monitors of a phase's parameter schedulers."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler import ReduceOnPlateauLR

from skd_mm.engine.schedulers.phase_schedulers import build_schedulers, is_plateau, misfits, schedulers_of_phase
from skd_mm.schedules import Phase

TASK = Phase('head', ['head'], task=1, epochs=5)
FEATURES = Phase('layer1', ['layer1'], spots=['layer1'], epochs=5)
ITERATIONS, EPOCHS = 50, 5


def adapt(*cfgs, phase=TASK, **kwargs):
    return schedulers_of_phase(list(cfgs), phase, ITERATIONS, EPOCHS, **kwargs)


@pytest.mark.parametrize(('cfg', 'lengths'), [
    (dict(type='PolyLR', by_epoch=False), dict(end=50)),
    (dict(type='PolyLR'), dict(end=5)),
    (dict(type='PolyLR', by_epoch=False, end='phase'), dict(end=50)),
    (dict(type='PolyLR', by_epoch=False, end=20), dict(end=20)),
    (dict(type='CosineAnnealingLR', by_epoch=False, begin=10, T_max='phase'), dict(end=50, T_max=40)),
    (dict(type='OneCycleLR', by_epoch=False), dict(end=50, total_steps=50)),
    (dict(type='OneCycleLR', by_epoch=False, begin=10), dict(end=50, total_steps=40)),
    (dict(type='OneCycleLR', by_epoch=False, total_steps=30), dict(end=30, total_steps=30)),
    (dict(type='OneCycleLR', by_epoch=True, convert_to_iter_based=True), dict(end=5, total_steps=5))])
def test_a_missing_end_is_that_of_the_phase(cfg, lengths):
    adapted, = adapt(cfg)
    assert {key: adapted[key] for key in ('end', 'total_steps', 'T_max') if key in adapted} == lengths
    assert adapted['type'] == cfg['type']


def test_one_config_is_a_list_of_one_and_stays_as_it_is():
    cfg = dict(type='PolyLR', end='phase')
    assert schedulers_of_phase(cfg, TASK, ITERATIONS, EPOCHS) == [dict(type='PolyLR', end=5)]
    assert cfg == dict(type='PolyLR', end='phase')


@pytest.mark.parametrize(('cfg', 'found'), [
    (dict(type='PolyLR', by_epoch=False, end=80000), ['param_scheduler[0] (PolyLR): end=80000']),
    (dict(type='PolyLR', by_epoch=False, end=50), []),
    (dict(type='PolyLR', end=6), ['param_scheduler[0] (PolyLR): end=6']),
    (dict(type='PolyLR', end='phase'), []),
    (dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=40),
     ['param_scheduler[0] (CosineAnnealingLR): T_max=40']),
    (dict(type='OneCycleLR', by_epoch=False, total_steps=51), ['param_scheduler[0] (OneCycleLR): total_steps=51']),
    (dict(type='MultiStepLR', milestones=[3, 8]), ['param_scheduler[0] (MultiStepLR): milestones=[3, 8]']),
    (dict(type='MultiStepLR', milestones=[3, 5]), [])])
def test_lengths_beyond_the_phase_are_found(cfg, found):
    assert list(misfits([cfg], ITERATIONS, EPOCHS)) == list(misfits(cfg, ITERATIONS, EPOCHS)) == found


def test_absolute_learning_rates_are_scaled():
    cfgs = [dict(type='OneCycleLR', eta_max=[0.1, 0.2]), dict(type='CosineAnnealingLR', eta_min=0.01),
            dict(type='ReduceOnPlateauLR', min_value=0.02, monitor='mIoU'), dict(type='LinearLR', start_factor=0.1),
            dict(type='CosineAnnealingMomentum', eta_min=0.5),
            dict(type='CosineAnnealingParamScheduler', param_name='lr', eta_min=0.01)]
    one, cosine, plateau, linear, momentum, param = adapt(*cfgs, lr_ratio=4.)
    assert one['eta_max'] == [0.4, 0.8] and cosine['eta_min'] == 0.04 and plateau['min_value'] == 0.08
    assert linear['start_factor'] == 0.1 and momentum['eta_min'] == 0.5 and param['eta_min'] == 0.04


def test_a_phase_without_a_task_monitors_the_spot_loss():
    cfg = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater')
    assert is_plateau(cfg) and not is_plateau(dict(type='PolyLR'))
    for phase, monitor, rule in ((TASK, 'mIoU', 'greater'), (FEATURES, 'spot_loss', 'less')):
        adapted, = adapt(cfg, phase=phase)
        assert (adapted['monitor'], adapted['rule']) == (monitor, rule)


def test_epochs_are_converted_with_the_given_length():
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    cfgs = adapt(dict(type='OneCycleLR', eta_max=0.2, convert_to_iter_based=True),
                 dict(type='ReduceOnPlateauLR', monitor='mIoU'))
    one, plateau = build_schedulers(cfgs, wrapper, epoch_length=10)
    assert (one.total_steps, one.end, one.by_epoch) == (50, 50, False)
    assert isinstance(plateau, ReduceOnPlateauLR) and plateau.by_epoch
