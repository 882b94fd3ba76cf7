"""Whole toy runs that must equal other runs: plain training, uncached training, the same by the command line."""

import os
import shutil
import sys
import threading
from collections import Counter
from contextlib import nullcontext

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, MODELS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from skd_mm.config import follow_schedule, load_config
from skd_mm.datasets.seeded import PhaseSampler, SeededDataset
from skd_mm.features.cache import copies, feature_cache
from tests.helpers import (
    PIPELINE,
    RANDOM,
    SPOTS,
    Killed,
    ToySegDataset,
    build_distiller,
    calls,
    config,
    differing,
    last_checkpoint,
    load,
    log_lines,
    network,
    quick,
    state,
    train,
)

ALL = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', max_keep_ckpts=-1),
           logger=dict(type='LoggerHook', interval=1))


def with_aux(**changes):
    head = dict(network()['decode_head'], in_index=1, num_convs=0)
    return dict(network(**changes), auxiliary_head=dict(head, loss_decode=dict(head['loss_decode'], loss_weight=0.4)))


# No teacher is plain training

@pytest.mark.parametrize('student', [network(), with_aux(norm_eval=True)])
def test_without_a_teacher_it_is_mmsegmentations_own_training(tmp_path, student):
    distilled = config(tmp_path / 'a', model=dict(type='skd_mm.Distiller', student=student), pipeline=RANDOM,
                       schedule=dict(type='NoTeacher', phase_epochs=3), default_hooks=ALL,
                       val_dataloader=None, val_cfg=None, val_evaluator=None)
    start = {}

    @HOOKS.register_module(name='ToyStart', force=True)
    class ToyStart(Hook):

        def before_phase(self, runner):
            start.update({name: value.clone() for name, value in runner.model.student.state_dict().items()})

    @HOOKS.register_module(name='ToyLoad', force=True)
    class ToyLoad(Hook):

        def before_train(self, runner):
            runner.model.load_state_dict(start)

    distilled.custom_hooks = [dict(type='ToyStart')]
    first = train(distilled)

    init_default_scope('mmseg')
    dataset = SeededDataset(DATASETS.build(distilled.train_dataloader.dataset))
    loader = DataLoader(dataset, batch_size=4, sampler=PhaseSampler(range(12), 4, seed=0, phase=0), drop_last=True,
                        collate_fn=pseudo_collate)
    plain = config(tmp_path / 'b', model=student, custom_hooks=[dict(type='ToyLoad')],
                   val_dataloader=None, val_cfg=None, val_evaluator=None)
    schedule = [dict(entry, total_steps=9) for entry in plain.param_scheduler]
    with quick():
        second = Runner(
            model=MODELS.build(plain.model.to_dict()), work_dir=plain.work_dir, train_dataloader=loader,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=9), optim_wrapper=plain.optim_wrapper.to_dict(),
            param_scheduler=schedule, custom_hooks=[dict(type='ToyLoad')], randomness=dict(seed=3),
            default_scope='mmseg', experiment_name=f'plain{id(plain)}', log_level='WARNING')
        second.train()
    assert differing(start, dict(second.model.state_dict()))
    assert not differing(dict(first.model.student.state_dict()), dict(second.model.state_dict()))


# A copy of the teacher

def test_a_copy_of_the_teacher_learns_nothing(tmp_path):
    still = network(norm_eval=True)
    teacher = build_distiller(still, None, [], seed=5).student
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    side = dict(cfg=Config(dict(model=still, default_scope='mmseg')), checkpoint=str(tmp_path / 'teacher.pth'))
    cfg = config(tmp_path / 'run')
    cfg.model = dict(type='skd_mm.Distiller', student=dict(side), teacher=dict(side), spots=SPOTS)
    runner = train(cfg)
    lines = log_lines(tmp_path / 'run')
    losses = [line['loss'] for line in lines if 'loss' in line and line['phase'] != 'task_head']
    measures = [line['spot_loss'] for line in lines if 'spot_loss' in line]
    assert losses == [0.] * 18 and measures == [0.] * 6
    assert not differing(dict(teacher.backbone.state_dict()), dict(runner.model.student.backbone.state_dict()))


# The cache

