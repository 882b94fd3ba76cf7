"""A detector from distillation to export: trained with unlabelled images, tested, exported and run by mmdetection."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from skd_mm.deploy import export_student
from tests.detectors import CLASSES, detector_config, toy_scene, write_coco
from tests.helpers import differing, last_checkpoint, load, log_lines, state, train, train_killed

pytest.importorskip('mmdet', reason='mmdetection is not installed')
LOGITS = dict(name='logits', student=[f'bbox_head[0][{i}]' for i in range(5)], loss=dict(type='SigmoidKDLoss'))


def config(root, work_dir, schedule, **changes):
    """A distillation of a thin RetinaNet on images of two sizes, with batches of two."""
    write_coco(root, count=6)
    write_coco(root, count=4, image_folder='wide', annotations='wide.json', size=(48, 112))
    network = detector_config(**{'bbox_head.num_classes': len(CLASSES), 'backbone.frozen_stages': -1})
    wide = detector_config(**{'bbox_head.num_classes': len(CLASSES), 'backbone.base_channels': 16,
                              'neck.in_channels': [16, 32, 64, 128]})
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale_factor=1.),
                dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]

    def dataset(name, folder, pipeline=pipeline, **kwargs):
        return dict(type='CocoDataset', data_root=str(root), ann_file=name, data_prefix=dict(img=folder),
                    metainfo=dict(classes=CLASSES, palette=[(9, 9, 9)] * 3), pipeline=pipeline, **kwargs)

    test = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset('boxes.json', 'images', test_mode=True))
    metric = dict(type='CocoMetric', ann_file=str(root / 'boxes.json'), metric='bbox')
    return Config(dict(
        default_scope='mmdet', work_dir=str(work_dir), log_level='ERROR', randomness=dict(seed=0),
        model=dict(type='skd_mm.Distiller', student=network, teacher=wide, spots='backbone'),
        schedule=schedule, train_cfg=dict(type='skd_mm.PhaseLoop'),
        train_dataloader=dict(
            batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
            dataset=dict(type='ConcatDataset', datasets=[
                dataset('boxes.json', 'images'), dataset('wide.json', 'wide')])),
        val_dataloader=test, val_evaluator=metric, val_cfg=dict(type='ValLoop'),
        test_dataloader=test, test_evaluator=metric, test_cfg=dict(type='TestLoop'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        visualizer=dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]), **changes))


@pytest.mark.slow
def test_phases_of_a_detector_and_its_export(tmp_path):
    cfg = config(tmp_path / 'data', tmp_path / 'run', dict(type='BackboneFirst', phase_epochs=2))
    runner = train(cfg)
    student = runner.model.student
    assert [stage.name for stage in runner.model.stages] == [*(f'backbone.layer{i}' for i in range(1, 5)), 'task_head']
    lines = [line for line in log_lines(tmp_path / 'run') if 'loss' in line]
    assert {'loss_cls', 'loss_bbox'} <= lines[-1].keys() and 'spots.backbone.layer1.loss' in lines[0]

    checkpoint = str(tmp_path / 'run' / (tmp_path / 'run' / 'last_checkpoint').read_text().rpartition('/')[2])
    files = export_student(cfg, checkpoint, tmp_path / 'out', 'detector')
    from mmdet.apis import inference_detector, init_detector
    model = init_detector(str(files[0]), str(files[1]), device='cpu')
    assert model.dataset_meta['classes'] == list(CLASSES) and 'skd_mm' not in files[0].read_text()
    assert not differing(state(model), state(student))
    image = toy_scene(0)[0]
    found = inference_detector(model, image).pred_instances
    student.eval()
    student.cfg = model.cfg
    expected = inference_detector(student, image).pred_instances
    torch.testing.assert_close(found.scores, expected.scores)
    assert np.isfinite(found.bboxes.numpy()).all()


@pytest.mark.slow
def test_a_cache_of_images_of_different_sizes_changes_nothing(tmp_path):
    weights = []
    for cache in (0, 1):
        cfg = config(tmp_path / 'data', tmp_path / str(cache), dict(
            type='BackboneFirst', phase_epochs=2, cache=cache, overrides={'task_head': dict(iters=1)},
            head=dict(spots=dict(logits=1))))
        cfg.model.spots = [dict(name='stage', backbone_stage='all'), LOGITS]
        train(cfg)
        last = [line for line in log_lines(tmp_path / str(cache)) if 'loss' in line][-1]
        assert {'loss_cls', 'spots.logits.loss'} <= last.keys()
        weights.append(last_checkpoint(tmp_path / str(cache))['state_dict'])
    assert not differing(*weights)


@pytest.mark.slow
def test_fractions_and_resuming(tmp_path):
    schedule = dict(type='Simultaneous', phase_iters=4, val_interval=2, fraction=0.6)
    whole, killed = (config(tmp_path / 'data', tmp_path / name, schedule) for name in ('whole', 'killed'))
    train(whole)
    train_killed(killed, 'after_train_iter', at=3)
    train(killed, resume=True)
    assert not differing(*(last_checkpoint(tmp_path / name)['state_dict'] for name in ('whole', 'killed')))
    assert load(tmp_path / 'killed' / 'iter_4.pth')['meta']['iter'] == 4
