"""The configs of detectors: each builds, names the zoo's weights, and is trained to its end on toy images, thin."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from skd_mm.config import check_config
from skd_mm.distillers.networks import find_config, network_config
from tests.detectors import CLASSES, write_coco, write_voc
from tests.helpers import train

pytest.importorskip('mmdet', reason='mmdetection is not installed')
ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs' / 'detection'
PATHS = sorted(FOLDER.rglob('*.py'))
ZOO = [path for path in PATHS if path.parent.name in ('coco', 'voc')]
SIZE = (64, 96)


def thin(network, teacher):
    """The same network with few channels; the teacher has twice as many."""
    width = 2 if teacher else 1
    if network['type'] == 'RTMDet':
        changes = {'backbone.widen_factor': 0.125 * width, 'backbone.deepen_factor': 0.167,
                   'neck.in_channels': [32 * width, 64 * width, 128 * width], 'neck.out_channels': 16,
                   'bbox_head.in_channels': 16, 'bbox_head.feat_channels': 16}
    else:
        # A bottleneck has four times as many channels.
        base = 4 * width if network['backbone']['depth'] < 50 else 2 * width
        wide = base * (1 if network['backbone']['depth'] < 50 else 4)
        changes = {'backbone.base_channels': base, 'neck.in_channels': [wide * 2**k for k in range(4)],
                   'neck.out_channels': 32}
        if 'rpn_head' in network:
            changes.update({'rpn_head.in_channels': 32, 'rpn_head.feat_channels': 16,
                            'roi_head.bbox_head.in_channels': 32, 'roi_head.bbox_head.fc_out_channels': 16,
                            'roi_head.bbox_roi_extractor.out_channels': 32,
                            'train_cfg.rpn_proposal.max_per_img': 50, 'test_cfg.rpn.max_per_img': 50})
        else:
            # FCOS has 32 groups of channels, of which none may have a single value.
            changes.update({'bbox_head.in_channels': 32, 'bbox_head.feat_channels': 64, 'bbox_head.stacked_convs': 1})
    return {'model.backbone.init_cfg': None, **{f'model.{key}': value for key, value in changes.items()}}


def toy(path, root):
    """A config with thin networks and toy images, and one iteration per phase."""
    cfg = Config.fromfile(path)
    for role in ('teacher', 'student'):
        network, _ = network_config(cfg.model[role], role)
        cfg.model[role].checkpoint = None
        cfg.model[role].options = {**cfg.model[role].get('options', {}), **thin(network, role == 'teacher')}
        cfg.model[role].options.pop('model.backbone.init_cfg.checkpoint', None)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    resize(cfg._cfg_dict)
    if path.parent.name == 'coco':
        write_coco(root, classes=[*CLASSES, *(f'class{i}' for i in range(77))], size=SIZE)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.update(data_root=str(root), ann_file='boxes.json', data_prefix=dict(img='images/'),
                                  metainfo=dict(classes=[*CLASSES, *(f'class{i}' for i in range(77))]))
        for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
            evaluator.ann_file = str(root / 'boxes.json')
    else:
        from mmdet.datasets import VOCDataset
        write_voc(root, VOCDataset.METAINFO['classes'], size=SIZE)
        for dataset in (*cfg.train_dataloader.dataset.dataset.datasets, cfg.val_dataloader.dataset,
                        cfg.test_dataloader.dataset):
            dataset.data_root = str(root)
            dataset.pop('filter_cfg', None)
    for key in ('phase_epochs', 'val_interval', 'head'):
        cfg.schedule.pop(key, None)
    cfg.schedule.phase_iters = 1
    cfg.param_scheduler = []
    cfg.merge_from_dict(dict(work_dir=str(root / 'work'), log_level='ERROR', randomness=dict(seed=0)))
    return cfg


def resize(value):
    """Make the images of all pipelines as small as the toy images."""
    if isinstance(value, dict):
        for key in ('scale', 'img_scale', 'crop_size', 'size'):
            if isinstance(value.get(key), list | tuple):
                value[key] = (SIZE[1], SIZE[0]) if 'scale' in key and value['type'] == 'Resize' else (64, 64)
        if value.get('type') == 'Pad':
            value['size'] = (96, 96)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        resize(part)


def test_there_are_configs():
    assert len(ZOO) >= 6 and len(PATHS) >= 9


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_nothing_is_misspelt(path):
    assert check_config(Config.fromfile(path)) == []


@pytest.mark.parametrize('path', ZOO, ids=lambda path: path.stem)
def test_teachers_have_the_weights_of_the_zoo(path):
    teacher = Config.fromfile(path).model.teacher
    file = Path(find_config(teacher.cfg))
    if not teacher.checkpoint.startswith('https://'):
        assert path.parent.name == 'voc' and teacher.checkpoint == f'work_dirs/{file.stem}/epoch_4.pth'
        return
    models = yaml.safe_load((file.parent / 'metafile.yml').read_text())['Models']
    weights = next(model['Weights'] for model in models if model['Name'] == file.stem)
    assert Path(teacher.checkpoint).name == Path(weights).name  # the two lines have two hosts


@pytest.mark.slow
@pytest.mark.parametrize('path', ZOO, ids=lambda path: path.stem)
def test_every_phase_trains(path, tmp_path):
    cfg = toy(path, tmp_path)
    runner = train(cfg)
    names = [phase.name for phase in runner.train_loop.phases]
    if cfg.schedule.type == 'BackboneFirst':
        assert len(names) >= 4 and names[-1] == 'task_head'
    assert runner.iter == len(names)
    metric = cfg.default_hooks.checkpoint.save_best.replace('/', '_')
    assert len(list((tmp_path / 'work').glob(f'best_{metric}_*.pth'))) == 1
