"""The loop in toy runs of the real Runner: what a phase trains, with what, from where; what is found before it."""

import re
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from tests.helpers import (
    PIPELINE,
    RANDOM,
    READS,
    SPOTS,
    calls,
    config,
    differing,
    load,
    log_lines,
    network,
    quick,
    state,
    train,
    train_killed,
)

STAGES = [*SPOTS, 'task_head']


@HOOKS.register_module(force=True)
class Recorder(Hook):
    """Notes what there is to note at every event of a run."""

    def __init__(self):
        self.phases = []
        self.iterations = []
        self.validations = []
        self.steps = []

    def before_phase(self, runner):
        model = runner.train_loop.distiller
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        groups = runner.optim_wrapper.optimizer.param_groups
        self.phases.append(dict(
            name=runner.train_loop.phase.name, before=state(model.student), teacher=state(model.teacher),
            held=[names[id(parameter)] for group in groups for parameter in group['params']],
            trainable=set(model.trainable()), optimizer=type(runner.optim_wrapper.optimizer).__name__,
            wrapper=runner.optim_wrapper, lr=[group['lr'] for group in groups],
            decay=[group.get('weight_decay') for group in groups], fresh=not runner.optim_wrapper.optimizer.state))

    def after_phase(self, runner):
        model = runner.train_loop.distiller
        self.phases[-1].update(after=state(model.student), iter=runner.train_loop.iter)
        assert not differing(self.phases[-1].pop('teacher'), state(model.teacher))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        loop, group = runner.train_loop, runner.optim_wrapper.optimizer.param_groups[0]
        self.iterations.append((loop.phase.name, loop.iter, loop.epoch, batch_idx, group['lr'],
                                group['betas'][0] if 'betas' in group else group.get('momentum')))

    def after_val_epoch(self, runner, metrics=None):
        self.validations.append((runner.train_loop.phase.name, runner.train_loop.iter, metrics))

    def after_step(self, runner, due):
        self.steps.append((runner.train_loop.iter, due))


def run(folder, changes=None, **top):
    """Trains a toy run with a recorder; gives the recorder, the Runner and the images read by phase."""
    top.setdefault('custom_hooks', [])
    top['custom_hooks'] = [*top['custom_hooks'], dict(type='mmengine.Recorder')]
    READS.clear()
    runner = train(config(folder, changes, **top))
    return next(hook for hook in runner.hooks if isinstance(hook, Recorder)), runner


def build(folder, changes=None, **top):
    """All that is done before the first iteration."""
    with quick():
        runner = Runner.from_cfg(config(folder, changes, **top))
        runner._train_loop = runner.build_train_loop(runner._train_loop)
    return runner


# One run of a stagewise schedule, looked at from all sides