@pytest.mark.parametrize(('student', 'changes'), [
    (with_aux(), {}),
    # The memory is full after a few images; the others round differently on their own.
    (with_aux(), {'schedule.cache': 3e-5, 'randomness.deterministic': True}),
    (with_aux(), {'schedule.cache': dict(disk=1.)}),
    (with_aux(), {'schedule.cache': dict(memory=3e-5, disk=1e-4), 'randomness.deterministic': True}),  # and the disk
    (network(dropout=0.3), {'custom_hooks': [dict(type='EMAHook', momentum=0.3)]}),
    (network(), {'optim_wrapper.type': 'skd_mm.AmpOptimWrapper'}),
    (network(), {'schedule.type': 'FitNets', 'schedule.hints': SPOTS[1]}),
    (network(), {'schedule.type': 'Simultaneous', 'optim_wrapper.accumulative_counts': 2})])
def test_a_run_with_the_cache_is_the_run_without(tmp_path, student, changes, request):
    request.addfinalizer(lambda: torch.use_deterministic_algorithms(False))
    model = dict(type='skd_mm.Distiller', student=student, teacher=with_aux(dropout=0.5), spots=SPOTS)
    for name, cache in (('with', changes.get('schedule.cache', 1.)), ('without', 0.)):
        cfg = config(tmp_path / name, {'schedule.cache': cache}, model=model, default_hooks=ALL)
        cfg.merge_from_dict({key: value for key, value in changes.items() if key != 'schedule.cache'})
        train(cfg)
    names = sorted(path.name for path in (tmp_path / 'with').glob('*.pth'))
    assert names and names == sorted(path.name for path in (tmp_path / 'without').glob('*.pth'))
    for name in names:
        one, other = load(tmp_path / 'with' / name), load(tmp_path / 'without' / name)
        assert not differing(dict(one['state_dict']), dict(other['state_dict']))
        assert one['best'] == other['best']
        assert all(value.isfinite().all() for value in one['state_dict'].values())


@pytest.mark.parametrize('split', ['train', 'val'])
def test_the_cache_knows_images_by_their_place_and_size(tmp_path, monkeypatch, split):
    """An image is padded to the largest of its batch; two data sets have files of one name."""
    load_all = ToySegDataset.load_data_list

    def load_data_list(self):
        infos = load_all(self)
        for i, info in enumerate(infos):
            info['img_path'] = f'{i}.png'
            if i % 3 and split == 'train' and not self.test_mode:
                info.update(img=info['img'][:8, :8], gt_seg_map=info['gt_seg_map'][:8, :8], img_shape=(8, 8))
        return infos

    monkeypatch.setattr(ToySegDataset, 'load_data_list', load_data_list)
    best = []
    for cache in (1., 0.):
        cfg = config(tmp_path / str(cache), {'schedule.cache': cache})
        if split == 'val':
            one = cfg.val_dataloader.dataset
            cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[one, dict(one, first=600)])
        else:
            for role in ('student', 'teacher'):
                cfg.model[role].data_preprocessor.update(size=None, size_divisor=4)
        train(cfg)
        best.append(last_checkpoint(tmp_path / str(cache)))
    assert best[0]['best'] == best[1]['best']
    assert not differing(dict(best[0]['state_dict']), dict(best[1]['state_dict']))


def test_a_cached_run_computes_the_teacher_once_an_image(tmp_path):
    counts = {}

    @HOOKS.register_module(name='ToyCounter', force=True)
    class ToyCounter(Hook):

        def before_train(self, runner):
            self.context = calls(runner.model.teacher)
            self.count = self.context.__enter__()

        def after_phase(self, runner):
            counts[runner.train_loop.phase.name] = self.count['backbone.layers.0']
            self.count.clear()

    train(config(tmp_path, {'schedule.cache': 1., 'schedule.phase_epochs': 4}, custom_hooks=[dict(type='ToyCounter')]))
    # 3 batches of training and 2 of validation; later epochs mix the batches anew, and all of it is there.
    assert counts == {SPOTS[0]: 5, SPOTS[1]: 5, SPOTS[2]: 5, 'task_head': 0}


