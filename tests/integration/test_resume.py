"""Rule 6: a run that is killed anywhere and resumed ends in the same weights, bit by bit, as one that was not."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.helpers import (
    RANDOM,
    READS,
    SPOTS,
    config,
    differing,
    last_checkpoint,
    load,
    network,
    train,
    train_killed,
)
from tests.integration.unlabelled_runs import partly_labelled
from tests.segmentation_methods import HOLISTIC, METHODS

KEEP = dict(logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='skd_mm.PhaseCheckpointHook', save_best='mIoU', max_keep_ckpts=-1))
MODEL = dict(type='skd_mm.Distiller', student=network(dropout=0.3), teacher=network(),
             spots=[SPOTS[0], dict(student=SPOTS[1], connector=dict(type='Conv1x1')), SPOTS[2]])
STOPPING = dict(type='EarlyStoppingHook', monitor='spot_loss', rule='less', patience=1, min_delta=0.05, strict=False)
EMBED = dict(type='Embed', normalize=True)
STEPS = [dict(type='OneCycleLR', eta_max=2e-2, by_epoch=False), dict(type='skd_mm.OneCycleMomentum', by_epoch=False),
         dict(type='ExponentialLR', gamma=0.9, by_epoch=True)]
LOGITS = dict(name='logits', student='decode_head.conv_seg', teacher='bank', loss=dict(type='KDLoss'),
              discriminator=dict(type='LabelDiscriminator', embedding=4, channels=(8, 6)))
WEIGHTS = {'logits': 0.9, 'logits.discriminator': 0.1}

# Images that each start reads to find the parameters that the student's own losses reach.
PROBED = [0, 1]

RUNS = {
    # What a user may have on at once: random images, dropout, a moving average, half precision, clipping.
    'everything': dict(
        model=MODEL, pipeline=RANDOM, default_hooks=KEEP, param_scheduler=STEPS,
        custom_hooks=[dict(type='EMAHook', momentum=0.3), STOPPING],
        optim_wrapper=dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='Adam', lr=1e-2),
                           clip_grad=dict(max_norm=0.5)),
        schedule=dict(type='Stagewise', phase_epochs=3, val_interval=1)),
    # Gradients of several iterations make an update, and an epoch is no multiple of them.
    'accumulation': dict(
        model=MODEL, pipeline=RANDOM, default_hooks=KEEP,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
                           accumulative_counts=2),
        schedule=dict(type='Stagewise', phase_epochs=3, val_interval=1, handover='last')),
    'cache': dict(model=MODEL, default_hooks=KEEP,
                  schedule=dict(type='Stagewise', phase_epochs=2, val_interval=1, cache=1)),
    # Random views that are kept in files, rounded: what is read back is what was computed.
    'files': dict(model=MODEL, pipeline=RANDOM, default_hooks=KEEP,
                  schedule=dict(type='Stagewise', phase_epochs=3, val_interval=1,
                                cache=dict(memory=1e-5, disk=1, dtype='bfloat16', views=2))),
    # A paraphraser that learns first, a memory, a policy with its gates, and random images.
    'routed': dict(
        model=dict(type='skd_mm.Distiller', student=network(dropout=0.3), teacher=network(), router=dict(gamma=2),
                   spots=[dict(student=SPOTS[1], loss=dict(type='CRDLoss'), connector=EMBED, teacher_connector=EMBED,
                               memory=dict(type='ContrastMemory', num_samples=12, negatives=4)),
                          dict(name='factor', student=SPOTS[2], loss=dict(type='FTLoss'),
                               connector=dict(type='Translator'), teacher_connector=dict(type='Paraphraser'),
                               teacher_decoder=dict(type='ParaphraserDecoder')),
                          dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'))]),
        pipeline=RANDOM, default_hooks=KEEP,
        optim_wrapper=dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9),
                           paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5)})),
        schedule=dict(type='Simultaneous', phase_epochs=3, val_interval=1, prepare=dict(spots=['factor.teacher'],
                                                                                        epochs=2))),
    # Two optimizers that take turns, and a teacher that draws its answers, in half precision; the first phase is judged
    # by what it draws.
    'adversarial': dict(
        model=dict(type='skd_mm.Distiller', student=network(dropout=0.3), spots=[LOGITS],
                   teacher=dict(type='skd_mm.TargetBank', num_classes=3, rows=5, stride=1)),
        pipeline=RANDOM, default_hooks=KEEP, param_scheduler=STEPS,
        optim_wrapper=dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='Adam', lr=1e-2), accumulative_counts=2),
        schedule=dict(type='Phases', phase_epochs=2, val_interval=1, phases=[
            dict(name='targets', train='all', spots=WEIGHTS), dict(name='all', train='all', task=0.1, spots=WEIGHTS)])),
    # Every segmentation method at once, in half precision: queues of pixels by class, masks that are drawn, a
    # discriminator of raw logits, statistics of the batch.
    'segmentation': dict(
        model=dict(type='skd_mm.Distiller', student=network(dropout=0.3), teacher=network(width=6),
                   spots=[*(dict(spot, name=name) for name, spot in METHODS.items()), dict(HOLISTIC, name='ho')]),
        pipeline=RANDOM, default_hooks=KEEP, param_scheduler=[],
        optim_wrapper=dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
        schedule=dict(type='Simultaneous', phase_epochs=4, val_interval=1, average=False,
                      spots={**dict.fromkeys(METHODS, 1), 'MGD': 1e-3, 'ho': 1, 'ho.discriminator': 0.001})),
    # The loss is scaled: steps are skipped while the scale is too large, and it grows again after three good ones.
    'scaled': dict(
        model=MODEL, pipeline=RANDOM, default_hooks=KEEP, param_scheduler=[],
        optim_wrapper=dict(type='mmengine.ScaledOptimWrapper', growth_interval=3, optimizer=dict(type='SGD', lr=0.05)),
        schedule=dict(type='Phases', phase_epochs=4, val_interval=1, phases=[dict(name='all', train='all', task=8)])),
    # All stages at once on the teacher's features, with connectors from its width to the student's.
    'parallel': dict(
        model=dict(type='skd_mm.Distiller', student=network(dropout=0.3), teacher=network(width=6),
                   spots=[dict(student=spot, connector='auto', input_connector='auto') for spot in SPOTS]),
        pipeline=RANDOM, default_hooks=KEEP, param_scheduler=[],
        schedule=dict(type='ParallelStages', phase_epochs=2, val_interval=1, polish=dict())),
    # Phases on images without labels, on images with labels, and on both in one batch.
    'unlabelled': dict(partly_labelled(), pipeline=RANDOM, default_hooks=KEEP, param_scheduler=[]),
    # Checkpoints between validations, lengths in iterations, no multiple of anything.
    'iterations': dict(
        model=MODEL, pipeline=RANDOM, param_scheduler=[],
        default_hooks=dict(KEEP, checkpoint=dict(KEEP['checkpoint'], interval=2)),
        schedule=dict(type='FitNets', hints=[SPOTS[1]], phase_iters=7, val_interval=3, fraction=0.75)),
}


@pytest.fixture(scope='module')
def reference(tmp_path_factory):
    """The folder of the undisturbed run of each kind; trained when first asked for."""
    folders = {}

    def get(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            train(config(folders[kind], **RUNS[kind]))
        return folders[kind]

    return get


def assert_same(one, other, path=''):
    """Two nests of anything are the same, tensors bit for bit."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f'{path}.{key}')
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f'{path}[{i}]')
    elif isinstance(one, torch.Tensor):
        assert not differing(dict(x=one), dict(x=other)), path
    else:
        assert one == other, path


