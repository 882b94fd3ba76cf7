"""Whole toy runs on a GPU."""

import pytest
import torch

from skd_mm.utils import tree_leaves
from tests.helpers import SPOTS, config, differing, last_checkpoint, log_lines, network, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason='this machine has no GPU')]
SCHEDULES = {
    'Stagewise': {}, 'BackboneFirst': {}, 'Simultaneous': {}, 'NoTeacher': {}, 'FitNets': dict(hints=[SPOTS[1]])}


@pytest.mark.parametrize('kind', list(SCHEDULES))
def test_every_schedule_trains(tmp_path, kind):
    schedule = dict(SCHEDULES[kind], type=kind, phase_epochs=2)
    runner = train(config(tmp_path, schedule=schedule))
    assert next(runner.model.parameters()).is_cuda
    assert all(tensor.isfinite().all() for tensor in tree_leaves(dict(last_checkpoint(tmp_path)['state_dict'])))


@pytest.mark.parametrize('cache', [1.0, dict(disk=1.0)])
def test_the_cache_changes_nothing(tmp_path, cache):
    states = []
    for name, value in (('with', cache), ('without', 0.0)):
        cfg = config(tmp_path / name, {'schedule.cache': value, 'randomness.deterministic': True})
        train(cfg)
        states.append(dict(last_checkpoint(tmp_path / name)['state_dict']))
    assert not differing(*states)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_mixed_precision_trains(tmp_path, dtype):
    train(config(tmp_path, {'optim_wrapper.type': 'skd_mm.AmpOptimWrapper', 'optim_wrapper.dtype': dtype},
                 model=dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=SPOTS)))
    losses = [line['loss'] for line in log_lines(tmp_path) if 'loss' in line]
    assert losses and all(loss == loss for loss in losses)