def teacher_calls(cfg, resume=False, kill=None):
    """How often the teacher is run in each phase; the run may be killed before an iteration."""
    counts = Counter()

    @HOOKS.register_module(name='ToyPhaseCounter', force=True)
    class ToyPhaseCounter(Hook):

        def before_train(self, runner):
            runner.model.teacher.backbone.layers[0].register_forward_hook(
                lambda *args: counts.update([runner.train_loop.phase.name]))

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == kill:
                raise Killed

    cfg = Config(cfg.to_dict())
    cfg.custom_hooks = [dict(type='ToyPhaseCounter')]
    with pytest.raises(Killed) if kill else nullcontext():
        train(cfg, resume)
    return counts


def stored_batches(folder):
    return sum(len(journal.read_text().splitlines()) for journal in folder.glob('*/journal'))


def test_a_resumed_run_reads_the_files_of_its_phase_and_no_others(tmp_path):
    cfg = config(tmp_path / 'run', {'schedule.cache': dict(disk=1.), 'schedule.phase_epochs': 4}, images=16)
    # 4 batches of training and 2 of validation a phase.
    assert teacher_calls(config(tmp_path / 'whole', images=16, schedule=cfg.schedule)) == dict.fromkeys(SPOTS, 6)
    folder = tmp_path / 'run/feature_cache/rank0'
    killed = teacher_calls(cfg, kill=26)
    assert killed == {SPOTS[0]: 6, SPOTS[1]: 6} and stored_batches(folder) == 6
    # The first batch shows what the rest of the student reads; a batch with it may be in the files already.
    other = Config(cfg.to_dict())
    assert teacher_calls(cfg, resume=True) == {SPOTS[2]: 6}
    assert not (tmp_path / 'run/feature_cache').exists()
    shutil.rmtree(tmp_path / 'run')
    teacher_calls(other, kill=26)
    stale = list(folder.glob('*'))
    assert stored_batches(folder) == 6
    other.train_dataloader.dataset.pipeline = [dict(type='Resize', scale=(12, 12)), *PIPELINE]
    assert teacher_calls(other, resume=True) == {SPOTS[1]: 6, SPOTS[2]: 6}
    assert len(stale) == 1 and not stale[0].exists()


@pytest.mark.parametrize('cache', [dict(disk=1.), dict(host=1.), dict(host=1., memory=1e-5, disk=1., views=2)])
def test_features_are_read_ahead(tmp_path, monkeypatch, cache):
    """By another thread, in every batch of training whose features are stored and not on the device."""
    ahead, here = [], []
    copy = copies.to_device

    def to_device(rows, device):
        read = [block for block, _ in rows if block.tier in ('host', 'disk')]
        (here if threading.current_thread() is threading.main_thread() else ahead).append(len(read))
        return copy(rows, device)

    monkeypatch.setattr(copies, 'to_device', to_device)
    monkeypatch.setattr(feature_cache, 'to_device', to_device)
    views = cache.get('views', 1)
    schedule = dict(type='Stagewise', phase_epochs=2 + views, val_interval=9)
    pipeline = RANDOM if views > 1 else PIPELINE
    found = train(config(tmp_path / 'with', schedule=dict(schedule, cache=cache), pipeline=pipeline))
    # In each of 4 phases, the 3 batches of the last 2 epochs, and the one after them, which nobody asks for.
    assert 4 * 6 <= len(ahead) <= 4 * 7
    # Samples of the batch before were not stored when the first batch of the second epoch was announced.
    assert sum(here) <= 4 * 4
    if views == 1:
        expected = train(config(tmp_path / 'without', schedule=schedule))
        assert not differing(state(expected.model), state(found.model))


def test_a_bank_of_views(tmp_path):
    schedule = dict(type='Stagewise', phase_epochs=6, cache=dict(memory=1, views=2))
    calls = teacher_calls(config(tmp_path, pipeline=RANDOM, schedule=schedule))
    # Two views of 3 batches, and the validation.
    assert calls == dict.fromkeys(SPOTS, 2 * 3 + 2)
    losses = [line['loss'] for line in log_lines(tmp_path) if 'loss' in line]
    assert len(losses) == 4 * 18 and np.isfinite(losses).all()


# What users have: mmsegmentation's and mmpretrain's own configs

