"""Trains toy runs on each of two processes and records their state, for ``test_distributed.py``."""

import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS, METRICS

from skd_mm.evaluation import SpotLossMetric
from tests.helpers import READS, SPOTS, config, network, state, train

torch.set_num_threads(1)
SEEN = []


@METRICS.register_module(force=True)
class WorseEachTime(SpotLossMetric):
    """Makes the first validation of each phase its best."""

    count = 0

    def compute_metrics(self, results):
        WorseEachTime.count += 1
        return dict(super().compute_metrics(results), spot_loss=float(WorseEachTime.count))


@HOOKS.register_module(force=True)
class StateRecorder(Hook):
    """Records all parameters and buffers of this process at the start and the end of each phase."""

    priority = 'LOWEST'

    def before_phase(self, runner):
        self.record('before', runner)

    def after_phase(self, runner):
        self.record('after', runner)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        model = runner.model.module if hasattr(runner.model, 'module') else runner.model
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # it has exchanged its weights with the model's
                SEEN.append(dict(event='average', phase=runner.train_loop.phase.name, state=state(model)))

    def record(self, event, runner):
        loop = runner.train_loop
        SEEN.append(dict(event=event, phase=loop.phase.name, iter=loop.iter, state=state(loop.distiller)))


EMBED = dict(type='Embed', normalize=True)
MODEL = dict(
    type='skd_mm.Distiller', student=network(dropout=0.2), teacher=network(), spots=[
        SPOTS[0],
        dict(student=SPOTS[1], loss=dict(type='CRDLoss'), connector=EMBED, teacher_connector=EMBED,
             memory=dict(type='ContrastMemory', num_samples=12, negatives=4)),
        SPOTS[2],
        dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'),
             discriminator=dict(type='LabelDiscriminator', embedding=4, channels=(8, 6)))])
PLAIN = dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=SPOTS)
PHASES = [
    dict(name='first', train=[SPOTS[0]], spots=[SPOTS[0]]),
    dict(name='memory', train=[SPOTS[1]], spots=[SPOTS[1]]),
    dict(name='discriminator', train='all', spots={'logits': 0.5, 'logits.discriminator': 0.5}),
    dict(name='third', train=[SPOTS[2]], spots=[SPOTS[2]]),
    dict(name='head', train=['decode_head'], task=1)]
EVALUATOR = [dict(type='IoUMetric', iou_metrics=['mIoU']), dict(type='WorseEachTime')]
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.2, momentum=0.9))
STAGEWISE = dict(type='Stagewise', phase_epochs=2, val_interval=1)
RUNS = {
    'early': dict(model=MODEL, schedule=dict(type='Phases', phase_epochs=2, val_interval=1, phases=PHASES)),
    'early-cache': dict(model=PLAIN, schedule=dict(STAGEWISE, cache=1)),
    'sync-bn': dict(model=PLAIN, schedule=STAGEWISE, sync_bn='torch'),
    'seeds': dict(model=MODEL, schedule=dict(type='Phases', phase_epochs=1, phases=PHASES[:2]),
                  randomness=dict(seed=3, diff_rank_seed=True)),
    'average': dict(model=PLAIN, schedule=STAGEWISE, custom_hooks=[
        dict(type='EMAHook', momentum=0.2, update_buffers=True), dict(type='StateRecorder')]),
}


def main(folder):
    result = {}
    for name, run in RUNS.items():
        SEEN.clear()
        READS.clear()
        run = dict(dict(custom_hooks=[dict(type='StateRecorder')], val_evaluator=EVALUATOR, optim_wrapper=SGD,
                        param_scheduler=[]), **run)
        runner = train(config(folder / name, {'train_dataloader.batch_size': 2}, launcher='pytorch',
                              env_cfg=dict(dist_cfg=dict(backend='gloo')), **run))
        result[name] = dict(seen=list(SEEN), reads=list(READS), best=runner.train_loop.checkpoints.best)
    torch.save(result, folder / f'rank{get_rank()}.pth')
