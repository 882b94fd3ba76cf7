"""The files that the hook writes, with a stand-in for the Runner; whole runs are in ``test_phase_loop.py``."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook

from skd_mm.engine import PhaseCheckpointHook
from skd_mm.schedules import Phase

FEATURES = Phase('layer1', ['layer1'], spots=['layer1'], epochs=1)
TASK = Phase('head', ['head'], task=1, epochs=1)


class StandIn:
    """As much of a Runner as the hook asks for; a checkpoint is the number of the iteration."""

    def __init__(self, folder, hook, phase=TASK, index=0, iteration=0):
        self.work_dir = str(folder)
        self.train_loop = SimpleNamespace(phase=phase, index=index, iter=iteration, epoch=0,
                                          distiller=torch.nn.Identity())
        self.param_schedulers = []
        self.logger = logging.getLogger('stand-in')
        self.hook = hook
        self.calls = []
        self._resume, self._load_from = False, None

    def save_checkpoint(self, folder, name, **kwargs):
        self.calls.append(kwargs)
        checkpoint = dict(iter=self.train_loop.iter, meta=kwargs['meta'])
        self.hook.before_save_checkpoint(self, checkpoint)
        torch.save(checkpoint, Path(folder, name))

    def validate(self, iteration, **metrics):
        self.train_loop.iter = iteration
        self.hook.after_val_epoch(self, metrics)

    def step(self, iteration, due=True):
        self.train_loop.iter = iteration
        self.hook.after_step(self, due)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read(path):
    return torch.load(path, weights_only=False)


def test_the_best_is_kept_with_its_record(tmp_path):
    hook = PhaseCheckpointHook(save_best='mIoU')
    runner = StandIn(tmp_path, hook, index=3)
    for iteration, score in ((2, 0.1), (4, 0.3), (6, 0.3), (8, 0.2)):
        runner.validate(iteration, mIoU=score, aAcc=1 - score)
    assert names(tmp_path) == ['best_mIoU_phase03_head.pth']
    file = read(tmp_path / 'best_mIoU_phase03_head.pth')
    assert file['iter'] == 4
    record = dict(score=0.3, metric='mIoU', file='best_mIoU_phase03_head.pth', iter=4)
    assert file['best'] == hook.best == {'head': record}
    assert hook.handover_file(runner, 'head', 'best') == tmp_path / 'best_mIoU_phase03_head.pth'
    assert not any(call['save_optimizer'] for call in runner.calls)


def test_records_belong_to_their_phases(tmp_path):
    hook = PhaseCheckpointHook(save_best='mIoU')
    runner = StandIn(tmp_path, hook)
    runner.validate(2, mIoU=0.9)
    runner.train_loop.phase, runner.train_loop.index = Phase('next', ['a'], task=1, epochs=1), 1
    runner.validate(4, mIoU=0.1)
    assert [(name, record['score']) for name, record in hook.best.items()] == [('head', 0.9), ('next', 0.1)]
    assert names(tmp_path) == ['best_mIoU_phase00_head.pth', 'best_mIoU_phase01_next.pth']


def test_a_feature_phase_is_judged_by_its_loss_whatever_the_config_says_of_the_task(tmp_path):
    hook = PhaseCheckpointHook(save_best='mIoU', rule='greater')
    runner = StandIn(tmp_path, hook, FEATURES)
    for iteration, loss in ((1, 0.5), (2, 0.7), (3, 0.4)):
        runner.validate(iteration, spot_loss=loss)
    file = 'best_spot_loss_phase00_layer1.pth'
    assert hook.best['layer1'] == dict(score=0.4, metric='spot_loss', file=file, iter=3)


@pytest.mark.parametrize(('metrics', 'measure'), [
    (dict(aAcc=1, mIoU=2, mAcc=3), 'mIoU'), ({'x': 1, 'accuracy/top1': 2}, 'accuracy/top1'),
    (dict(x=1, y=2), 'x'),
    ({}, None)])
def test_auto_takes_what_is_usual(metrics, measure):
    assert PhaseCheckpointHook().metric(TASK, metrics) == measure


@pytest.mark.parametrize(('key', 'rule', 'worse', 'better'), [
    ('mIoU', None, 0.1, 0.2), ('my_loss', None, 0.2, 0.1), ('my_loss', 'greater', 0.1, 0.2),
    ('mIoU', 'less', 0.2, 0.1)])
def test_what_is_better(tmp_path, key, rule, worse, better):
    hook = PhaseCheckpointHook(save_best=key, rule=rule)
    runner = StandIn(tmp_path, hook)
    runner.validate(1, **{key: worse})
    runner.validate(2, **{key: better})
    runner.validate(3, **{key: worse})
    assert hook.best['head']['iter'] == 2


def test_a_validation_without_metrics_is_the_worst(tmp_path, caplog):
    hook = PhaseCheckpointHook(save_best='coco/bbox_mAP')
    runner = StandIn(tmp_path, hook)
    runner.validate(1)
    runner.validate(2)
    assert hook.best['head']['iter'] == 1 and hook.handover_file(runner, 'head', 'best').exists()
    assert 'the validation gives no metrics; it counts as the worst coco/bbox_mAP' in caplog.text
    runner.validate(3, **{'coco/bbox_mAP': 0.})
    runner.validate(4)
    assert hook.best['head']['score'] == 0 and hook.best['head']['iter'] == 3


def test_no_number_is_no_best(tmp_path):
    hook = PhaseCheckpointHook()
    runner = StandIn(tmp_path, hook)
    runner.validate(1, mIoU=float('nan'))
    assert not hook.best and not names(tmp_path)
    with pytest.raises(RuntimeError, match=r"phase 'head' has no best checkpoint .*`handover='last'`"):
        hook.handover_file(runner, 'head', 'best')
    runner.validate(2, mIoU=0.)
    runner.validate(3, mIoU=float('nan'))
    assert hook.best['head']['iter'] == 2


def test_the_published_start_of_a_loss(tmp_path):
    hook = PhaseCheckpointHook(best_start=100.)
    runner = StandIn(tmp_path, hook, FEATURES)
    runner.validate(1, spot_loss=150.)
    assert not hook.best
    runner.validate(2, spot_loss=99.)
    assert hook.best['layer1']['score'] == 99
    runner.train_loop.phase, hook.save_best = TASK, 'my_loss'
    runner.validate(3, my_loss=500.)  # it is the start of a feature phase's loss only
    assert hook.best['head']['score'] == 500


def test_an_unknown_measure_is_named_with_those_there_are():
    words = r"save_best='mIuO' is not among the metrics of the validation, \['aAcc', 'mIoU'\]"
    with pytest.raises(ValueError, match=words):
        PhaseCheckpointHook(save_best='mIuO').metric(TASK, dict(aAcc=1, mIoU=2))


def test_the_last_are_kept_and_pointed_at(tmp_path):
    hook = PhaseCheckpointHook(max_keep_ckpts=2)
    runner = StandIn(tmp_path, hook)
    (tmp_path / 'iter_90.pth').write_text('of a longer run that had this folder')
    (tmp_path / 'iter_note.pth').write_text('of a person')
    for iteration in (3, 6, 9, 12):
        runner.step(iteration - 1, due=False)
        runner.step(iteration)
    assert names(tmp_path) == ['iter_12.pth', 'iter_9.pth', 'iter_90.pth', 'iter_note.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_12.pth')
    assert hook.handover_file(runner, 'head', 'last') == tmp_path / 'iter_12.pth'
    assert all(call['save_optimizer'] and call['save_param_scheduler'] for call in runner.calls)
    assert runner.calls[-1]['meta'] == dict(epoch=0, iter=12)


def test_all_may_be_kept(tmp_path):
    hook = PhaseCheckpointHook(max_keep_ckpts=-1)
    runner = StandIn(tmp_path, hook)
    for iteration in range(1, 6):
        runner.step(iteration)
    assert len(list(tmp_path.glob('iter_*.pth'))) == 5


@pytest.mark.parametrize('moment', ['while it is written', 'before it is renamed'])
def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch, moment):
    hook = PhaseCheckpointHook()
    runner = StandIn(tmp_path, hook)
    runner.step(1)
    runner.validate(1, mIoU=0.1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*args, **kwargs):
        raise OSError('no space left')

    if moment == 'while it is written':
        save = runner.save_checkpoint
        monkeypatch.setattr(runner, 'save_checkpoint', lambda *args, **kwargs: (save(*args, **kwargs), fail()))
    else:
        monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='no space left'):
        runner.step(2)
    with pytest.raises(OSError, match='no space left'):
        runner.validate(2, mIoU=0.2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_old_files_are_removed_only_behind_the_new_one(tmp_path, monkeypatch):
    hook = PhaseCheckpointHook(max_keep_ckpts=2)
    runner = StandIn(tmp_path, hook)
    for iteration in (1, 2):
        runner.step(iteration)
    unlink = Path.unlink

    def look(path, missing_ok=False):
        if path.name.startswith('iter_'):
            assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_3.pth')
            assert (tmp_path / 'iter_3.pth').is_file()
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, 'unlink', look)
    runner.step(3)
    assert not (tmp_path / 'iter_1.pth').exists()


def test_names_of_phases_are_fit_for_files(tmp_path):
    hook = PhaseCheckpointHook(save_best='accuracy/top1')
    runner = StandIn(tmp_path, hook, Phase('a/b [0]: ü', ['x'], task=1, epochs=1), index=12)
    runner.validate(1, **{'accuracy/top1': 0.5})
    assert names(tmp_path) == ['best_accuracy_top1_phase12_a_b_0_ü.pth']


def test_only_a_resumed_checkpoint_gives_its_records(tmp_path):
    best = dict(head=dict(score=1., metric='x', file='best_x.pth', iter=3))
    checkpoint = dict(best=best, meta=dict(iter=6), schedule=dict(phase='head', phases=['head', 'more']))
    hook = PhaseCheckpointHook()
    runner = StandIn(tmp_path, hook)
    hook.after_load_checkpoint(runner, checkpoint)
    assert not hook.best and hook.last is None
    runner._resume = True
    with pytest.raises(FileNotFoundError, match=r'best_x\.pth'):
        hook.after_load_checkpoint(runner, checkpoint)  # now, and not when the phase is trained
    (tmp_path / 'best_x.pth').write_text('')
    hook.after_load_checkpoint(runner, checkpoint)
    assert hook.best == best and hook.last == 'iter_6.pth'


def test_a_file_may_lie_beside_the_checkpoint_that_was_resumed(tmp_path):
    hook = PhaseCheckpointHook()
    runner = StandIn(tmp_path / 'new', hook)
    (tmp_path / 'old').mkdir()
    (tmp_path / 'old/iter_6.pth').write_text('')
    runner._load_from = str(tmp_path / 'old/iter_6.pth')
    hook.last = 'iter_6.pth'
    assert hook.handover_file(runner, 'head', 'last') == tmp_path / 'old/iter_6.pth'
    hook.last = 'iter_7.pth'
    with pytest.raises(FileNotFoundError, match=r'the run needs iter_7\.pth, which is not in .*new or .*old'):
        hook.handover_file(runner, 'head', 'last')


@pytest.mark.parametrize(('cfg', 'expected'), [
    (dict(interval=1, save_best='mIoU', rule='greater', max_keep_ckpts=5), ('mIoU', 'greater', 5, 1, True)),
    (dict(interval=9, by_epoch=False, save_best=['mAcc', 'mIoU'], max_keep_ckpts=1), ('mAcc', 'greater', 2, 9, False)),
    (dict(save_best='loss', max_keep_ckpts=-1), ('loss', 'less', -1, None, True)),
    (dict(interval=-1, save_best='auto'), ('auto', None, 2, None, True)),
    (dict(), ('auto', None, 2, None, True))])
def test_replaces_mmengines_hook_with_its_settings(cfg, expected):
    hook = PhaseCheckpointHook.from_mmengine(CheckpointHook(**cfg), cfg)
    assert (hook.save_best, hook.rule, hook.max_keep_ckpts, hook.interval, hook.by_epoch) == expected


@pytest.mark.parametrize(('cfg', 'in_epochs', 'in_iters'), [
    (dict(), None, None), (dict(interval=3), 30, 3), (dict(interval=3, by_epoch=True), 30, 30),
    (dict(interval=3, by_epoch=False), 3, 3)])
def test_an_interval_has_the_unit_of_the_phase_unless_it_has_its_own(cfg, in_epochs, in_iters):
    hook = PhaseCheckpointHook(**cfg)
    assert hook.interval_in(TASK, epoch_length=10) == in_epochs
    assert hook.interval_in(Phase('x', ['x'], task=1, iters=7), epoch_length=10) == in_iters


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(max_keep_ckpts=1), '`max_keep_ckpts` must be 2 or more'),
    (dict(max_keep_ckpts=0), '`max_keep_ckpts` must be 2 or more'),
    (dict(max_keep_ckpts=''), "`max_keep_ckpts` must be 2 or more .* not ''"),
    (dict(interval=0), '`interval` must be a whole number from 1 on, or None, not 0'),
    (dict(by_epoch='yes'), "`by_epoch` must be True, False or None, not 'yes'"),
    (dict(interval='1'), "`interval` must be a whole number .* not '1'"),
    (dict(save_best=['mIoU']), r"`save_best` must be the name of a metric, not \['mIoU'\]"),
    (dict(best_start='x'), "`best_start` must be a number, not 'x'"),
    (dict(rule='more'), "`rule` must be 'greater' or 'less', not 'more'")])
def test_wrong_arguments(cfg, words):
    with pytest.raises(ValueError, match=words):
        PhaseCheckpointHook(**cfg)