def test_an_iteration_based_config_of_mmsegmentation(tmp_path):
    base = config(
        tmp_path, train_cfg=dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=8000),
        param_scheduler=[dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=6, by_epoch=False)],
        default_hooks=dict(timer=dict(type='IterTimerHook'), sampler_seed=dict(type='DistSamplerSeedHook'),
                           logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
                           param_scheduler=dict(type='ParamSchedulerHook'),
                           checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=8000, save_best='mAcc')),
        log_processor=dict(by_epoch=False))
    base.dump(str(tmp_path / 'c.py'))
    cfg = load_config(str(tmp_path / 'c.py'), {'schedule.phase_epochs': 1})
    follow_schedule(cfg)
    assert cfg.train_cfg.type == 'skd_mm.PhaseLoop'
    runner = train(cfg)
    assert runner.iter == 12
    # Feature phases by their loss, the head by what the config says.
    assert (tmp_path / 'best_mAcc_phase03_task_head.pth').is_file()
    assert (tmp_path / f'best_spot_loss_phase00_{SPOTS[0]}.pth').is_file()


@pytest.mark.parametrize('cache', [0., 1.])
def test_an_epoch_based_config_of_mmpretrain(tmp_path, cache):
    cls_model = dict(
        type='ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=32, topk=(1, )))
    data = dict(type='mmengine.ToyClsDataset', pipeline=[dict(type='PackInputs')])
    cfg = dict(
        default_scope='mmpretrain', work_dir=str(tmp_path / 'run'),
        model=dict(type='skd_mm.Distiller', student=cls_model, teacher=cls_model,
                   spots=['backbone.stem', 'backbone.layer2', 'neck[-1]']),
        data_preprocessor=dict(mean=[90.] * 3, std=[50.] * 3, to_rgb=True, num_classes=3),
        schedule=dict(type='Stagewise', phase_epochs=2, val_interval=1, fraction=0.75, cache=cache),
        train_dataloader=dict(batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
                              dataset=dict(data, images=12), collate_fn=dict(type='default_collate')),
        val_dataloader=dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                            dataset=dict(data, images=3, first=100), collate_fn=dict(type='default_collate')),
        val_evaluator=dict(type='Accuracy', topk=(1, )), val_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=200, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4)),
        param_scheduler=dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.1),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='auto'),
                           logger=dict(type='LoggerHook', interval=1)),
        randomness=dict(seed=0), log_level='WARNING')
    Config(cfg).dump(str(tmp_path / 'c.py'))
    read = load_config(str(tmp_path / 'c.py'))
    follow_schedule(read)
    assert read.train_cfg.type == 'skd_mm.PhaseLoop'
    runner = train(read)
    assert runner.iter == 4 * 2 * 3
    best = runner.train_loop.checkpoints.best
    assert best['task_head']['metric'] == 'accuracy/top1' and best['neck[-1]']['metric'] == 'spot_loss'
    rates = [line['lr'] for line in log_lines(tmp_path / 'run') if 'loss' in line]
    assert rates == pytest.approx(([0.05] * 3 + [0.005] * 3) * 4)
    names = (tmp_path / 'run/fraction_0.75_seed_0.txt').read_text().splitlines()[1:]
    assert len(names) == 9  # three of the four images of each class
    assert sorted(int(name[-7:-4]) % 3 for name in names) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    if cache:
        plain = config(tmp_path / 'plain', {}, **{key: value for key, value in read.to_dict().items()
                                                 if key not in ('work_dir', 'experiment_name')})
        plain.work_dir, plain.schedule.cache = str(tmp_path / 'plain'), 0.
        train(plain)
        one, other = last_checkpoint(tmp_path / 'run'), last_checkpoint(tmp_path / 'plain')
        assert not differing(dict(one['state_dict']), dict(other['state_dict']))
        assert one['best'] == other['best']


def test_a_classifier_teaches_a_segmentor(tmp_path):
    cls_model = dict(type='mmpretrain.ImageClassifier',
                     backbone=dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
                     data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[1.] * 3, std=[2.] * 3))
    model = dict(type='skd_mm.Distiller', student=network(), teacher=cls_model, spots=[
        dict(student=SPOTS[0], teacher='backbone.stem'),
        dict(student=SPOTS[2], teacher='backbone.layer2', connector='auto')])
    runner = train(config(tmp_path, {'schedule.phase_epochs': 1}, model=model))
    assert runner.train_loop.checkpoints.best.keys() == {SPOTS[0], SPOTS[2], 'task_head'}