@pytest.fixture(scope='module')
def stagewise(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stagewise')
    torch.manual_seed(0)
    cfg = dict(student=network(dropout=0.2), teacher=network(), spots=SPOTS, type='skd_mm.Distiller')
    recorder, runner = run(folder, model=cfg, log_level='INFO')
    return recorder, runner, folder


def test_the_phases_come_in_order(stagewise):
    recorder, _, _ = stagewise
    assert [phase['name'] for phase in recorder.phases] == STAGES
    assert [entry[:4] for entry in recorder.iterations] == [
        (STAGES[i // 6], i, i // 3, i % 6) for i in range(24)]


def test_outside_the_phase_nothing_moves(stagewise):
    for phase in stagewise[0].phases:
        moved = differing(phase['before'], phase['after'])
        part = 'decode_head.' if phase['name'] == 'task_head' else f'{phase["name"]}.'
        assert moved and all(name.startswith(part) for name in moved)
        # … and inside it everything does, statistics included.
        assert set(moved) == {name for name in phase['before'] if name.startswith(part)}


def test_the_optimizer_is_fresh_and_holds_exactly_what_learns(stagewise):
    for phase in stagewise[0].phases:
        assert phase['fresh']
        assert sorted(phase['held']) == sorted(phase['trainable'])
        part = 'decode_head.' if phase['name'] == 'task_head' else f'{phase["name"]}.'
        assert all(name.startswith(f'student.{part}') for name in phase['held'])


def test_one_cycle_is_as_long_as_the_phase_and_begins_anew(stagewise):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, total_steps=6)
    expected = []
    for _ in range(6):
        expected.append((optimizer.param_groups[0]['lr'], optimizer.param_groups[0]['betas'][0]))
        optimizer.step()
        schedule.step() if len(expected) < 6 else None
    by_phase = defaultdict(list)
    for name, *_, lr, beta in stagewise[0].iterations:
        by_phase[name].append((lr, beta))
    for values in by_phase.values():
        torch.testing.assert_close(values, expected)


def test_every_phase_end_and_interval_validates_and_then_saves(stagewise):
    recorder, *_ = stagewise
    assert [entry[:2] for entry in recorder.validations] == [(STAGES[(i - 1) // 6], i) for i in range(3, 25, 3)]
    assert [iteration for iteration, due in recorder.steps if due] == list(range(3, 25, 3))
    for name, _, metrics in recorder.validations:
        if name == 'task_head':
            assert 'mIoU' in metrics and not [key for key in metrics if 'spot' in key]
        else:
            assert metrics.keys() == {'spot_loss', f'spots.{name}.loss'}


def test_the_best_of_each_phase_is_handed_over_and_the_log_names_the_file(stagewise):
    recorder, runner, folder = stagewise
    log = next(folder.glob('*/*.log')).read_text()
    for k, phase in enumerate(recorder.phases[1:], 1):
        previous = recorder.phases[k - 1]
        file = folder / f'best_spot_loss_phase{k - 1:02d}_{previous["name"]}.pth'
        assert f'phase {phase["name"]} starts from {file} (best of {previous["name"]})' in log
        weights = load(file)['state_dict']
        for name, value in phase['before'].items():
            if f'student.{name}' in weights:
                assert torch.equal(weights[f'student.{name}'], value)
        scores = [metrics['spot_loss'] for name, _, metrics in recorder.validations if name == previous['name']]
        record = runner.train_loop.checkpoints.best[previous['name']]
        assert record['score'] == min(scores) and record['file'] == file.name
        assert record['iter'] == 6 * (k - 1) + 3 * (1 + scores.index(min(scores)))


def test_checkpoints_hold_student_and_connectors_and_where_the_run_stands(stagewise):
    _, runner, folder = stagewise
    checkpoint = load(folder / 'iter_24.pth')
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'iter_24.pth')
    assert set(checkpoint['state_dict']) == {f'student.{name}' for name in runner.model.student.state_dict()}
    assert checkpoint['schedule']['phase'] == 'task_head' and checkpoint['schedule']['phase_iter'] == 6
    assert checkpoint['schedule']['phases'] == STAGES
    assert checkpoint['best'].keys() == set(STAGES)
    assert 'optimizer' in checkpoint and 'param_schedulers' in checkpoint
    best = load(folder / 'best_mIoU_phase03_task_head.pth')
    assert 'optimizer' not in best
    assert not list(folder.glob('.*unfinished'))


def test_every_line_of_the_log_has_its_phase_and_the_runs_iteration(stagewise):
    _, _, folder = stagewise
    lines = log_lines(folder)
    training = [line for line in lines if 'loss' in line]
    assert [(line['step'], line['phase']) for line in training] == [(i + 1, STAGES[i // 6]) for i in range(24)]
    assert all('phase' in line for line in lines)
    for line in training:
        others = {f'spots.{spot}.loss' for spot in SPOTS} - {f'spots.{line["phase"]}.loss'}
        assert not others & line.keys()
    validation = [line for line in lines if 'loss' not in line and ('mIoU' in line or 'spot_loss' in line)]
    found = [(line['step'], line['phase']) for line in validation]
    assert found == [(i, STAGES[(i - 1) // 6]) for i in range(3, 25, 3)]
    text = next(folder.glob('*/*.log')).read_text()
    assert re.search(r'\[1/4 backbone\.layers\.0\] Iter\(train\) \[ 1/24\]', text)
    assert re.search(r'\[4/4 task_head\] Iter\(train\) \[24/24\]', text)


def test_the_first_phase_starts_from_the_initial_weights_and_the_run_ends_with_the_last(stagewise):
    recorder, runner, _ = stagewise
    assert recorder.phases[0]['before']['backbone.layers.0.1.num_batches_tracked'] == 0
    assert not differing(recorder.phases[-1]['after'], state(runner.model.student))


def test_every_phase_sees_whole_epochs_of_its_images(stagewise):
    # The images of a phase: in each epoch each of the 12 once.
    runner = stagewise[1]
    assert len(runner.train_loop.dataloader.dataset) == 12
    assert runner.train_loop.data.epoch_length(runner.train_loop.phase) == 3


# Rule 2: with everything that a config may ask of an optimizer

def test_paramwise_clipping_accumulation_and_overrides_hold_in_their_phases(tmp_path):
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2, betas=(0.8, 0.9), weight_decay=0.1),
                   clip_grad=dict(max_norm=1.), accumulative_counts=2,
                   paramwise_cfg=dict(norm_decay_mult=0., custom_keys={'decode_head': dict(lr_mult=10.)}))
    overrides = {SPOTS[1]: dict(optim_wrapper=dict(optimizer=dict(lr=5e-3))),
                 SPOTS[2]: dict(optim_wrapper=dict(_delete_=True, type='OptimWrapper',
                                                   optimizer=dict(type='SGD', lr=0.1)))}
    recorder, _ = run(tmp_path, optim_wrapper=wrapper, param_scheduler=[],
                      schedule=dict(type='Stagewise', phase_epochs=1, overrides=overrides))
    first, second, third, head = recorder.phases
    for phase in recorder.phases:
        assert sorted(phase['held']) == sorted(phase['trainable'])
    assert set(first['lr']) == {1e-2} and set(second['lr']) == {5e-3} and set(third['lr']) == {0.1}
    assert set(head['lr']) == {0.1}  # ten times 1e-2
    for phase in (first, second, head):
        decay = dict(zip(phase['held'], phase['decay'], strict=True))
        norms = [name for name in decay if re.search(r'layers\.\d\.1\.', name)]
        assert {decay[name] for name in norms} == ({0.} if phase is not head else set())
        assert 0.1 in decay.values()
        assert phase['wrapper'].clip_grad_kwargs['max_norm'] == 1
        assert phase['wrapper']._accumulative_counts == 2
    assert [phase['optimizer'] for phase in recorder.phases] == ['Adam', 'Adam', 'SGD', 'Adam']
    assert third['wrapper'].clip_grad_kwargs is None and third['wrapper']._accumulative_counts == 1


def test_a_wrapper_common_to_all_phases_may_replace_the_configs(tmp_path):
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2, betas=(0.8, 0.9)))
    replaced = dict(optimizer=dict(_delete_=True, type='SGD', lr=1.))
    schedule = dict(type='Stagewise', phase_epochs=1, optim_wrapper=replaced)
    recorder, _ = run(tmp_path, optim_wrapper=wrapper, param_scheduler=[], schedule=schedule)
    assert [phase['optimizer'] for phase in recorder.phases] == ['SGD'] * 4


def test_the_learning_rate_is_scaled_once_in_every_phase(tmp_path):
    recorder, _ = run(tmp_path, param_scheduler=[], auto_scale_lr=dict(enable=True, base_batch_size=2),
                      schedule=dict(type='Stagewise', phase_epochs=1))
    assert [phase['lr'] for phase in recorder.phases] == [[2e-2]] * 4


def test_scaling_the_learning_rate_reaches_one_cycle(tmp_path):
    schedulers = [dict(type='OneCycleLR', eta_max=2e-2, by_epoch=False)]
    rates = []
    for ratio in (1, 2):
        recorder, _ = run(tmp_path / str(ratio), param_scheduler=schedulers,
                          auto_scale_lr=dict(enable=True, base_batch_size=4 // ratio),
                          schedule=dict(type='Stagewise', phase_epochs=2))
        rates.append(torch.tensor([entry[4] for entry in recorder.iterations]))
    torch.testing.assert_close(rates[1], 2 * rates[0])


def test_epochs_of_a_scheduler_are_those_of_its_phase(tmp_path):
    """Phases of different fractions have epochs of different lengths, also in a run that is resumed."""
    ends = {}

    @HOOKS.register_module(name='ToyEnds', force=True)
    class ToyEnds(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            ends[runner.train_loop.phase.name] = [scheduler.total_steps for scheduler in runner.param_schedulers]

    cfg = config(tmp_path, custom_hooks=[dict(type='ToyEnds')], param_scheduler=[
        dict(type='OneCycleLR', eta_max=2e-2, by_epoch=True, convert_to_iter_based=True)], schedule=dict(
            type='Phases', phase_epochs=2, phases=[
                dict(name='a', train='all', task=1, fraction=0.34), dict(name='b', train='all', task=1),
                dict(name='c', train='all', task=1, fraction=0.67)]))
    train_killed(cfg, 'before_train_iter', 4)
    train(cfg, resume=True)
    assert ends == dict(a=[2], b=[6], c=[4])


def test_reduce_on_plateau_works_in_feature_phases(tmp_path):
    plateau = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', patience=0, threshold=1e3,
                   threshold_rule='abs', factor=0.5)
    recorder, _ = run(tmp_path, param_scheduler=[plateau],
                      schedule=dict(type='Stagewise', phase_epochs=3, val_interval=1))
    rates = {name: sorted({entry[4] for entry in recorder.iterations if entry[0] == name}) for name in STAGES}
    assert rates == dict.fromkeys(STAGES, pytest.approx([5e-3, 1e-2]))


def test_a_monitor_that_is_no_metric_is_found_before_the_run(tmp_path):
    with pytest.raises(ValueError, match=r"monitor='mIuO', which is not among .* did you mean 'mIoU'"):
        train(config(tmp_path, param_scheduler=[dict(type='ReduceOnPlateauLR', monitor='mIuO')]))


def test_a_schedule_that_is_longer_than_its_phase_is_reported_once(tmp_path):
    build(tmp_path, param_scheduler=[dict(type='PolyLR', end=80000, by_epoch=False)])
    text = next(tmp_path.glob('*/*.log')).read_text()
    line, = [line for line in text.splitlines() if 'param_scheduler[0] (PolyLR): end=80000 is beyond the end' in line]
    assert all(f'{stage} (6 iterations, 2 epochs)' in line for stage in STAGES)


def test_mixed_precision_in_every_phase(tmp_path):
    seen = []

    @HOOKS.register_module(name='ToyDtype', force=True)
    class ToyDtype(Hook):

        def before_phase(self, runner):
            seen.append(type(runner.optim_wrapper).__name__)
            conv = runner.model.student.backbone.layers[0][0]
            conv.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype)
                                       if torch.is_autocast_enabled('cpu') else None)

    _, runner = run(tmp_path, {'optim_wrapper.type': 'skd_mm.AmpOptimWrapper'}, custom_hooks=[dict(type='ToyDtype')],
                    schedule=dict(type='Stagewise', phase_epochs=1))
    assert seen.count('AmpOptimWrapper') == 4
    assert set(seen) == {'AmpOptimWrapper', torch.bfloat16}
    assert all(value.dtype == torch.float32 for value in runner.model.parameters())


def test_published_code_held_everything(tmp_path):
    recorder, _ = run(tmp_path, schedule=dict(type='Stagewise', phase_epochs=1, optimizer_params='all'),
                      **{'optim_wrapper': dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=.1, weight_decay=.5,
                                                                                  momentum=0.9))})
    for phase in recorder.phases:
        assert len(phase['held']) > len(phase['trainable'])
        part = 'decode_head.' if phase['name'] == 'task_head' else f'{phase["name"]}.'
        assert all(name.startswith(part) for name in differing(phase['before'], phase['after']))


def test_a_constructor_that_loses_parameters_is_found(tmp_path):
    from mmengine.optim import DefaultOptimWrapperConstructor
    from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

    @OPTIM_WRAPPER_CONSTRUCTORS.register_module(name='ToyForgetful', force=True)
    class ToyForgetful(DefaultOptimWrapperConstructor):

        def __call__(self, model):
            wrapper = super().__call__(model)
            learns = [p for p in wrapper.optimizer.param_groups[0]['params'] if p.requires_grad]
            wrapper.optimizer.param_groups[0]['params'] = learns[1:]
            return wrapper

    words = (r"phase 'backbone\.layers\.0': the optimizer does not hold exactly the trainable parameters; "
             r"missing: \['student\.backbone\.layers\.0\.0\.weight'\]")
    with pytest.raises(RuntimeError, match=words):
        build(tmp_path, {'optim_wrapper.constructor': 'mmengine.ToyForgetful'})


# Lengths, intervals, fractions

@pytest.mark.parametrize(('settings', 'saved', 'kept'), [
    (dict(interval=1), [3, 6, 9, 12], [9, 12]),
    (dict(interval=2, by_epoch=False, max_keep_ckpts=3), [2, 4, 6, 8, 10, 12], [8, 10, 12]),
    (dict(save_best='mIoU'), [6, 12], [6, 12])])
def test_mmengines_checkpoint_hook_keeps_its_interval(tmp_path, settings, saved, kept):
    recorder, _ = run(tmp_path, default_hooks=dict(checkpoint=dict(settings, type='CheckpointHook')),
                      schedule=dict(type='FitNets', hints=[SPOTS[1]], phase_epochs=2))
    assert [iteration for iteration, due in recorder.steps if due] == saved
    assert sorted(int(path.stem[5:]) for path in tmp_path.glob('iter_*.pth')) == kept


def test_the_text_of_the_config_is_rendered_once(tmp_path, monkeypatch):
    texts = []
    render = Config.pretty_text.fget
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: texts.append(render(self)) or texts[-1]))
    monkeypatch.setattr('tests.helpers.quick', nullcontext)
    run(tmp_path)
    checkpoint = load(tmp_path / 'iter_24.pth')
    # MMEngine's Runner renders it three times when it is built.
    assert checkpoint['meta']['cfg'] in texts and len(texts) <= 4


def test_an_evaluator_of_its_own_class_stays(tmp_path):
    from mmengine.evaluator import Evaluator
    from mmengine.registry import EVALUATOR
    seen = []

    @EVALUATOR.register_module(name='ToyEvaluator', force=True)
    class ToyEvaluator(Evaluator):

        def evaluate(self, size):
            metrics = super().evaluate(size)
            seen.append(sorted(metrics))
            return dict(metrics, own=1.)

    metrics = [dict(type='IoUMetric', iou_metrics=['mIoU']), dict(type='skd_mm.SpotLossMetric', average='batches')]
    recorder, _ = run(tmp_path, val_evaluator=dict(type='ToyEvaluator', metrics=metrics),
                      schedule=dict(type='FitNets', hints=[SPOTS[1]], phase_epochs=1))
    assert seen and all('mIoU' in names and 'spot_loss' not in names for names in seen)
    features, task = [metrics for _, _, metrics in recorder.validations]
    assert 'own' in task and sorted(features) == ['spot_loss', f'spots.{SPOTS[1]}.loss']

def test_a_schedule_in_iterations(tmp_path):
    schedule = dict(type='Stagewise', phase_iters=4, val_interval=3, overrides=dict(task_head=dict(iters=2)))
    recorder, _ = run(tmp_path, schedule=schedule)
    assert [phase['iter'] for phase in recorder.phases] == [4, 8, 12, 14]
    assert [entry[1] for entry in recorder.validations] == [3, 4, 7, 8, 11, 12, 14]
    assert [iteration for iteration, due in recorder.steps if due] == [3, 4, 7, 8, 11, 12, 14]
    lrs = [entry[4] for entry in recorder.iterations]
    assert lrs[:4] == lrs[4:8] == lrs[8:12]


def test_without_an_interval_every_phase_validates_at_its_end_only(tmp_path):
    recorder, _ = run(tmp_path, schedule=dict(type='Stagewise', phase_epochs=2, overrides={SPOTS[0]: dict(epochs=1)}))
    assert [entry[1] for entry in recorder.validations] == [3, 9, 15, 21]


def test_checkpoints_may_come_more_often_than_validations(tmp_path):
    hooks = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', interval=2, max_keep_ckpts=3))
    recorder, _ = run(tmp_path, default_hooks=hooks, schedule=dict(type='Stagewise', phase_iters=5))
    assert [iteration for iteration, due in recorder.steps if due] == [2, 4, 5, 7, 9, 10, 12, 14, 15, 17, 19, 20]
    assert sorted(path.name for path in tmp_path.glob('iter_*.pth')) == ['iter_17.pth', 'iter_19.pth', 'iter_20.pth']


def test_fractions_are_nested_and_written_down(tmp_path):
    schedule = dict(type='Stagewise', phase_epochs=1, fraction=0.5, overrides={SPOTS[1]: dict(fraction=0.75),
                                                                               'task_head': dict(fraction=1)})
    recorder, _ = run(tmp_path, schedule=schedule)
    assert [phase['iter'] for phase in recorder.phases] == [1, 3, 4, 7]
    del READS[:-4 * 7]  # the one by which the task was tried
    reads = [set(READS[4 * start:4 * end]) for start, end in ((0, 1), (1, 3), (3, 4), (4, 7))]
    half = [line for line in (tmp_path / 'fraction_0.5_seed_0.txt').read_text().splitlines() if line[0] != '#']
    more = [line for line in (tmp_path / 'fraction_0.75_seed_0.txt').read_text().splitlines() if line[0] != '#']
    assert len(half) == 6 and len(more) == 9 and set(half) < set(more)
    for seen, names in ((reads[0], half), (reads[1], more), (reads[2], half)):
        assert {f'{i:03d}.png' for i in seen} <= {Path(name).name for name in names}
    assert len(reads[3]) == 12
    assert not list(tmp_path.glob('fraction_1_*'))


def test_what_a_phase_is_told_reaches_its_optimizer_schedule_and_model(tmp_path):
    overrides = {SPOTS[1]: dict(param_scheduler=[dict(type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=False)],
                                frozen_bn='train', spots={SPOTS[1]: 0.5, SPOTS[0]: 2.})}
    recorder, _ = run(tmp_path, schedule=dict(type='Stagewise', phase_epochs=1, overrides=overrides))
    lrs = [entry[4] for entry in recorder.iterations if entry[0] == SPOTS[1]]
    assert lrs == pytest.approx([1e-2, 1e-3, 1e-3])
    moved = differing(recorder.phases[1]['before'], recorder.phases[1]['after'])
    assert 'backbone.layers.0.1.running_mean' in moved and 'backbone.layers.0.1.weight' not in moved
    assert recorder.validations[1][2].keys() == {'spot_loss', f'spots.{SPOTS[0]}.loss', f'spots.{SPOTS[1]}.loss'}


@pytest.mark.parametrize('scheduler', [
    [dict(type='OneCycleLR', eta_max=2e-2, by_epoch=True, convert_to_iter_based=True)],
    [dict(type='OneCycleLR', eta_max=2e-2, by_epoch=False)],
    dict(type='OneCycleLR', eta_max=2e-2, by_epoch=False, total_steps=6)])
def test_one_cycle_is_filled_in_however_it_is_written(tmp_path, scheduler):
    runner = build(tmp_path, param_scheduler=scheduler)
    schedule = runner.param_schedulers[0]
    assert schedule.total_steps == 6 and not schedule.by_epoch


def test_other_schedules_end_with_the_phase(tmp_path):
    runner = build(tmp_path, param_scheduler=[dict(type='LinearLR', start_factor=0.1, end=2, by_epoch=False),
                                              dict(type='CosineAnnealingLR', begin=2, by_epoch=False),
                                              dict(type='ExponentialLR', gamma=0.5)])
    linear, cosine, exponential = runner.param_schedulers
    assert (linear.end, cosine.begin, cosine.end, cosine.T_max) == (2, 2, 6, 4)
    assert exponential.by_epoch and exponential.end == 2


def test_the_training_loops_own_lengths_are_ignored_with_a_notice(tmp_path):
    cfg = dict(type='skd_mm.PhaseLoop', max_iters=80000, val_interval=8000)
    runner = build(tmp_path, train_cfg=cfg, log_level='INFO')
    assert runner.train_loop.max_iters == 24 and runner.train_loop.max_epochs == 8
    text = next(tmp_path.glob('*/*.log')).read_text()
    assert "{'max_iters': 80000, 'val_interval': 8000} are ignored: the schedule sets the lengths" in text


# Rule 5: best, last, and what has no best

def scored(*values, **kwargs):
    """A validation of which the test says what it measures, for phases with a task loss."""
    return dict(type='mmengine.ToyMetric', values=list(values), **kwargs)


TWO = dict(type='Phases', phase_epochs=3, val_interval=1, phases=[
    dict(name='one', train=['backbone'], task=1), dict(name='two', train=['decode_head'], task=1)])
CHECKPOINT = 'default_hooks.checkpoint'


def two(folder, *values, checkpoint=None, schedule=TWO, **kwargs):
    hooks = dict(checkpoint=dict(dict(type='skd_mm.PhaseCheckpointHook', save_best='score', rule='greater',
                                      max_keep_ckpts=-1), **(checkpoint or {})))
    return run(folder, val_evaluator=scored(*values, **kwargs), default_hooks=hooks, schedule=schedule)


def test_best_is_the_first_of_the_highest(tmp_path):
    recorder, runner = two(tmp_path, 0.3, 0.5, 0.5, 0.1, 0.2, 0.15)
    best = runner.train_loop.checkpoints.best
    assert (best['one']['score'], best['one']['iter']) == (0.5, 6)
    # The second phase's own record, though the first one's was higher.
    assert (best['two']['score'], best['two']['iter']) == (0.2, 15)
    assert not differing(
        {f'student.{name}': value for name, value in recorder.phases[1]['before'].items() if 'preproc' not in name},
        dict(load(tmp_path / 'iter_6.pth')['state_dict']))


def test_best_may_be_the_lowest(tmp_path):
    _, runner = two(tmp_path, 0.3, 0.2, 0.4, 0.9, checkpoint=dict(rule='less'))
    assert runner.train_loop.checkpoints.best['one']['score'] == 0.2


@pytest.mark.parametrize('where', ['of all phases', 'of the second'])
def test_last_is_the_last(tmp_path, where):
    first, second = TWO['phases']
    schedule = dict(TWO, handover='last') if where == 'of all phases' else dict(
        TWO, phases=[first, dict(second, handover='last')])
    recorder, _ = two(tmp_path, 0.5, 0.4, 0.3, schedule=schedule)
    assert not differing(recorder.phases[0]['after'], recorder.phases[1]['before'])


def test_a_measure_that_is_no_number_is_never_the_best(tmp_path):
    _, runner = two(tmp_path, float('nan'), 0.1, float('nan'), 0.2)
    assert runner.train_loop.checkpoints.best['one']['iter'] == 6


def test_a_phase_without_a_best_ends_the_run_and_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"phase 'one' has no best checkpoint to hand over.*`handover='last'`"):
        two(tmp_path, float('nan'))


def test_the_published_start_of_the_best_loss(tmp_path):
    hooks = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', best_start=1e-9))
    with pytest.raises(RuntimeError, match=r"phase 'backbone\.layers\.0' has no best checkpoint"):
        run(tmp_path, default_hooks=hooks, schedule=dict(type='Stagewise', phase_epochs=1))


def test_without_validation_the_last_is_handed_over(tmp_path):
    recorder, _ = run(tmp_path, val_dataloader=None, val_cfg=None, val_evaluator=None, schedule=TWO)
    assert not differing(recorder.phases[0]['after'], recorder.phases[1]['before'])
    assert not list(tmp_path.glob('best_*'))


def test_an_unknown_measure_is_found_before_the_first_phase_ends(tmp_path):
    hooks = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', save_best='mIuO'))
    with pytest.raises(ValueError, match="save_best='mIuO'"):
        run(tmp_path, default_hooks=hooks, schedule=dict(type='Stagewise', phase_epochs=1))
    assert not list(tmp_path.glob('iter_*.pth'))


# Early stopping, moving average

def test_early_stopping_ends_the_phase_and_not_the_run(tmp_path):
    hook = dict(type='EarlyStoppingHook', monitor='score', rule='greater', patience=1, min_delta=0.)
    recorder, runner = run(
        tmp_path, val_evaluator=scored(0.5, 0.4, 0.3, 0.2, 0.1), custom_hooks=[hook],
        default_hooks=dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', save_best='score', interval=3,
                                           max_keep_ckpts=-1)),
        schedule=dict(TWO, phase_epochs=4))
    # In each phase the second validation is worse; in the second one 0.3 is a first value, not worse than 0.5.
    assert [phase['iter'] for phase in recorder.phases] == [6, 12]
    assert runner.train_loop.iter == 12
    assert load(tmp_path / 'iter_6.pth')['schedule']['stopped']


