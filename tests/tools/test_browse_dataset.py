import sys

import cv2
import numpy as np
import pytest

from skd_mm.datasets import fraction_indices
from skd_mm.datasets.camvid import CLASSES, PALETTE, CamVidDataset
from skd_mm.synthetic import make_street_scenes
from tools.analysis_tools import browse_dataset

SEGMENTATION = """
default_scope = 'mmseg'
train_dataloader = dict(dataset=dict(
    type='skd_mm.CamVidDataset', data_root={root!r},
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
              dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]))
schedule = dict(type='Stagewise', phase_epochs=1, fraction=0.5, fraction_seed=1)
"""
CLASSIFICATION = """
default_scope = 'mmpretrain'
train_dataloader = dict(dataset=dict(
    type='CustomDataset', data_root={root!r},
    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
"""


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)

    def call(config, *args):
        (tmp_path / 'config.py').write_text(config)
        monkeypatch.setattr(sys, 'argv', ['browse_dataset.py', 'config.py', *map(str, args)])
        try:
            browse_dataset.main()
        except SystemExit as end:
            return str(end.code) + capsys.readouterr().err
        return capsys.readouterr().out

    return call


@pytest.fixture(scope='module')
def street(tmp_path_factory):
    return str(make_street_scenes(tmp_path_factory.mktemp('data') / 'street', 10, 1, 1, (32, 48)))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_shows_the_fraction_of_the_schedule(run, street, tmp_path):
    said = run(SEGMENTATION.format(root=street))
    assert '5 of 10 samples (fraction 0.5, seed 1)' in said and 'no display' in said
    chosen = fraction_indices(CamVidDataset(data_root=street), 0.5, 1)
    assert files(tmp_path / 'work_dirs/config/browse') == [f'{i:06d}_scene_{i:04d}.png' for i in chosen]


def test_options_go_before_the_config(run, street, tmp_path):
    said = run(SEGMENTATION.format(root=street), '--fraction', 0.2, '--fraction-seed', 2, '--not-show', '--output-dir',
               tmp_path / 'a')
    chosen = fraction_indices(CamVidDataset(data_root=street), 0.2, 2)
    assert 'fraction 0.2, seed 2' in said and 'no display' not in said
    assert files(tmp_path / 'a') == [f'{i:06d}_scene_{i:04d}.png' for i in chosen]
    run(SEGMENTATION.format(root=street), '--count', 2, '--output-dir', tmp_path / 'b', '--cfg-options',
        'schedule.fraction=1')
    assert files(tmp_path / 'b') == ['000000_scene_0000.png', '000005_scene_0005.png']


def test_same_seed_same_pictures(run, street, tmp_path):
    for folder, seed in (('a', 0), ('b', 0), ('c', 1)):
        run(SEGMENTATION.format(root=street), '--fraction', 1, '--seed', seed, '--output-dir', tmp_path / folder)
    pictures = [[(tmp_path / folder / name).read_bytes() for name in files(tmp_path / folder)] for folder in 'abc']
    assert pictures[0] == pictures[1] != pictures[2]


def test_image_and_label_side_by_side():
    dataset = type('Data', (), {})  # only its metainfo is read
    dataset.metainfo = dict(classes=CLASSES, palette=PALETTE)
    image = np.full((4, 8, 3), (10, 20, 30), np.uint8)
    label = np.full((4, 8), 8)
    label[:, 4:] = 255
    drawn = browse_dataset.picture(sample(image, label), dataset.metainfo, 'a title', least_width=16)
    body = drawn[browse_dataset.LINE:browse_dataset.LINE + 4]
    np.testing.assert_array_equal(body[:, :8], image)
    car = np.round(0.4 * np.array([10, 20, 30]) + 0.6 * np.array(PALETTE[8][::-1]))
    np.testing.assert_array_equal(body[:, 8:12], np.broadcast_to(car, (4, 4, 3)))
    np.testing.assert_array_equal(body[:, 12:], image[:, 4:])  # ignored pixels stay as they are


def sample(image, label=None, **metainfo):
    import torch
    from mmengine.structures import BaseDataElement, PixelData
    data = BaseDataElement(metainfo=dict(img_path='a.png') | metainfo)
    if label is not None:
        data.gt_sem_seg = PixelData(data=torch.as_tensor(label)[None])
    return dict(inputs=torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1))), data_samples=data)


@pytest.mark.parametrize('image, metainfo, expected', [
    (np.full((2, 2, 3), (1, 2, 3), np.uint8), {}, (1, 2, 3)),
    (np.full((2, 2, 3), (1, 2, 3), np.uint8), dict(img_path=None), (3, 2, 1)),  # arrays are RGB
    (np.full((2, 2, 1), 7, np.uint8), {}, (7, 7, 7)),
])
def test_colours(image, metainfo, expected):
    drawn = browse_dataset.picture(sample(image, **metainfo), {}, '', least_width=2)
    np.testing.assert_array_equal(drawn[browse_dataset.LINE, 0], expected)


def test_normalised_images_are_stretched():
    image = np.linspace(-2, 2, 12, dtype=np.float32).reshape(2, 2, 3)
    body = browse_dataset.picture(sample(image), {}, '', least_width=2)[browse_dataset.LINE:browse_dataset.LINE + 2]
    assert body.min() == 0 and body.max() == 255


def test_classification(run, tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / 'data' / name).mkdir(parents=True)
        for i in range(4):
            cv2.imwrite(str(tmp_path / 'data' / name / f'{i}.png'), np.full((8, 8, 3), 9, np.uint8))
    said = run(CLASSIFICATION.format(root=str(tmp_path / 'data')), '--fraction', 0.25, '--output-dir', tmp_path / 'a')
    assert '2 of 8 samples' in said
    assert [name.split('_')[1] for name in files(tmp_path / 'a')] == ['cat', 'dog']


@pytest.mark.parametrize('args, message', [
    (['--fraction', 0], 'error: fraction must be a number in (0, 1], not 0'),
    (['--split', 'val'], 'error: the config has no val_dataloader'),
    (['--count', 0], '--count must be positive'),
    (['--cfg-options', 'train_dataloader.dataset.data_root=/nowhere'], "error: img_path: there is no folder '/nowhere"),
])
def test_errors(run, street, args, message):
    assert message in run(SEGMENTATION.format(root=street), *args)
