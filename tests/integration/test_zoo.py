"""Networks of the model zoos, and pairs of unequal widths, distilled to the end; only the images are tiny."""

from pathlib import Path

from skd_mm.config import load_config
from tests.helpers import CLASSES, PIPELINE, differing, load, log_lines, train

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def loaders(dataset, side, pipeline, metric, **metric_args):
    """Data and evaluation in place of those of a data set that is not there."""
    def loader(images, first, batch_size):
        return dict(batch_size=batch_size, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                    dataset=dict(type=f'mmengine.{dataset}', images=images, first=first, side=side, pipeline=pipeline),
                    collate_fn=dict(type='default_collate' if dataset == 'ToyClsDataset' else 'pseudo_collate'))
    return dict(train_dataloader=loader(4, 0, 2), val_dataloader=loader(2, 500, 1), test_dataloader=loader(2, 500, 1),
                val_evaluator=dict(type=metric, **metric_args), test_evaluator=dict(type=metric, **metric_args))


def run(name, work_dir, changes, data):
    """Trains what a config says, with what ``changes`` it to be small, and with other data (or other whole keys)."""
    cfg = load_config(str(CONFIGS / name), {'model.teacher.checkpoint': None, **changes})
    for key, value in data.items():
        cfg[key] = value
    cfg.work_dir, cfg.randomness, cfg.log_level = str(work_dir), dict(seed=0), 'WARNING'
    cfg.default_hooks.logger.interval = 1
    cfg.visualizer.name = str(work_dir)  # MMEngine has one of each name in a process
    runner = train(cfg)
    # The losses of each iteration.
    lines = [line for line in log_lines(work_dir) if 'loss' in line]
    learnt = [{key for key in line if key.endswith(('.loss', '.loss_ce'))} for line in lines]
    return runner, learnt


def check_backbone_first(runner, learnt, measure, heads):
    """Each stage on its own spot, with a connector, then the rest; and nothing else moves."""
    stages = [f'backbone.layer{i}' for i in (1, 2, 3, 4)]
    assert learnt == [{f'spots.{stage}.loss'} for stage in stages for _ in range(2)] + [heads] * 2
    assert all(len(spot.connector) == 1 for spot in runner.model.spots.values())
    best = runner.train_loop.checkpoints.best
    assert list(best) == [*stages, 'task_head'] and best['task_head']['metric'] == measure
    states = [dict(load(Path(runner.work_dir, record['file']))['state_dict']) for record in best.values()]
    for stage, before, after in zip([*stages[1:], None], states[:-1], states[1:], strict=True):
        moved = differing(before, after)
        own = (f'student.{stage}.', f'spots.{stage.replace(".", "/")}.') if stage else ('student.',)
        assert moved and all(name.startswith(own) for name in moved)
    assert not [name for name in moved if name.startswith('student.backbone')]


def test_one_config_away_from_mmpretrain(tmp_path):
    changes = {
        'schedule.phase_epochs': 1, 'model.student.backbone.base_channels': 4, 'model.student.head.in_channels': 32,
        'model.student.backbone.stem_channels': 4,
        'model.teacher.options': {'model.backbone.base_channels': 8, 'model.head.in_channels': 64}}
    data = loaders('ToyClsDataset', 32, [dict(type='PackInputs')], 'Accuracy', topk=(1, ))
    runner, learnt = run('examples/resnet34_resnet18_in1k.py', tmp_path, changes, data)
    check_backbone_first(runner, learnt, 'accuracy/top1', {'task.loss'})
    assert type(runner.optim_wrapper.optimizer).__name__ == 'Adam'


def thin_pspnet(channels, expansion):
    """Changes that make a PSPNet thin; ``expansion`` is 4 with bottlenecks."""
    return {'pretrained': None, 'backbone.base_channels': channels, 'backbone.stem_channels': channels,
            'decode_head.in_channels': 8 * channels * expansion, 'decode_head.channels': 4,
            'decode_head.num_classes': CLASSES, 'auxiliary_head.in_channels': 4 * channels * expansion,
            'auxiliary_head.channels': 4, 'auxiliary_head.num_classes': CLASSES}


def test_one_config_away_from_mmsegmentation(tmp_path):
    """SSKD from PSPNet-R101 to PSPNet-R18, both with an auxiliary head."""
    changes = {
        'schedule.phase_iters': 2, 'schedule.val_interval': 2, 'model.student.data_preprocessor.size': (64, 64),
        **{f'model.student.{key}': value for key, value in thin_pspnet(4, 1).items()},
        'model.teacher.options': {f'model.{key}': value for key, value in thin_pspnet(4, 4).items()}}
    data = loaders('ToySegDataset', 64, PIPELINE, 'IoUMetric', iou_metrics=['mIoU'])
    runner, learnt = run('examples/pspnet-r101_pspnet-r18_cityscapes.py', tmp_path, changes, data)
    check_backbone_first(runner, learnt, 'mIoU', {'decode.loss_ce', 'aux.loss_ce'})


def test_sskd_on_unets_of_unequal_widths(tmp_path):
    """From a U-Net on a ResNet-34 of width 1 to one on a ResNet-18 of width 1/2."""
    changes = {'schedule.phase_epochs': 1, 'train_dataloader.batch_size': 2}
    data = loaders('ToySegDataset', 64, PIPELINE, 'IoUMetric', iou_metrics=['mIoU'])
    runner, learnt = run('sskd/camvid/sskd_unet-r34_unet-r18-w50_1xb8-50e_camvid-480x640.py', tmp_path, changes,
                         data)
    widths = [tuple(size[0] for size in spot.shapes) for spot in runner.model.spots.values()]
    assert widths == [(32, 64), (64, 128), (128, 256), (256, 512)]
    check_backbone_first(runner, learnt, 'mIoU', {'decode.loss_ce'})


def test_face_recognition_with_margin_heads(tmp_path):
    """SSKD with ArcFace heads, as the paper evaluates it on faces, judged by verification."""
    def network(width):
        return dict(
            type='skd_mm.EmbeddingClassifier',
            backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=width, stem_channels=width),
            neck=[dict(type='GlobalAveragePooling'), dict(type='LinearNeck', in_channels=8 * width, out_channels=8)],
            head=dict(type='ArcFaceClsHead', num_classes=CLASSES, in_channels=8, scale=8.))
    data = loaders('ToyClsDataset', 32, [dict(type='PackInputs')], 'skd_mm.VerificationMetric', folds=2, far=[0.5])
    data['val_dataloader']['dataset']['images'] = 6  # three pairs of one identity
    data['model'] = dict(type='skd_mm.Distiller', student=network(4), teacher=network(8), spots='backbone')
    changes = {'schedule.phase_epochs': 1, 'default_hooks.checkpoint.save_best': 'verification/accuracy'}
    runner, learnt = run('examples/resnet34_resnet18_in1k.py', tmp_path, changes, data)
    check_backbone_first(runner, learnt, 'verification/accuracy', {'task.loss'})
    measured = [line for line in log_lines(tmp_path) if 'verification/accuracy' in line]
    assert len(measured) == 1 and {'verification/TAR@FAR=0.5'} <= measured[0].keys()
    learns = runner.model.trainable()
    assert 'student.head.norm_product.weight' in learns
    assert all(name.startswith(('student.neck.', 'student.head.')) for name in learns)