def test_gradients_that_wait_for_an_update_do_not_reach_the_next_phase(tmp_path):
    hook = dict(type='EarlyStoppingHook', monitor='score', rule='greater', patience=1, min_delta=0.)
    left = []

    @HOOKS.register_module(name='ToyLeft', force=True)
    class ToyLeft(Hook):

        def before_phase(self, runner):
            left.extend(name for name, p in runner.model.named_parameters() if p.grad is not None and p.grad.any())

    run(tmp_path, {'optim_wrapper.accumulative_counts': 4}, val_evaluator=scored(0.5, 0.4, 0.3, 0.2, 0.1),
        custom_hooks=[hook, dict(type='ToyLeft')], schedule=dict(TWO, phase_epochs=4),
        default_hooks=dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', save_best='score')))
    assert not left


def test_the_moving_average_begins_anew_in_every_phase(tmp_path):
    seen = []

    @HOOKS.register_module(name='ToyAverage', force=True)
    class ToyAverage(Hook):
        priority = 'LOWEST'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            ema = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook').ema_model
            if batch_idx == 0:
                seen.append((int(ema.steps), differing(dict(ema.module.state_dict()), dict(runner.model.state_dict()))))
                assert ema.module.teacher is runner.model.teacher
            if batch_idx == 5:
                assert differing(dict(ema.module.state_dict()), dict(runner.model.state_dict()))

    recorder, _ = run(tmp_path, custom_hooks=[dict(type='EMAHook', momentum=0.1), dict(type='ToyAverage')])
    assert seen == [(0, [])] * 4
    # What was measured, kept and handed over is the average.
    best = load(tmp_path / f'best_spot_loss_phase00_{SPOTS[0]}.pth')
    assert torch.equal(best['state_dict'][f'student.{SPOTS[0]}.0.weight'],
                       recorder.phases[1]['before'][f'{SPOTS[0]}.0.weight'])
    assert not torch.equal(recorder.phases[0]['after'][f'{SPOTS[0]}.0.weight'],
                           recorder.phases[1]['before'][f'{SPOTS[0]}.0.weight'])


# Rule 4, in a whole run

def test_what_a_run_computes(tmp_path):
    counts = []

    @HOOKS.register_module(name='ToyCounter', force=True)
    class ToyCounter(Hook):

        def before_train(self, runner):
            self.context = calls(runner.model.student, runner.model.teacher)
            self.counts = self.context.__enter__()

        def before_phase(self, runner):
            for count in self.counts:  # the validation has been tried on one image
                count.clear()

        def after_phase(self, runner):
            counts.append([dict(count) for count in self.counts])

    run(tmp_path, custom_hooks=[dict(type='ToyCounter')], schedule=dict(type='Stagewise', phase_epochs=1))
    for k, (student, teacher) in enumerate(counts):
        for i in range(3):
            # Three iterations of training and two of validation (3 images, 2 a batch).
            assert student.get(SPOTS[i], 0) == (5 if i <= k else 0)
            assert teacher.get(SPOTS[i], 0) == (5 if i <= k < 3 else 0)
        assert student.get('decode_head.conv_seg', 0) == (5 if k == 3 else 0)
        assert teacher.get('decode_head.conv_seg', 0) == 0


# Rule 8: what is wrong is found before the first iteration

UNLABELLED = dict(type='mmengine.ToySegDataset', images=11, first=100, pipeline=PIPELINE)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'schedule.type': 'Stagewize'}, "Stagewize.*did you mean 'Stagewise'"),
    ({'schedule.phase_epoch': 1}, "no setting 'phase_epoch'; did you mean 'phase_epochs'"),
    ({'schedule.fraction': 0}, r'`fraction` must be in \(0, 1\], not 0'),
    ({'schedule.fraction': 1.5}, r'`fraction` must be in \(0, 1\], not 1.5'),
    ({'schedule.overrides': dict(task_heat=dict(epochs=1))}, "no phase 'task_heat'; did you mean 'task_head'"),
    ({'schedule.overrides': dict(task_head=dict(train=['decode_heat']))},
     "phase 'task_head': .*no .*'decode_heat'.*did you mean .*'decode_head'"),
    ({'schedule.overrides': dict(task_head=dict(train=['decode_head.loss_decode']))},
     "phase 'task_head': .*decode_head.loss_decode"),
    ({'schedule.overrides': dict(task_head=dict(spots=['backbone.layer.2']))},
     "phase 'task_head'.*no spot 'backbone.layer.2'; did you mean 'backbone.layers.2'"),
    ({'schedule.overrides': dict(task_head=dict(optim_wrapper=dict(optimizer=dict(typ='SGD'))))},
     "phase 'task_head': its optim_wrapper .*'typ'"),
    ({'schedule.overrides': dict(task_head=dict(param_scheduler=[dict(type='OneCycelLR')]))},
     "phase 'task_head': .*OneCycelLR"),
    ({'schedule.overrides': dict(task_head=dict(fraction=0.1))},
     r"phase 'task_head': 1 training samples \(fraction 0.1\) are fewer than one batch of 4"),
    ({'unlabelled_dataloader.dataset': dict(type='skd_mm.UnlabelledDataset', data_root='no/folder',
                                             pipeline=PIPELINE)},
     r"unlabelled_dataloader\.dataset: data_root: there is no folder 'no/folder'"),
    ({'schedule.data': 'both'}, "data='both' needs an `unlabelled_dataloader` in the config"),
    ({'unlabelled_dataloader.dataset': UNLABELLED, 'schedule.overrides': dict(task_head=dict(
        data='both', labelled_share=0.3))}, r'labelled_share=0\.3 of train_dataloader\.batch_size=4 must be'),
    ({'unlabelled_dataloader.dataset': UNLABELLED, 'schedule.unlabelled_fraction': 0.2},
     r'2 unlabelled training samples \(unlabelled_fraction 0\.2\) are fewer than one batch of 4'),
    ({'unlabelled_dataloader.dataset': UNLABELLED, 'schedule.data': 'unlabelled'},
     'the task loss is on .* needs labels'),
    ({'train_dataloader.batch_size': 13}, '12 training samples .*fewer than one batch'),
    ({'model.spots': ['backbone.layer.0']}, r"model\.spots: the student .*'backbone\.layer\.0'; did you mean"),
    ({'model.spots': [dict(student=SPOTS[0], teacher='backbon')]}, r'model\.spots: the teacher .*did you mean'),
    ({'model.spots': [dict(student=SPOTS[0], loss=dict(type='MSLoss'))]}, "MSLoss.*did you mean 'MSELoss'"),
    ({'model.spots': [dict(student=SPOTS[0], connector='atuo')]}, "'atuo'.*did you mean 'auto'"),
    ({'model.spot': []}, "'spot'.*did you mean 'spots'"),
    ({'model.teacher': dict(cfg='configs/_base_/defualt_runtime.py')}, 'did you mean .default_runtime.py'),
    ({'model.teacher': dict(cfg='configs/_base_/default_runtime.py')}, 'has no `model`'),
    ({'model.teacher.checkpoint': 'configs/_base_/defualt_runtime.pth'}, 'no file .*did you mean'),
    ({'train_cfg.max_iter': 3}, "'max_iter'.*did you mean 'max_iters'"),
    ({'schedule.cache': 1, 'train_dataloader.dataset.pipeline': RANDOM},
     r'schedule\.cache needs the same image .*RandomFlip'),
    ({'schedule.cache': 1, 'schedule.frozen_bn': 'train'}, 'cannot be cached while frozen BN'),
    ({'schedule.cache': dict(mem=1)}, r"schedule\.cache: there is no 'mem'; did you mean 'memory'"),
    ({'model.teacher.data_preprocessor.pad_val': 'x'},
     r"model\.teacher\.data_preprocessor and .* are incompatible: the value for padding must be a number, not 'x'"),
    ({'model.teacher.data_preprocessor.mean': [90., 1e30, 90.]},
     r'`mean` \[90\.0, 1\S+, 90\.0\] and `std` .* not those'),
    ({'model.student.data_preprocessor.std': [50., 0., 50.]}, r'`std` \[50\.0, 0\.0, 50\.0\] are not those of pixels'),
    ({'model.spots': [dict(student=SPOTS[0], connector=dict(type='Embed', dim={}))]},
     r'connector Embed\(dim=\{\}\) cannot be built: TypeError'),
    ({'compile': True}, r'does not work with `compile` .* set `model\.compile`'),
    ({'activation_checkpointing': ['backbone']}, r'set `model\.gradient_checkpointing`'),
    ({'default_hooks.checkpoint': dict(type='skd_mm.PhaseCheckpointHook', max_keep_ckpts=1)},
     '`max_keep_ckpts` must be 2')])