def assert_same_runs(expected, folder):
    """All that the two runs have written: every checkpoint with its optimizer, and the best of every phase."""
    names = sorted(path.name for path in expected.glob('*.pth'))
    assert sorted(path.name for path in folder.glob('*.pth')) == names
    for name in names:
        one, other = load(expected / name), load(folder / name)
        for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'best', 'schedule'):
            assert_same(one.get(key), other.get(key), f'{name}: {key}')
    assert not list(folder.glob('.*unfinished'))
    fractions = [{path.name: path.read_text() for path in run.glob('fraction*')} for run in (folder, expected)]
    assert fractions[0] == fractions[1]


KILLS = [
    ('everything', 'before_train_iter', 2, 'VERY_HIGH'),  # before there is any checkpoint
    ('everything', 'after_train_iter', 5, 'VERY_HIGH'),  # after the step, before the average and the schedules
    ('everything', 'before_val_iter', 3, 'VERY_HIGH'),  # in a validation
    ('everything', 'after_val_epoch', 2, 'VERY_HIGH'),  # before the best is kept
    ('everything', 'after_step', 4, 'VERY_HIGH'),
    ('everything', 'after_phase', 1, 'VERY_HIGH'),  # at the boundary
    ('everything', 'before_phase', 3, 'VERY_HIGH'),
    ('accumulation', 'before_train_iter', 5, 'VERY_HIGH'),
    ('accumulation', 'before_train_iter', 14, 'VERY_HIGH'),
    ('cache', 'before_train_iter', 11, 'VERY_HIGH'),
    ('cache', 'before_val_iter', 6, 'VERY_HIGH'),
    ('files', 'before_train_iter', 8, 'VERY_HIGH'),
    ('files', 'before_val_iter', 9, 'VERY_HIGH'),
    ('routed', 'before_train_iter', 5, 'VERY_HIGH'),  # while the paraphraser learns
    ('routed', 'after_train_iter', 11, 'VERY_HIGH'),
    ('adversarial', 'before_train_iter', 6, 'VERY_HIGH'),
    ('adversarial', 'before_val_iter', 3, 'VERY_HIGH'),
    ('adversarial', 'before_train_iter', 11, 'VERY_HIGH'),
    ('scaled', 'before_train_iter', 8, 'VERY_HIGH'),
    ('iterations', 'before_train_iter', 6, 'VERY_HIGH'),
    ('iterations', 'before_train_iter', 13, 'VERY_HIGH'),
    ('unlabelled', 'before_train_iter', 17, 'VERY_HIGH'),  # with images of both kinds in the batch
]
MORE = [
    *(('everything', 'before_train_iter', at, 'VERY_HIGH') for at in (1, 4, 7, 10, 19, 25)),
    ('everything', 'after_val_epoch', 3, 'LOWEST'),  # the best is kept, the last is not
    ('everything', 'after_val_epoch', 4, 'VERY_LOW'),
    *(('everything', 'before_save_checkpoint', at, 'VERY_LOW') for at in (1, 2, 3, 4, 6, 9)),
    *(('everything', 'after_step', at, 'LOWEST') for at in (1, 3, 6, 9)),
    ('everything', 'before_train_epoch', 4, 'VERY_HIGH'), ('everything', 'after_train_epoch', 3, 'VERY_HIGH'),
    ('everything', 'before_phase', 1, 'LOWEST'), ('everything', 'after_phase', 3, 'LOWEST'),
    ('everything', 'after_train', 1, 'VERY_HIGH'),  # after the last checkpoint
    *(('accumulation', 'before_train_iter', at, 'VERY_HIGH') for at in range(6, 13)),
    *(('iterations', 'before_train_iter', at, 'VERY_HIGH') for at in (3, 4, 5, 7, 8, 9, 10)),
    ('cache', 'after_step', 7, 'LOWEST'), ('cache', 'after_phase', 2, 'LOWEST'),
    ('unlabelled', 'before_train_iter', 5, 'VERY_HIGH'),
]


