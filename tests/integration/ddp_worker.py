"""What each of two processes does in ``test_distributed.py``: trains toy runs and records what it sees."""

import os

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, METRICS
from mmseg.evaluation import IoUMetric

from tests.helpers import RANDOM, READS, SPOTS, config, network, state, train, train_killed

torch.set_num_threads(1)
SEEN = []


@HOOKS.register_module(force=True)
class RankRecorder(Hook):
    """What this process sees of phases and checkpoints."""

    def before_phase(self, runner):
        model = runner.model
        SEEN.append(dict(
            event='before', phase=runner.train_loop.phase.name, state=state(runner.train_loop.distiller),
            wrapped=type(model).__name__, unused=getattr(model, 'find_unused_parameters', None),
            reduced=sorted(name for name, p in runner.train_loop.distiller.named_parameters() if p.requires_grad)))

    def after_phase(self, runner):
        SEEN.append(dict(event='after', phase=runner.train_loop.phase.name, state=state(runner.train_loop.distiller),
                         iter=runner.iter))

    def after_val_epoch(self, runner, metrics=None):
        SEEN.append(dict(event='validation', phase=runner.train_loop.phase.name, metrics=metrics))

    def before_save_checkpoint(self, runner, checkpoint):
        assert is_model_wrapper(runner.model) == (get_world_size() > 1)

    def after_step(self, runner, due):
        if due:
            buffers = {name: value.clone() for name, value in runner.train_loop.distiller.named_buffers()}
            SEEN.append(dict(event='checkpoint', iter=runner.iter, buffers=buffers))


@METRICS.register_module(force=True)
class SeveralImages(IoUMetric):
    """Measures no single image."""

    def compute_metrics(self, results):
        if len(results) < 2:
            raise ValueError('one image is not enough')
        return super().compute_metrics(results)


def still(dropout=0.):
    """A network whose BN always uses its running statistics: a sample's output does not depend on its batch."""
    cfg = network(norm_eval=True, dropout=dropout)
    cfg['decode_head']['norm_cfg'] = None
    return cfg


def connected(student):
    """The model config; one spot has a connector, which must be trained alike in all processes."""
    return dict(type='skd_mm.Distiller', student=student, teacher=network(),
                spots=[SPOTS[0], dict(student=SPOTS[1], connector=dict(type='Conv1x1')), SPOTS[2]])


HOOK = [dict(type='RankRecorder')]
KEEP = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', save_best='mIoU', max_keep_ckpts=-1))
RUNS = {
    # SGD, for its updates are linear in the gradients.
    'still': dict(model=connected(still()), custom_hooks=HOOK, pipeline=RANDOM, default_hooks=KEEP, param_scheduler=[],
                  optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9))),
    # The mean, for what is drawn differs from process to process.
    'adversarial': dict(
        model=dict(type='skd_mm.Distiller', student=still(), spots=[
            dict(name='logits', student='decode_head.conv_seg', teacher='bank', loss=dict(type='KDLoss'),
                 discriminator=dict(type='LabelDiscriminator', embedding=4, channels=(8, 6)))],
            teacher=dict(type='skd_mm.TargetBank', num_classes=3, rows=5, stride=1, target='mean')),
        custom_hooks=HOOK, pipeline=RANDOM, default_hooks=KEEP, param_scheduler=[],
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
                           discriminator=dict(optimizer=dict(type='SGD', lr=0.5)), accumulative_counts=2),
        schedule=dict(type='Phases', phase_epochs=4, val_interval=2, phases=[
            dict(name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})])),
    'moving': dict(model=connected(network(dropout=0.3)), custom_hooks=[*HOOK, dict(type='EMAHook', momentum=0.2)],
                   pipeline=RANDOM, schedule=dict(type='Stagewise', phase_epochs=2, val_interval=1),
                   default_hooks=dict(checkpoint=dict(KEEP['checkpoint'], interval=1))),
    # A measure that the first process, which alone computes it, cannot give of the one image of the trial.
    'seldom': dict(model=connected(network()), custom_hooks=HOOK,
                   val_evaluator=dict(type='SeveralImages', iou_metrics=['mIoU']),
                   schedule=dict(type='Phases', phase_iters=4, phases=[dict(name='all', train=['all'], task=1)]),
                   default_hooks=dict(checkpoint=dict(KEEP['checkpoint'], interval=1))),
}


def main(folder):
    world = int(os.environ.get('WORLD_SIZE', 1))
    top = dict(launcher='pytorch' if world > 1 else 'none', env_cfg=dict(dist_cfg=dict(backend='gloo')))
    changes = {'train_dataloader.batch_size': 4 // world}
    result = {}
    for name, run in RUNS.items():
        SEEN.clear()
        READS.clear()
        train(config(folder / f'{name}{world}', changes, **top, **run))
        result[name] = dict(seen=list(SEEN), reads=list(READS))
    if world > 1:
        SEEN.clear()
        cfg = config(folder / 'killed', changes, **top, **RUNS['moving'])
        train_killed(cfg, 'before_train_iter', 9)
        train(cfg, resume=True)
        result['killed'] = dict(seen=list(SEEN), reads=[])
    torch.save(result, folder / f'world{world}_rank{get_rank()}.pth')