def test_a_wrong_config_is_refused_before_anything_is_trained(tmp_path, changes, words, monkeypatch, repo):
    monkeypatch.chdir(repo)
    changes = dict(changes)
    if 'model.teacher.checkpoint' in changes:
        changes['model.teacher'] = dict(cfg=Config(dict(model=network(), default_scope='mmseg')),
                                        checkpoint=changes.pop('model.teacher.checkpoint'))
    replaced = {key: changes.pop(key) for key in list(changes) if key == 'model.teacher'}
    cfg = config(tmp_path, changes)
    for value in replaced.values():
        cfg.model.teacher = value
    READS.clear()
    with pytest.raises((KeyError, ValueError, TypeError, FileNotFoundError), match=words), quick():
        Runner.from_cfg(cfg).train()
    assert not READS
    assert not list(tmp_path.glob('*.pth')) and not list(tmp_path.glob('fraction_*'))


def test_a_plain_model_is_left_to_mmengines_loops(tmp_path):
    with pytest.raises(TypeError, match=r'PhaseLoop trains a skd_mm\.Distiller, not a EncoderDecoder'):
        build(tmp_path, model=network())


def test_a_config_without_a_schedule(tmp_path):
    cfg = config(tmp_path)
    cfg.pop('schedule')
    with pytest.raises(TypeError, match='no `schedule`'), quick():
        Runner.from_cfg(cfg).train()


