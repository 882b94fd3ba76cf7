"""Every kind of run on the device: nothing mixes devices, and no line of the package waits for it."""

import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from skd_mm.engine.prelude import run_prelude
from skd_mm.registry import CONNECTORS, LOSSES, MEMORIES, RECIPES
from skd_mm.routing import GATES
from tests.device.kinds import BANK, HEAD, KINDS, distiller
from tests.helpers import config, differing, train_killed

# The first iteration of a phase finds out what is worth caching, and what an earlier process of the run has left.
CACHES = ('cache in memory', 'cache on the host', 'cache on disk', 'cache in bfloat16', 'cache of views')


def check(device):
    """No line of the package made the host wait within an iteration; the message says which did."""
    assert device.steps
    found = {kind: device.find(kind) for kind in ('wait', 'copy')}
    assert not any(found.values()), '\n'.join(device.report(kind) for kind in found)


@HOOKS.register_module(force=True)
class Poison(Hook):
    """Makes one batch NaN, and records the parameters after each iteration."""

    distiller = None
    states: list[dict] = []

    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        Poison.distiller = runner.train_loop.distiller
        if batch_idx == self.at:
            data_batch['inputs'] = [image * float('nan') for image in data_batch['inputs']]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append(parameters())


def parameters():
    return {name: value.detach().cpu().clone() for name, value in Poison.distiller.named_parameters()}


@pytest.mark.parametrize('kind', KINDS)
def test_no_line_of_the_package_waits(kind, run, amp, device, tmp_path):
    run(config(tmp_path, **KINDS[kind]))
    check(device)
    # The first iteration also hashes the weights on which features on disk depend.
    device.records = [record for record in device.records if 'cache/fingerprint.py' not in record.line]
    most = device.phases if kind in CACHES else 0
    assert len(device.find('wait', first=True)) <= most, device.report('wait', first=True)


def test_a_validation_of_features_waits_once_per_batch(run, device, tmp_path):
    run(config(tmp_path, **KINDS['stagewise']))
    waits = [record for record in device.records if record.kind == 'wait' and record.ours]
    assert len(waits) == 3 * 2, waits  # phases without the task, batches


def types_in(value):
    """All values of ``type`` in a config."""
    if isinstance(value, dict):
        found = [value['type']] if 'type' in value else []
        value = list(value.values())
    else:
        found = []
    if isinstance(value, list | tuple):
        found += [name for part in value for name in types_in(part)]
    return found


def test_nothing_is_left_out():
    """Who adds a loss, a connector, a memory, a recipe or a gate adds a run of it, here or in another kind's."""
    automatic = {'Conv1x1', 'ChannelsFirst', 'TokensToMap'}  # of connector='auto'; the last two only rearrange
    alike = {'RestoreChannels'}  # a Conv1x1 that starts with other values
    named = {str(name).removeprefix('skd_mm.') for name in types_in(KINDS)} | automatic | alike
    for registry in (LOSSES, CONNECTORS, MEMORIES, RECIPES):
        registry.import_from_location()
        own = {name for name, part in registry.module_dict.items() if part.__module__.startswith('skd_mm.')}
        assert own and own <= named, f'no run has {sorted(own - named)}'
    assert {f'router {gate}' for gate in GATES} <= KINDS.keys()


def test_a_resumed_run(run, device, tmp_path):
    cfg = config(tmp_path, schedule=dict(type='Stagewise', phase_iters=3, val_interval=1))
    train_killed(cfg, 'after_train_iter', at=5)
    run(cfg, resume=True)
    assert device.steps == 8
    check(device)


def test_a_prelude(run, device, tmp_path):

    def loader(split):
        return dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
                    dataset=dict(type='skd_mm.SyntheticDigits', num_classes=3, split=split, per_class=8,
                                 pipeline=[dict(type='mmpretrain.PackInputs')]))

    Config(dict(
        default_scope='mmpretrain',
        model=dict(type='ImageClassifier', backbone=dict(type='skd_mm.LeNet5'), neck=None,
                   head=dict(type='LinearClsHead', num_classes=3, in_channels=84)),
        data_preprocessor=dict(mean=[60.], std=[75.], to_rgb=False),
        train_dataloader=loader('train'), val_dataloader=loader('test'), val_evaluator=dict(type='Accuracy'),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=6, val_interval=6), val_cfg=dict(type='ValLoop'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-3)),
        randomness=dict(seed=0), log_level='WARNING')).dump(str(tmp_path / 'plain.py'))
    spot = dict(name='logits', student=HEAD, teacher='bank', loss=dict(type='KDLoss'))
    schedule = dict(type='Simultaneous', phase_iters=2)
    cfg = config(tmp_path, prelude=dict(cfg=str(tmp_path / 'plain.py')), schedule=schedule,
                 model=distiller([spot], teacher=dict(BANK, rows=1, checkpoint='prelude/bank.pth')))
    run(run_prelude(cfg))
    rows = torch.load(cfg.model.teacher.checkpoint, weights_only=True)['state_dict']['bank.logits']
    assert rows.device.type == 'cpu'
    check(device)


@pytest.mark.parametrize('scaled', [False, True])
def test_a_loss_that_is_not_finite(scaled, run, amp, device, tmp_path):
    """Without a scaler it ends the run, with one the step is skipped; in both cases no parameter changes."""
    wrapper = dict(type='skd_mm.AmpOptimWrapper' if scaled else 'OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    cfg = config(tmp_path, custom_hooks=[dict(type='mmengine.Poison', at=2)], optim_wrapper=wrapper, param_scheduler=[],
                 schedule=dict(type='Simultaneous', phase_iters=4))
    states = Poison.states = []
    if not scaled:
        with pytest.raises(FloatingPointError, match=r'iteration 3 of 4: the loss is not finite: decode\.loss_ce is'):
            run(cfg)
        assert not differing(states[1], parameters())
        return
    run(cfg)
    assert [bool(differing(one, other)) for one, other in itertools.pairwise(states)] == [True, False, True]
