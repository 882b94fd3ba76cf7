"""Toy networks, data and runs: a whole schedule takes a second or two, and mmsegmentation builds and trains them.

Everything is registered in MMEngine's own registries, so that a config, and a process of its own, can name it.
"""

import itertools
import json
import os
import signal
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmpretrain.datasets import BaseDataset as BaseClsDataset
from mmseg.datasets import BaseSegDataset
from mmseg.structures import SegDataSample
from torch import nn

import skd_mm  # noqa: F401  (a process of its own must import it before mmseg; here conftest.py has)

CLASSES = 3
SIDE = 12
SPOTS = ['backbone.layers.0', 'backbone.layers.1', 'backbone.layers.2']
READS: list[int] = []
"""Indices of training images in the order in which this process read them."""


@MODELS.register_module(force=True)
class ToyBackbone(BaseModule):
    """Convolution – BN – ReLU (– dropout), three times; gives the three features."""

    def __init__(self, width=4, dropout=0.0, stride=1, widths=None, frozen_stages=-1, norm_eval=False, init_cfg=None):
        super().__init__(init_cfg)
        widths = [3, *(widths or [width] * 3)]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, stride=stride if i == 1 else 1, bias=False),
                nn.BatchNorm2d(after), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []))
            for i, (before, after) in enumerate(itertools.pairwise(widths)))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        for layer in self.layers[:frozen_stages + 1]:
            layer.requires_grad_(False)

    def forward(self, x):
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)

    def train(self, mode=True):
        super().train(mode)
        self.layers[:self.frozen_stages + 1].train(False)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


class Prepared(nn.Module):
    """Prepares its weight in `train`, as the attention of LeViT does; its forward pass fails if it did not."""

    def __init__(self, channels=2):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def train(self, mode=True):
        super().train(mode)
        if mode:
            self.__dict__.pop('prepared', None)
        else:
            self.prepared = self.weight.detach() * 2
        return self

    def forward(self, x):
        return x * (self.weight if self.training else self.prepared)