def test_pictures_may_be_drawn_in_every_phase(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(500, 503):
        mmcv.imwrite(np.zeros((12, 12, 3), np.uint8), f'images/{i}.png')
    hooks = dict(ALL, visualization=dict(type='SegVisualizationHook', draw=True, interval=1))
    visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='pictures')
    train(config(tmp_path, {'schedule.phase_epochs': 1}, default_hooks=hooks, visualizer=visualizer))
    assert list(tmp_path.glob('*/vis_data/vis_image/*'))


# The command line

def run_tool(tool, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['train.py', *map(str, arguments)])
    monkeypatch.setenv('LOCAL_RANK', os.environ.get('LOCAL_RANK', '0'))
    with quick():
        tool.main()


def test_the_tool_trains_resumes_and_takes_options(tmp_path, tool, monkeypatch):
    config(tmp_path / 'unused').dump(str(tmp_path / 'toy.py'))
    run_tool(tool, monkeypatch, tmp_path / 'toy.py', '--work-dir', tmp_path / 'run', '--cfg-options',
             'schedule.phase_epochs=1', 'schedule.fraction=0.75', 'experiment_name=toolrun')
    assert last_checkpoint(tmp_path / 'run')['meta']['iter'] == 8
    assert not (tmp_path / 'unused').exists()
    (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'run/iter_6.pth'))
    (tmp_path / 'run/iter_8.pth').unlink()
    run_tool(tool, monkeypatch, tmp_path / 'toy.py', '--work-dir', tmp_path / 'run', '--resume', '--cfg-options',
             'schedule.phase_epochs=1', 'schedule.fraction=0.75', 'experiment_name=toolresume')
    assert last_checkpoint(tmp_path / 'run')['meta']['iter'] == 8
    assert len(log_lines(tmp_path / 'run')) > 8


def test_the_tools_work_dir_is_named_after_the_config(tmp_path, tool, monkeypatch):
    cfg = config(tmp_path / 'unused', {'schedule.phase_epochs': 1}, experiment_name='toolname')
    cfg.pop('work_dir')
    cfg.dump(str(tmp_path / 'toy.py'))
    monkeypatch.chdir(tmp_path)
    run_tool(tool, monkeypatch, 'toy.py')
    assert last_checkpoint(tmp_path / 'work_dirs/toy')['meta']['iter'] == 12


def test_the_tools_amp_seed_and_auto_scale_lr(tmp_path, tool, monkeypatch):
    seen = []

    @HOOKS.register_module(name='ToyLook', force=True)
    class ToyLook(Hook):

        def before_phase(self, runner):
            seen.append((type(runner.optim_wrapper).__name__, runner.optim_wrapper.optimizer.param_groups[0]['lr'],
                         runner.train_loop.seed))

    cfg = config(tmp_path / 'run', {'schedule.phase_epochs': 1}, param_scheduler=[],
                 custom_hooks=[dict(type='ToyLook')], auto_scale_lr=dict(base_batch_size=8))
    cfg.dump(str(tmp_path / 'toy.py'))
    run_tool(tool, monkeypatch, tmp_path / 'toy.py', '--amp', '--auto-scale-lr', '--seed', 7)
    assert seen == [('AmpOptimWrapper', 5e-3, 7)] * 4


def test_the_tool_says_what_auto_scale_lr_needs(tmp_path, tool, monkeypatch):
    config(tmp_path / 'run').dump(str(tmp_path / 'toy.py'))
    with pytest.raises(SystemExit, match='base_batch_size'):
        run_tool(tool, monkeypatch, tmp_path / 'toy.py', '--auto-scale-lr')


def test_the_tool_trains_plain_models_too(tmp_path, tool, monkeypatch):
    cfg = config(tmp_path / 'run', model=network(), param_scheduler=[],
                 train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2))
    cfg.pop('schedule')
    cfg.dump(str(tmp_path / 'toy.py'))
    run_tool(tool, monkeypatch, tmp_path / 'toy.py')
    assert len(log_lines(tmp_path / 'run')) == 3  # two iterations and a validation
