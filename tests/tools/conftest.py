"""What tests of the tools share: a call as from a command line, and a distillation small enough for them."""

import importlib.util
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from skd_mm.distillers import build_network


@pytest.fixture
def run_tool(repo, monkeypatch):
    """Runs ``tools/<name>`` in this process, which is seconds quicker than in another."""

    def run(name, *args):
        spec = importlib.util.spec_from_file_location('tool_' + name.replace('/', '_')[:-3], repo / 'tools' / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        return module.main()

    return run


@pytest.fixture
def distillation(tmp_path):
    """A config of a distillation, data in CamVid's layout, and a checkpoint of it; the teacher is nowhere.

    Its ``student`` is the network whose weights are in the checkpoint.
    """
    rng = np.random.default_rng(0)
    for folder in ('test', 'testannot'):
        (tmp_path / folder).mkdir()
    for name in ('a', 'b', 'c'):
        cv2.imwrite(str(tmp_path / 'test' / f'{name}.png'), rng.integers(0, 255, (32, 64, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / 'testannot' / f'{name}.png'), rng.integers(0, 12, (32, 64), dtype=np.uint8))
    student = dict(
        type='EncoderDecoder', _scope_='mmseg',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[100.] * 3, std=[50.] * 3, bgr_to_rgb=True,
                               test_cfg=dict(size_divisor=32)),
        backbone=dict(type='skd_mm.ResNet', depth=10, width=0.125, norm_cfg=dict(type='BN'),
                      out_indices=(0, 1, 2, 3, 4)),
        decode_head=dict(type='skd_mm.UNetHead', width=0.125, num_classes=11, norm_cfg=dict(type='BN')),
        train_cfg=dict(), test_cfg=dict(mode='whole'))
    config = tmp_path / 'skd_tiny.py'
    config.write_text(f"""
default_scope = 'mmseg'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)
model = dict(type='skd_mm.Distiller', teacher=dict(cfg='no/such/teacher.py', checkpoint='no/such/teacher.pth'),
             student={student!r}, spots=['backbone.layer1'])
schedule = dict(type='Stagewise', phase_epochs=1)
train_cfg = dict(type='skd_mm.PhaseLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam'))
load = dict(type='LoadImageFromFile')
resize = dict(type='Resize', scale=(64, 32), keep_ratio=False)
pipeline = [load, resize, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0., 1.)]
tta_model = dict(type='SegTTAModel')
tta_pipeline = [load, resize, dict(type='TestTimeAug', transforms=[
    flips, [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
train_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(type='skd_mm.CamVidDataset', data_root='nowhere'))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='skd_mm.CamVidDataset', data_root={str(tmp_path)!r},
                 data_prefix=dict(img_path='test', seg_map_path='testannot'), pipeline=pipeline))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook'),
                     visualization=dict(type='SegVisualizationHook'))
""")
    init_default_scope('mmseg')
    network = build_network(student, 'student')
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(torch.rand_like(tensor) + 0.5).add_(torch.rand_like(tensor) / 50)
    weights = {f'student.{key}': value for key, value in network.state_dict().items()}
    weights['spots.backbone/layer1.connector.weight'] = torch.ones(3)
    names = tuple('abcdefghijk')
    torch.save(dict(meta=dict(iter=3, dataset_meta=dict(classes=names, palette=[[i, i, i] for i in range(11)])),
                    state_dict=weights), tmp_path / 'iter_3.pth')
    return SimpleNamespace(config=config, checkpoint=tmp_path / 'iter_3.pth', student=network.eval(), folder=tmp_path)