@pytest.mark.parametrize(('kind', 'event', 'at', 'priority'), [
    *KILLS, *(pytest.param(*kill, marks=pytest.mark.slow) for kill in MORE)])
def test_a_killed_run_that_is_resumed_ends_in_the_same_weights(reference, tmp_path, kind, event, at, priority):
    expected = reference(kind)
    cfg = config(tmp_path, **RUNS[kind])
    train_killed(cfg, event, at, priority=priority)
    train(cfg, resume=True)
    assert_same_runs(expected, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('kind', list(RUNS))
@pytest.mark.parametrize('every', [5, 7])
def test_a_run_that_is_killed_again_and_again(reference, tmp_path, kind, every):
    cfg = config(tmp_path, **RUNS[kind])
    for attempt in range(40):
        try:
            train_killed(cfg, 'before_train_iter', every, resume=attempt > 0)
        except AssertionError:
            break  # it came to its end
    else:
        raise AssertionError('the run makes no progress')
    assert attempt >= 1
    assert_same_runs(reference(kind), tmp_path)


@pytest.mark.slow
def test_data_workers_make_no_difference(reference, tmp_path):
    cfg = config(tmp_path, workers=2, **RUNS['everything'])
    train_killed(cfg, 'before_train_iter', 9)
    train(cfg, resume=True)
    assert_same_runs(reference('everything'), tmp_path)


def test_resuming_reads_no_image_that_was_trained_on(reference, tmp_path):
    cfg = config(tmp_path, **RUNS['iterations'])
    train_killed(cfg, 'before_train_iter', 6)
    READS.clear()
    train(cfg, resume=True)
    # 14 iterations of 4 images; the checkpoint is of iteration 4.
    assert len(READS) == len(PROBED) + 4 * (14 - 4)


def test_a_validation_that_was_due_is_run_first_and_the_step_is_not_trained_twice(reference, tmp_path):
    events = []
    cfg = config(tmp_path, **RUNS['iterations'])
    train_killed(cfg, 'before_val_iter', 1)  # after iteration 3, whose checkpoint is of iteration 2
    from mmengine.hooks import Hook
    from mmengine.registry import HOOKS

    @HOOKS.register_module(name='ToyEvents', force=True)
    class ToyEvents(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            events.append(runner.iter)

        def before_val_epoch(self, runner):
            events.append('validation')

    cfg.custom_hooks = [dict(type='ToyEvents')]
    train(cfg, resume=True)
    assert events[:4] == [2, 'validation', 3, 4]


def test_resuming_a_finished_run_changes_nothing(reference, tmp_path):
    cfg = config(tmp_path, **RUNS['cache'])
    train(cfg)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')}
    READS.clear()
    runner = train(cfg, resume=True)
    assert READS == PROBED
    assert {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')} == before
    assert not differing(dict(runner.model.state_dict()), dict(last_checkpoint(tmp_path)['state_dict']))


def test_resuming_where_there_is_nothing_starts_from_the_beginning(reference, tmp_path):
    train(config(tmp_path, **RUNS['cache']), resume=True)
    assert_same_runs(reference('cache'), tmp_path)


def test_a_run_that_begins_anew_never_goes_on_from_an_earlier_one(reference, tmp_path):
    run, other = tmp_path / 'run', config(tmp_path / 'run', {'randomness.seed': 7}, **RUNS['cache'])
    train(other)
    before = {path.name: path.read_bytes() for path in [*run.glob('*.pth'), run / 'last_checkpoint']}
    cfg = config(run, **RUNS['cache'])
    train_killed(cfg, 'before_train_iter', 2)  # it has no checkpoint yet
    earlier, = run.glob('earlier_*')
    assert {path.name: path.read_bytes() for path in earlier.iterdir()} == before
    train(cfg, resume=True)
    assert_same_runs(reference('cache'), run)
    other.work_dir = str(earlier)
    READS.clear()
    train(other, resume=True)
    assert READS == PROBED and len(list(run.glob('earlier_*'))) == 1


def test_a_run_that_begins_with_an_earlier_ones_weights_finds_them(tmp_path):
    train(config(tmp_path, **RUNS['cache']))
    best, = tmp_path.glob('best_mIoU*.pth')
    cfg = config(tmp_path, **RUNS['cache'])
    cfg.model.student.init_cfg = dict(type='Pretrained', checkpoint=str(best), prefix='student.')
    train_killed(cfg, 'before_train_iter', 1)
    assert (tmp_path / 'earlier_1' / best.name).is_file() and not best.is_file()


def test_a_config_that_was_changed_is_said(tmp_path, monkeypatch):
    from mmengine.logging import MMLogger
    cfg = config(tmp_path, log_level='WARNING', **RUNS['cache'])
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: f'lr = {self.optim_wrapper.optimizer.lr}'))
    said = []
    monkeypatch.setattr(MMLogger, 'callHandlers', lambda self, record: said.append(record.getMessage()))
    monkeypatch.setattr('tests.helpers.quick', nullcontext)
    train_killed(cfg, 'before_train_iter', 5)
    train_killed(cfg, 'before_train_iter', 1, resume=True)
    assert not [line for line in said if 'a changed config' in line]
    cfg.optim_wrapper.optimizer.lr = 0.5
    train_killed(cfg, 'before_train_iter', 1, resume=True)
    line, = [line for line in said if 'a changed config' in line]
    assert line.endswith(':\n-lr = 0.01\n+lr = 0.5')


def test_a_checkpoint_in_another_folder(reference, tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    cfg = config(old, **RUNS['cache'])
    train_killed(cfg, 'before_train_iter', 10)
    cfg.work_dir, cfg.load_from = str(new), str(old / 'iter_9.pth')
    train(cfg, resume=True)
    one, other = last_checkpoint(reference('cache')), last_checkpoint(new)
    for key in ('state_dict', 'optimizer', 'best'):
        assert_same(one[key], other[key], key)


def test_a_run_without_a_seed_keeps_its_own(tmp_path):
    cfg = config(tmp_path / 'a', **RUNS['iterations'])
    cfg.randomness = dict(seed=None)
    train_killed(cfg, 'before_train_iter', 8)
    state = load(tmp_path / 'a/iter_7.pth')
    READS.clear()
    train(cfg, resume=True)
    resumed = READS[len(PROBED):]
    assert last_checkpoint(tmp_path / 'a')['schedule']['seed'] == state['schedule']['seed']
    other = config(tmp_path / 'b', {'randomness.seed': state['schedule']['seed']}, **RUNS['iterations'])
    READS.clear()
    train(other)
    assert READS[len(PROBED) + 1 + 4 * 7:] == resumed  # one more image is read to check the task


@pytest.mark.parametrize(('changes', 'words'), [
    (dict(schedule=dict(type='NoTeacher', phase_epochs=2)), r"has the phases \['backbone.* config \['no_teacher'\]"),
    (dict(model=dict(MODEL, spots=SPOTS[:2])), 'has the phases')])
def test_a_checkpoint_of_another_schedule_is_refused(tmp_path, changes, words):
    cfg = config(tmp_path, **RUNS['cache'])
    train_killed(cfg, 'before_train_iter', 4)
    with pytest.raises(ValueError, match=words):
        train(config(tmp_path, **dict(RUNS['cache'], **changes)), resume=True)


def test_a_checkpoint_of_no_schedule_is_refused(tmp_path):
    cfg = config(tmp_path, **RUNS['cache'])
    train_killed(cfg, 'before_train_iter', 4)
    path = tmp_path / 'iter_3.pth'
    checkpoint = load(path)
    del checkpoint['schedule']
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=r'was not written by a schedule; .* as `load_from` without --resume'):
        train(cfg, resume=True)


def test_weights_can_be_loaded_without_resuming(tmp_path):
    cfg = config(tmp_path / 'a', **RUNS['cache'])
    train_killed(cfg, 'before_train_iter', 4)
    other = config(tmp_path / 'b', load_from=str(tmp_path / 'a/iter_3.pth'),
                   **dict(RUNS['cache'], schedule=dict(type='NoTeacher', phase_iters=1)))
    from mmengine.hooks import Hook
    from mmengine.registry import HOOKS
    seen = []

    @HOOKS.register_module(name='ToyStart', force=True)
    class ToyStart(Hook):

        def before_phase(self, runner):
            seen.append({name: value.clone() for name, value in runner.model.state_dict().items()})

    other.custom_hooks = [dict(type='ToyStart')]
    train(other)
    assert not differing(seen[0], dict(load(tmp_path / 'a/iter_3.pth')['state_dict']))


# In a process of its own, killed by the system

@pytest.mark.slow
@pytest.mark.parametrize('moment', ['in a validation', 'while a checkpoint is written'])
def test_a_killed_process(reference, tmp_path, repo, moment):
    cfg = config(tmp_path / 'run', **RUNS['everything'])
    event, at = {'in a validation': ('before_val_iter', 5),
                 'while a checkpoint is written': ('before_save_checkpoint', 6)}[moment]
    cfg.custom_imports = dict(imports=['tests.helpers'])
    cfg.dump(str(tmp_path / 'plain.py'))
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='mmengine.SystemKillHook', event=event, at=at, priority='LOWEST')]
    cfg.dump(str(tmp_path / 'killed.py'))

    def start(name, *options):
        return subprocess.run(
            [sys.executable, 'tools/train.py', str(tmp_path / name), '--work-dir', str(tmp_path / 'run'), *options],
            cwd=repo, env=dict(os.environ, PYTHONPATH=str(repo), OMP_NUM_THREADS='1'), capture_output=True, text=True)

    first = start('killed.py')
    assert first.returncode == -signal.SIGKILL, first.stderr[-3000:]
    second = start('plain.py', '--resume')
    assert second.returncode == 0, second.stderr[-3000:]
    assert_same_runs(reference('everything'), tmp_path / 'run')


def test_the_last_checkpoint_is_named_by_its_full_path(reference):
    assert Path((reference('cache') / 'last_checkpoint').read_text()).is_file()
