"""Trains a toy run of every kind of schedule, for ``test_equal_processes.py``."""

import os

import torch
from mmengine.dist import get_rank

from tests.helpers import SPOTS, config, network, state, train
from tests.integration.ddp_worker import still
from tests.integration.phases_worker import EVALUATOR
from tests.integration.unlabelled_runs import SCHEDULE, UNLABELLED

torch.set_num_threads(1)
LOGITS = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'))
FEATURES = [SPOTS[0], dict(student=SPOTS[1], loss=[dict(type='MSELoss'), dict(type='ATLoss')]), SPOTS[2]]
TWO = dict(phase_epochs=2, val_interval=1)
SCHEDULES = {
    'Stagewise': TWO,
    'BackboneFirst': TWO,
    'ParallelStages': TWO,
    'Simultaneous': TWO,
    'FitNets': dict(TWO, hints=[SPOTS[0], SPOTS[2]]),
    'Progressive': dict(TWO, logits='logits', fraction=[2 / 3, 1]),
    'NoTeacher': TWO,
    'Phases': dict(TWO, phases=[
        dict(name='all', train='all', spots=[SPOTS[0], 'logits'], task=0.5),
        dict(name='head', train=['decode_head'], spots=['logits'], task=1)]),
    'PartlyLabelled': SCHEDULE,
}


def main(folder):
    world = int(os.environ.get('WORLD_SIZE', 1))
    top = dict(launcher='pytorch' if world > 1 else 'none', env_cfg=dict(dist_cfg=dict(backend='gloo')),
               val_evaluator=EVALUATOR, param_scheduler=[],
               optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9)))
    result = {}
    for kind, settings in SCHEDULES.items():
        for cache in (0, 1):
            name = f'{kind}-{cache}'
            spots = [*FEATURES, LOGITS] if kind in ('Progressive', 'Phases', 'PartlyLabelled') else FEATURES
            more = dict(unlabelled_dataloader=UNLABELLED) if kind == 'PartlyLabelled' else {}
            model = dict(type='skd_mm.Distiller', student=still(), teacher=network(), spots=spots)
            cfg = config(folder / f'{name}-{world}', {'train_dataloader.batch_size': 4 // world},
                         model=model, schedule={'type': kind, **settings, 'cache': cache}, **top, **more)
            runner = train(cfg)
            best = runner.train_loop.checkpoints.best
            result[name] = dict(state=state(runner.train_loop.distiller), best=best, iters=runner.iter)
    torch.save(result, folder / f'world{world}_rank{get_rank()}.pth')