def test_spots_without_a_teacher(tmp_path):
    with pytest.raises(ValueError, match=r"phase 'backbone\.layers\.0': .* has no teacher"):
        build(tmp_path, model=dict(type='skd_mm.Distiller', student=network(), spots=SPOTS))
    build(tmp_path, model=dict(type='skd_mm.Distiller', student=network(), spots=SPOTS),
          schedule=dict(type='NoTeacher', phase_epochs=1))


def test_a_strategy_is_refused(tmp_path):
    cfg = config(tmp_path)
    cfg.strategy = dict(type='DeepSpeedStrategy')
    with quick():
        runner = Runner.from_cfg(cfg)
        with pytest.raises(ValueError, match=r'does not work with a `strategy` \(DeepSpeedStrategy\)'):
            runner.train()


def test_wrappers_that_hide_samples_are_refused_by_name(tmp_path):
    inner = config(tmp_path).train_dataloader.dataset.to_dict()
    with pytest.raises(ValueError, match='RepeatDataset'):
        build(tmp_path, {'train_dataloader.dataset': dict(type='mmengine.RepeatDataset', dataset=inner, times=2,
                                                          _delete_=True), 'schedule.fraction': 0.5})


def test_the_whole_of_a_wrapped_data_set_can_be_used(tmp_path):
    inner = config(tmp_path).train_dataloader.dataset.to_dict()
    run(tmp_path, {'train_dataloader.dataset': dict(type='mmengine.RepeatDataset', dataset=inner, times=2,
                                                    _delete_=True)}, schedule=dict(type='NoTeacher', phase_epochs=1))
    # The first is the one by which the task was tried.
    assert sorted(READS[-24:]) == sorted([*range(12), *range(12)])


