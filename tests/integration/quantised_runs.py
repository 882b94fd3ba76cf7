"""Toy runs that reconstruct a quantised network, on one process or on each of several.

``torchrun --nproc_per_node 2 tests/integration/quantised_runs.py FOLDER``
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import skd_mm  # noqa: F401, I001  (before mmseg)

import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS, METRICS

from skd_mm.evaluation import SpotLossMetric
from tests.helpers import RANDOM, SPOTS, config, network, state, train

TRANSFORM = dict(type='FakeQuantize', bits=4, calibration_images=5)
MODEL = dict(type='skd_mm.Distiller', student=dict(network(), transform=TRANSFORM), teacher=network(),
             spots=[*SPOTS, 'decode_head.conv_seg'])
SEEN = []


@METRICS.register_module(force=True)
class FirstIsBest(SpotLossMetric):
    """Makes the first validation of each phase its best."""

    count = 0

    def compute_metrics(self, results):
        FirstIsBest.count += 1
        return dict(super().compute_metrics(results), spot_loss=float(FirstIsBest.count))


@HOOKS.register_module(force=True)
class QuantisedStateRecorder(Hook):
    """Records the student at the start and the end of each phase, and its moving average at the start."""

    priority = 'LOWEST'

    def before_phase(self, runner):
        self.record('before', runner)
        SEEN[-1]['average'] = [state(hook.ema_model.module) for hook in runner.hooks if isinstance(hook, EMAHook)]

    def after_phase(self, runner):
        self.record('after', runner)

    def record(self, event, runner):
        loop = runner.train_loop
        SEEN.append(dict(event=event, phase=loop.phase.name, iter=loop.iter, state=state(loop.distiller)))


def quantised_config(folder, **top):
    """A run with random images, two validations per phase and all checkpoints kept."""
    settings = dict(
        model=MODEL, pipeline=RANDOM, param_scheduler=[],
        schedule=dict(type='StagewiseReconstruction', phase_epochs=2, val_interval=1),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1),
                           checkpoint=dict(type='skd_mm.PhaseCheckpointHook', max_keep_ckpts=-1)))
    return config(folder, {'train_dataloader.batch_size': 2}, **{**settings, **top})


def main(folder):
    runner = train(quantised_config(
        folder / 'run', launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='gloo')),
        custom_hooks=[dict(type='QuantisedStateRecorder')]))
    torch.save(dict(seen=SEEN, last=state(runner.train_loop.distiller)), folder / f'rank{get_rank()}.pth')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
