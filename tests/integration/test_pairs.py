"""Every config of ``configs/pairs`` is trained to its end, on tiny images and with random weights."""

import itertools
from pathlib import Path

import pytest
import torch

from skd_mm.config import load_config
from tests.helpers import PIPELINE, differing, load, log_lines, train

PAIRS = Path(__file__).resolve().parents[2] / 'configs/pairs'
NAMES = sorted(str(path.relative_to(PAIRS)) for path in PAIRS.rglob('*.py'))
SIDE = 64


def thin_resnet(expansion, **heads):
    """Changes that make a ResNet with base width 8 and its heads thin; ``expansion`` is 4 with bottlenecks."""
    changes = {'backbone.base_channels': 8, 'backbone.stem_channels': 8, 'decode_head.in_channels': 64 * expansion,
               'decode_head.channels': 8, 'auxiliary_head.in_channels': 32 * expansion, 'auxiliary_head.channels': 8}
    return {**changes, **{f'decode_head.{key}': value for key, value in heads.items()}}


R101, R18 = thin_resnet(4), thin_resnet(1)
UPERNET = {'decode_head.channels': 8, 'auxiliary_head.channels': 8, 'decode_head.in_channels': [8, 16, 32, 64],
           'auxiliary_head.in_channels': 32}
# What makes networks small; their modules keep their names.
SMALL = {
    'pspnet-r101': R101, 'pspnet-r18': R18, 'deeplabv3-r101': R101, 'deeplabv3-r18': R18,
    'deeplabv3plus-r101': thin_resnet(4, c1_in_channels=32, c1_channels=4),
    'deeplabv3plus-mobilenet-v2': {'decode_head.channels': 8, 'auxiliary_head.channels': 8},
    'upernet-convnext-b': {**UPERNET, 'backbone.arch': dict(_delete_=True, depths=[1] * 4, channels=[8, 16, 32, 64])},
    'upernet-r18': {**UPERNET, 'backbone.base_channels': 8, 'backbone.stem_channels': 8},
    'segformer-b4': {'backbone.num_layers': [1, 1, 2, 1], 'decode_head.channels': 16},
    'segformer-b2': {'backbone.num_layers': [1, 1, 2, 1], 'decode_head.channels': 16},
    'segformer-b0': {'decode_head.channels': 16},
    'hrnet-w48': {'backbone.extra.stage3.num_modules': 1, 'backbone.extra.stage4.num_modules': 1},
    'hrnet-w18s': {'backbone.extra.stage3.num_modules': 1, 'backbone.extra.stage4.num_modules': 1},
    'segnext-b': {'backbone.depths': [1, 1, 1, 1]}, 'segnext-t': {'backbone.depths': [1, 1, 1, 1]},
    'mask2former-swin-t': {'backbone.depths': [1] * 4, 'backbone.embed_dims': 12, 'backbone.num_heads': [1] * 4,
                           'decode_head.in_channels': [12, 24, 48, 96], 'decode_head.num_queries': 5},
    'swin-t': {'backbone.pad_small_map': True},
    **{name: {'backbone.channels': 8, 'backbone.ppm_channels': 8, 'decode_head.in_channels': 32,
              'decode_head.channels': 16} for name in ('ddrnet-23', 'ddrnet-23-slim', 'pidnet-l', 'pidnet-s')},
}


def loader(dataset, images, first, batch_size, pipeline):
    return dict(batch_size=batch_size, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type=f'mmengine.{dataset}', images=images, first=first, side=SIDE, pipeline=pipeline),
                collate_fn=dict(type='default_collate' if dataset == 'ToyClsDataset' else 'pseudo_collate'))


def tiny(name):
    """A config with tiny images, two iterations per phase and no downloads."""
    cfg = load_config(str(PAIRS / name), {'model.teacher.checkpoint': None})
    make_small(cfg, *Path(name).stem.split('_')[:2])
    dense = not name.startswith('imagenet')
    dataset, pipeline = ('ToySegDataset', PIPELINE) if dense else ('ToyClsDataset', [dict(type='PackInputs')])
    if 'pidnet-s' in name:
        pipeline = [*PIPELINE[:-1], dict(type='GenerateEdge', edge_width=4), PIPELINE[-1]]
    cfg.train_dataloader = loader(dataset, 4, 0, 2, pipeline)
    cfg.val_dataloader = cfg.test_dataloader = loader(dataset, 2, 500, 1, PIPELINE if dense else pipeline)
    evaluator = dict(type='IoUMetric', iou_metrics=['mIoU']) if dense else dict(type='Accuracy', topk=(1, ))
    cfg.val_evaluator = cfg.test_evaluator = evaluator
    cfg.param_scheduler = [dict(type='PolyLR', by_epoch=False)]  # a warm-up is longer than these phases
    if dense:
        cfg.model.student.data_preprocessor.size = (SIDE, SIDE)
        cfg.schedule.update(phase_iters=2, val_interval=2)
        cfg.schedule.head.iters = 2
    else:
        cfg.schedule.update(phase_epochs=1, val_interval=1)
        cfg.schedule.head.epochs = 1
        cfg.model.student.train_cfg = cfg.custom_hooks = None
    return cfg


def make_small(cfg, teacher, student):
    """Make the networks of a pair small; they start from random weights."""
    forget_weights(cfg.model)
    cfg.model.teacher.checkpoint = None
    if teacher in SMALL:
        small = {f'model.{key}': value for key, value in SMALL[teacher].items()}
        cfg.model.teacher.options = {**cfg.model.teacher.get('options', {}), **small}
    cfg.merge_from_dict({f'model.student.{key}': value for key, value in SMALL.get(student, {}).items()})


def forget_weights(cfg):
    for key, value in cfg.items():
        if key == 'pretrained' or (key == 'init_cfg' and value and value.get('type') == 'Pretrained'):
            cfg[key] = None
        elif isinstance(value, dict):
            forget_weights(value)


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES, ids=[Path(name).stem for name in NAMES])
def test_a_pair_is_distilled_to_its_end(name, tmp_path):
    if 'mask2former' in name:
        pytest.importorskip('mmdet')
    cfg = tiny(name)
    cfg.work_dir, cfg.randomness, cfg.log_level = str(tmp_path), dict(seed=0), 'WARNING'
    cfg.default_hooks.logger.interval = 1
    cfg.visualizer.name = str(tmp_path)  # MMEngine has one of each name in a process
    runner = train(cfg)
    ends = [name for name in runner.model.spots if name != 'logits']
    expected = ends + ['logits'] * ('logits' in runner.model.spots)
    assert len(ends) > 3 or name.startswith('cityscapes/dinov2')
    lines = [{key for key in line if key.startswith('spots.')} for line in log_lines(tmp_path) if 'loss' in line]
    assert [keys for keys in lines if keys] == [{f'spots.{spot}.loss'} for spot in expected for _ in range(2)]
    best = runner.train_loop.checkpoints.best
    assert list(best) == [*ends, 'task_head']
    states = [dict(load(Path(runner.work_dir, record['file']))['state_dict']) for record in best.values()]
    for before, after in itertools.pairwise(states):
        moved = differing(before, after)
        assert moved and all(torch.isfinite(after[key]).all() for key in moved)
    # The last phase leaves the connectors alone and, if it does not train the whole student, the backbone.
    assert not [key for key in moved if key.startswith('spots.')]
    assert ('train' in cfg.schedule.head) == any(key.startswith('student.backbone') for key in moved)
