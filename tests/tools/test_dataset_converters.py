import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS

from skd_mm.datasets.converters.camvid import COLOURS
from tools.dataset_converters import camvid, street_scenes, tiny_imagenet

NAMES = dict(train='a', val='b', test='c')


@pytest.fixture
def run(monkeypatch, capsys):
    """Call a tool as its command line would, and return its output or its error."""

    def call(tool, *args):
        monkeypatch.setattr(sys, 'argv', ['tool', *map(str, args)])
        try:
            tool.main()
        except SystemExit as end:
            return str(end.code) + capsys.readouterr().err
        return capsys.readouterr().out

    return call


@pytest.fixture
def release(tmp_path):
    """An original release of one frame for each split, each label a row of all colours."""
    (tmp_path / 'src').mkdir()
    colours = [colour for members in COLOURS.values() for colour in members.values()]
    label = np.array([colours], np.uint8)[..., ::-1]
    for split, name in NAMES.items():
        cv2.imwrite(str(tmp_path / 'src' / f'{name}.png'), label)
        cv2.imwrite(str(tmp_path / 'src' / f'{name}_L.png'), label)
        (tmp_path / 'src' / f'{split}.txt').write_text(name)
    return tmp_path / 'src'


def test_camvid(run, release, tmp_path):
    printed = run(camvid, release, '--layout', 'original', '--splits', release, '-o', tmp_path / 'out')
    assert '1 train, 1 val, 1 test' in printed and 'building  15.6 %' in printed
    printed = run(camvid, release, '--layout', 'original', '-o', tmp_path / 'out')
    assert '--layout original needs --splits' in printed
    printed = run(camvid, tmp_path, '--layout', 'segnet', '--splits', release, '-o', tmp_path / 'out')
    assert '--splits is for --layout original' in printed
    printed = run(camvid, tmp_path / 'nowhere', '--layout', 'segnet', '-o', tmp_path / 'out2')
    assert printed.strip() == f"error: there is no folder {tmp_path / 'nowhere'}"


def test_street_scenes(run, tmp_path):
    printed = run(street_scenes, tmp_path / 'a', '--train', 2, '--val', 1, '--test', 1, '--size', 32, 48, '--seed', 3)
    assert '2 training, 1 validation and 1 test images' in printed
    assert len([path for path in (tmp_path / 'a').rglob('*') if path.is_file()]) == 2 * 4 + 1
    assert run(street_scenes, tmp_path / 'b', '--train', -2) == 'error: train must not be negative, but is -2'


@pytest.fixture
def tiny(tmp_path):
    """Two classes of Tiny-ImageNet with an image each, and two of the validation split."""
    image = np.zeros((64, 64, 3), np.uint8)
    for label in ('n02', 'n01'):
        (tmp_path / 'train' / label / 'images').mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'train' / label / 'images' / f'{label}_0.JPEG'), image)
    (tmp_path / 'val' / 'images').mkdir(parents=True)
    for name in ('val_0.JPEG', 'val_1.JPEG'):
        cv2.imwrite(str(tmp_path / 'val' / 'images' / name), image)
    (tmp_path / 'val' / 'val_annotations.txt').write_text('val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n')
    return tmp_path


def test_tiny_imagenet_is_read_by_mmpretrain(run, tiny):
    (tiny / 'train' / 'a_file').touch()  # it is not a class
    assert run(tiny_imagenet, tiny).endswith('val.txt: 2 images of 2 classes\n')
    cfg = Config.fromfile('configs/_base_/datasets/tiny_imagenet.py')
    found = {}
    for split in ('train', 'val'):
        dataset = dict(cfg[f'{split}_dataloader'].dataset, data_root=str(tiny), pipeline=[], _scope_='mmpretrain')
        dataset = DATASETS.build(dataset)
        found[split] = {dataset.get_data_info(i)['img_path'].rpartition('/')[2]: dataset.get_data_info(i)['gt_label']
                        for i in range(len(dataset))}
    assert found == dict(train={'n01_0.JPEG': 0, 'n02_0.JPEG': 1}, val={'val_0.JPEG': 1, 'val_1.JPEG': 0})


def test_errors_in_tiny_imagenet_are_reported(run, tiny):
    assert 'the folder of Tiny-ImageNet?' in run(tiny_imagenet, tiny / 'train')
    (tiny / 'val' / 'images' / 'val_1.JPEG').unlink()
    assert 'val_annotations.txt, line 2: there is no file' in run(tiny_imagenet, tiny)
    (tiny / 'val' / 'val_annotations.txt').write_text('val_0.JPEG\tn03\t0\n')
    assert "line 1: the class 'n03' has no folder" in run(tiny_imagenet, tiny)
    (tiny / 'val' / 'val_annotations.txt').write_text('val_0.JPEG n03\n')
    assert 'line 1: the class' in run(tiny_imagenet, tiny)
    assert not (tiny / 'val.txt').exists()
