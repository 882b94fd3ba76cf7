import sys

import cv2
import numpy as np
import pytest

from skd_mm.datasets import fraction_indices
from skd_mm.datasets.camvid import CamVidDataset
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
    (['--cfg-options', 'train_dataloader.dataset.data_root=/nowhere'],
     "error: train_dataloader.dataset: img_path: there is no folder '/nowhere"),
])
def test_errors(run, street, args, message):
    assert message in run(SEGMENTATION.format(root=street), *args)