@DATASETS.register_module(force=True)
class ToySegDataset(BaseSegDataset):
    """Noisy images whose class is the brighter channel, made from their number; reads in training are noted."""

    METAINFO = dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0], [9, 9, 9], [99, 99, 99]])

    def __init__(self, images=12, first=0, side=SIDE, **kwargs):
        self.images, self.first, self.side = images, first, side
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self):
        infos = []
        for i in range(self.first, self.first + self.images):
            random = np.random.RandomState(i)
            seg = random.randint(0, CLASSES, (self.side // 4, self.side // 4)).repeat(4, 0).repeat(4, 1)
            img = random.randint(0, 80, (self.side, self.side, 3)) + 100 * np.eye(3, dtype=int)[seg]
            infos.append(dict(img=img.astype(np.uint8), gt_seg_map=seg.astype(np.uint8), seg_fields=['gt_seg_map'],
                              img_shape=seg.shape, ori_shape=seg.shape, img_path=f'images/{i:03d}.png', label_map=None,
                              reduce_zero_label=False))
        return infos

    def prepare_data(self, index):
        if not self.test_mode:
            READS.append(index)
        return super().prepare_data(index)


@DATASETS.register_module(force=True)
class ToyClsDataset(BaseClsDataset):
    """The same for classification: the class is the brightest channel."""

    METAINFO = dict(classes=('a', 'b', 'c'))

    def __init__(self, images=12, first=0, side=SIDE, **kwargs):
        self.images, self.first, self.side = images, first, side
        super().__init__(ann_file='', serialize_data=False, **kwargs)

    def load_data_list(self):
        infos = []
        for i in range(self.first, self.first + self.images):
            image = np.random.RandomState(i).randint(0, 80, (self.side, self.side, 3))
            image[..., i % CLASSES] += 60
            infos.append(dict(img=image.astype(np.uint8), gt_label=i % CLASSES, img_path=f'images/{i:03d}.png',
                              img_shape=image.shape[:2], ori_shape=image.shape[:2], sample_idx=i))
        return infos


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    """What the test says the measure is, one value a validation; then the last one for ever."""

    default_prefix = None

    def __init__(self, values=(0.5,), name='score', **kwargs):
        super().__init__(**kwargs)
        self.values, self.name = list(values), name

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {self.name: self.values.pop(0) if len(self.values) > 1 else self.values[0]}


class Killed(BaseException):
    """Stands for the machine's end: nothing in the program may catch it."""


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Ends the run at a named moment, the ``at``-th time it comes."""

    def __init__(self, event, at=1, priority='VERY_HIGH'):
        self.event, self.at, self.priority = event, at, priority

    def __getattribute__(self, name):
        if name in ('event', 'at', 'priority') or name.startswith('__'):
            return super().__getattribute__(name)
        if name == self.event:
            return self._count
        return super().__getattribute__(name)

    def _count(self, *args, **kwargs):
        self.at -= 1
        if not self.at:
            self.kill()

    def kill(self):
        raise Killed


@HOOKS.register_module(force=True)
class SystemKillHook(KillHook):
    """The same by the system, where nothing is cleaned up; of one rank, and where no marker is, if so told."""

    def __init__(self, event, at=1, priority='VERY_HIGH', rank=None, marker=None, signal=signal.SIGKILL):
        super().__init__(event, at, priority)
        self.rank, self.marker, self.signal = rank, marker, signal

    def kill(self):
        if self.rank is not None and self.rank != int(os.environ.get('RANK', 0)):
            return
        if self.marker is not None:
            if Path(self.marker).exists():
                return
            Path(self.marker).touch()
        os.kill(os.getpid(), self.signal)


@OPTIM_WRAPPERS.register_module(force=True)
class ScaledOptimWrapper(AmpOptimWrapper):
    """MMEngine's way with half precision on a GPU, as far as a CPU goes it: the first scale is too large."""

    def __init__(self, growth_interval=10**6, init_scale=2.**127, **kwargs):
        OptimWrapper.__init__(self, **kwargs)
        self.cast_dtype = None
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=init_scale, growth_interval=growth_interval)
        self._scale_update_param = None


def network(width=4, **changes):
    """An ``EncoderDecoder`` on a toy backbone: ``changes`` go to the backbone."""
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(type='mmseg.SegDataPreProcessor', mean=[90., 90., 90.], std=[50., 50., 50.], pad_val=0,
                               seg_pad_val=255, size=(SIDE, SIDE)),
        backbone=dict(type='mmengine.ToyBackbone', width=width, **changes),
        decode_head=dict(type='mmseg.FCNHead', in_channels=(changes.get('widths') or [width] * 3)[-1], in_index=2,
                         channels=4, num_convs=1, concat_input=False, dropout_ratio=0, num_classes=CLASSES,
                         norm_cfg=dict(type='BN'), align_corners=False,
                         loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True)),
        train_cfg=dict(), test_cfg=dict(mode='whole'))


def unet(depth=10, width=1 / 16, side=32):
    """The paper's U-Net, as narrow as it goes."""
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(type='mmseg.SegDataPreProcessor', mean=[90., 90., 90.], std=[50., 50., 50.], pad_val=0,
                               seg_pad_val=255, size=(side, side)),
        backbone=dict(type='skd_mm.ResNet', depth=depth, width=width),
        decode_head=dict(type='skd_mm.UNetHead', width=width, num_classes=CLASSES),
        train_cfg=dict(), test_cfg=dict(mode='whole'))


UNET_SPOTS = [*(f'backbone.{name}' for name in ('stem', 'layer1', 'layer2', 'layer3', 'layer4')),
              *(f'decode_head.blocks.{i}' for i in range(5))]


def build_distiller(student=None, teacher='same', spots=SPOTS, seed=0, **kwargs):
    """A distiller from model configs, with weights from a seed; ``teacher='same'`` is another net like the student."""
    torch.manual_seed(seed)
    init_default_scope('mmseg')
    student = network() if student is None else student
    teacher = student if teacher == 'same' else teacher
    distiller = MODELS.build(dict(type='skd_mm.Distiller', student=dict(student), spots=list(spots),
                                  teacher=None if teacher is None else dict(teacher), **kwargs))
    return distiller