@pytest.mark.parametrize(('loader', 'words'), [
    (dict(sampler=dict(type='RepeatAugSampler', shuffle=True)), r"train_dataloader\.sampler: .*'RepeatAugSampler'"),
    (dict(batch_sampler=dict(type='AspectRatioBatchSampler')), r"batch_sampler: .*'AspectRatioBatchSampler'; remove")])
def test_samplers_that_choose_otherwise_are_refused_by_name(tmp_path, loader, words):
    with pytest.raises(ValueError, match=words):
        build(tmp_path, {f'train_dataloader.{key}': value for key, value in loader.items()})


def test_an_order_that_is_ignored_is_reported(tmp_path):
    build(tmp_path, {'train_dataloader.sampler': dict(type='DefaultSampler', shuffle=False)})
    assert 'shuffle=False is ignored' in next(tmp_path.glob('*/*.log')).read_text()


def test_resuming_with_another_batch_size_is_refused(tmp_path):
    cfg = config(tmp_path)
    train_killed(cfg, 'before_train_iter', 8)
    cfg.train_dataloader.batch_size = 2
    with pytest.raises(ValueError, match=r'has 1 × 4 samples per iteration .* this one 1 × 2: resume with '
                                         r'`train_dataloader\.batch_size=4`, or start from its weights'):
        train(cfg, resume=True)

