"""A small Runner of MMEngine's, without any class of this toolkit."""

import os

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.norm = nn.SyncBatchNorm(3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        loss = self.norm(self.linear(inputs)).pow(3).mean()
        return {'loss': loss} if mode == 'loss' else loss


class Numbers(torch.utils.data.Dataset):
    metainfo = {'classes': ('a', 'b'), 'palette': np.zeros((2, 3), np.uint8)}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {'inputs': torch.tensor([index / 8, index % 3])}


class NumpyScalars(Hook):
    """Logs what metrics and losses may log: numpy scalars of several types."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for kind in (np.float16, np.float32, np.float64, np.int32, np.int64):
            runner.message_hub.update_scalar(f'train/{kind.__name__}', kind(1))
            runner.message_hub.update_info(kind.__name__, kind(1))
        runner.message_hub.update_info('flag', np.bool_(True))


def make_runner(work_dir, iters=4, scheduler='CosineAnnealingLR', **kwargs):
    schedulers = {
        'OneCycleLR': {'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 10, 'by_epoch': False},
        'CosineAnnealingLR': {'type': 'CosineAnnealingLR', 'T_max': 10, 'by_epoch': False},
        'ReduceOnPlateauLR': {'type': 'ReduceOnPlateauLR', 'monitor': 'train/loss'},
    }
    return Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader={
            'dataset': Numbers(),
            'batch_size': 2,
            'num_workers': 0,
            'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
            'collate_fn': {'type': 'default_collate'},
        },
        train_cfg={'by_epoch': False, 'max_iters': iters},
        optim_wrapper={'optimizer': {'type': 'Adam', 'lr': 0.1}},
        param_scheduler=schedulers[scheduler],
        custom_hooks=[NumpyScalars()],
        default_hooks={
            'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False},
            'logger': {'type': 'LoggerHook', 'interval': 1},
        },
        log_processor={'by_epoch': False},
        experiment_name=f'compat_{os.path.basename(work_dir)}_{iters}',
        **kwargs)