def batch(size=2, side=SIDE, seed=0, classes=CLASSES):
    """Normalised inputs and their samples, as they leave a data preprocessor."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 3, side, side, generator=generator)
    samples = []
    for _ in range(size):
        truth = torch.randint(0, classes, (1, side, side), generator=generator)
        sample = SegDataSample(gt_sem_seg=PixelData(data=truth))
        sample.set_metainfo(dict(img_shape=(side, side), ori_shape=(side, side)))
        samples.append(sample)
    return inputs, samples


def total(losses):
    """The sum that a Runner would train on."""
    return sum(sum(value) if isinstance(value, list) else value for key, value in losses.items() if 'loss' in key)


def state(module, copy=True):
    """All parameters and buffers, also those that are in no checkpoint."""
    entries = itertools.chain(module.named_parameters(), module.named_buffers())
    return {name: tensor.detach().clone() if copy else tensor for name, tensor in entries}


def differing(one, other):
    """Names of the tensors that are not the same bit for bit."""
    assert one.keys() == other.keys()
    return [name for name in one if not same_bits(one[name], other[name])]


def same_bits(one, other):
    """Whether two tensors are the same, NaNs included."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.cpu().numpy().tobytes() == other.cpu().numpy().tobytes()


@contextmanager
def calls(*modules):
    """Counts how often each module of some models is run, by model and path."""
    counts = [Counter() for _ in modules]
    handles = []
    for count, model in zip(counts, modules, strict=True):
        for path, module in model.named_modules():
            handles.append(module.register_forward_hook(
                lambda module, inputs, output, count=count, path=path: count.update([path])))
    try:
        yield counts if len(counts) > 1 else counts[0]
    finally:
        for handle in handles:
            handle.remove()


PIPELINE = [dict(type='PackSegInputs')]
RANDOM = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]
_names = itertools.count()


def config(work_dir, changes=None, *, images=12, pipeline=PIPELINE, workers=0, schedule=None, **top):
    """A whole run: three feature phases and the head, two epochs of three iterations each.

    Args:
        work_dir: Its folder.
        changes: Settings by dotted key, as in ``--cfg-options``.
        images: Training images; a batch has 4.
        pipeline: The training pipeline.
        workers: Processes of the training loader.
        schedule: Replaces the schedule.
        **top: Replaces whole top-level keys.
    """
    loader = dict(num_workers=workers, persistent_workers=workers > 0)
    cfg = dict(
        default_scope='mmseg',
        experiment_name=f'toy{next(_names)}',
        work_dir=str(work_dir),
        model=dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=SPOTS),
        schedule=schedule or dict(type='Stagewise', phase_epochs=2, val_interval=1),
        train_cfg=dict(type='skd_mm.PhaseLoop'),
        train_dataloader=dict(loader, batch_size=4, sampler=dict(type='InfiniteSampler', shuffle=True),
                              dataset=dict(type='mmengine.ToySegDataset', images=images, pipeline=pipeline)),
        val_dataloader=dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                            dataset=dict(type='mmengine.ToySegDataset', images=3, first=500, test_mode=True,
                                         pipeline=PIPELINE)),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2)),
        param_scheduler=[dict(type='OneCycleLR', eta_max=2e-2, by_epoch=False),
                         dict(type='skd_mm.OneCycleMomentum', by_epoch=False)],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        randomness=dict(seed=0),
        log_level='WARNING')
    cfg.update(top)
    cfg = Config(cfg)
    cfg.merge_from_dict(changes or {})
    return cfg


def train(cfg, resume=False):
    """Trains with MMEngine's Runner; gives the Runner back."""
    cfg = Config(cfg.to_dict())
    cfg.experiment_name = f'toy{next(_names)}'
    cfg.resume = resume
    with quick():
        runner = Runner.from_cfg(cfg)
        runner.train()
    return runner


@contextmanager
def quick():
    """Skip what takes most of a toy run's time: MMEngine formats the config again for every checkpoint."""
    with mock.patch.object(Config, 'pretty_text', property(lambda self: f'cfg = {self.to_dict()!r}')), \
            mock.patch.object(Runner, '_log_env', lambda *args: None):
        yield


def train_killed(cfg, event, at=1, resume=False, priority='VERY_HIGH'):
    """Trains until a hook's event comes the ``at``-th time, and ends there as a killed process would."""
    cfg = Config(cfg.to_dict())
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmengine.KillHook', event=event, at=at,
                                                           priority=priority)]
    try:
        train(cfg, resume)
    except Killed:
        return
    raise AssertionError(f'{event} did not come {at} times')


def last_checkpoint(work_dir):
    """The newest checkpoint that can be resumed from."""
    return load(Path(work_dir, 'last_checkpoint').read_text())


def load(path):
    """A checkpoint file."""
    return torch.load(path, map_location='cpu', weights_only=False)


def log_lines(work_dir):
    """What the runs in a folder wrote into their JSON logs, in order."""
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


if 'tests.helpers' not in sys.modules:
    sys.modules['tests.helpers'] = sys.modules[__name__]