def test_a_concat_dataset_is_opened(tmp_path):
    one = config(tmp_path).train_dataloader.dataset.to_dict()
    dataset = dict(type='mmengine.ConcatDataset', datasets=[one, dict(one, first=100)])
    runner = build(tmp_path, {'train_dataloader.dataset': dict(dataset, _delete_=True)})
    assert runner.train_loop.data.epoch_length(runner.train_loop.phase) == 6


def test_there_is_one_checkpoint_hook_wherever_it_is_written(tmp_path):
    runner = build(tmp_path, custom_hooks=[dict(type='skd_mm.PhaseCheckpointHook', save_best='mAcc')])
    assert [type(hook).__name__ for hook in runner.hooks].count('PhaseCheckpointHook') == 1
    assert runner.train_loop.checkpoints.save_best == 'mAcc'


def test_the_parts_that_know_of_phases_take_their_places(tmp_path):
    hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000, save_best='mAcc', rule='greater',
                                 max_keep_ckpts=1), logger=dict(type='LoggerHook', interval=7))
    runner = build(tmp_path, default_hooks=hooks, log_processor=dict(by_epoch=True, window_size=3))
    names = [type(hook).__name__ for hook in runner.hooks]
    assert names.count('PhaseCheckpointHook') == names.count('PhaseHook') == 1 and 'CheckpointHook' not in names
    hook = runner.train_loop.checkpoints
    assert (hook.save_best, hook.rule, hook.max_keep_ckpts) == ('mAcc', 'greater', 2)
    assert (hook.interval, hook.by_epoch) == (1000, False)
    assert type(runner.log_processor).__name__ == 'PhaseLogProcessor' and runner.log_processor.window_size == 3
    assert not runner.log_processor.by_epoch
