"""The base configs of the classification data sets: what they read, and what they feed a model."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner

from skd_mm.datasets import CIFAR10, CIFAR100

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SPLITS = ('train', 'val', 'test')


def load(name):
    init_default_scope('mmpretrain')
    return Config.fromfile(CONFIGS / '_base_/datasets' / f'{name}.py')


def write_cifar(root, cls, images=4):
    folder = root / cls.base_folder
    folder.mkdir()
    for name, _ in cls.train_list + cls.test_list:
        data = np.full((images, 3, 1024), 255, np.uint8)
        key = 'fine_labels' if cls is CIFAR100 else 'labels'
        (folder / name).write_bytes(pickle.dumps({'data': data.reshape(images, -1), key: list(range(images))}))


@pytest.mark.parametrize('name, cls, number', [('cifar100_part', CIFAR100, 4), ('cifar10', CIFAR10, 20)])
def test_cifar(name, cls, number, tmp_path, monkeypatch):
    write_cifar(tmp_path, cls)
    monkeypatch.setenv('SKD_MM_DATA', str(tmp_path))
    cfg = load(name)
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        loader.dataset.check_md5 = False
        dataset = DATASETS.build(loader.dataset)
        assert type(dataset) is cls and len(dataset) == (number if split == 'train' else 4)
        samples = [dataset[i] for i in range(len(dataset)) for _ in range(8)]
        assert {sample['inputs'].shape for sample in samples} == {(3, 32, 32)}
        # White images: cropping at random out of a black frame shows.
        assert any((sample['inputs'] == 0).any() for sample in samples) == (split == 'train')


def test_the_official_cifar100_is_expected_unless_a_part_is_asked_for():
    assert 'check_md5' not in load('cifar100').train_dataloader.dataset
    part = load('cifar100_part')
    assert not any(part[f'{split}_dataloader'].dataset.check_md5 for split in SPLITS)


@pytest.mark.parametrize('name', ['imagenette', 'imagewoof'])
def test_folders_of_classes(name, tmp_path, monkeypatch):
    for split in ('train', 'val'):
        for label, size in enumerate([(300, 200), (240, 500)]):
            folder = tmp_path / f'{name}2' / split / f'n{label}'
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / 'a.JPEG'), np.full((*size, 3), (0, 0, 255), np.uint8))  # OpenCV's red
    monkeypatch.setenv('SKD_MM_DATA', str(tmp_path))
    cfg = load(name)
    for split in SPLITS:
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        assert [dataset[i]['data_samples'].gt_label.item() for i in range(len(dataset))] == [0, 1]
        for i in (0, 1):
            sample = dataset[i]['inputs']
            assert sample.shape == (3, 224, 224) and sample[2].float().mean() > 150 > 50 > sample[0].float().mean()
    steps = [step.type for step in cfg.train_pipeline]
    assert 'RandomFlip' not in steps and cfg.data_preprocessor.to_rgb


def test_imagenet_is_mmpretrains_in_the_one_data_root(monkeypatch):
    monkeypatch.setenv('SKD_MM_DATA', '/somewhere')
    cfg = load('imagenet')
    for split in SPLITS:
        dataset = cfg[f'{split}_dataloader'].dataset
        assert (dataset.type, dataset.data_root) == ('ImageNet', '/somewhere/imagenet')


def test_a_teacher_trains_from_its_config(tmp_path, monkeypatch):
    write_cifar(tmp_path, CIFAR100, images=8)
    monkeypatch.setenv('SKD_MM_DATA', str(tmp_path))
    cfg = Config.fromfile(CONFIGS / 'teachers/resnet56_1xb64-240e_cifar100.py')
    cfg.merge_from_dict({'work_dir': str(tmp_path / 'work'), 'train_cfg.max_epochs': 1, 'model.backbone.depth': 8,
                         'train_dataloader.batch_size': 4})
    for split in SPLITS:
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
        cfg[f'{split}_dataloader'].dataset.check_md5 = False
    runner = Runner.from_cfg(cfg)
    before = runner.model.head.fc.weight.clone()
    runner.train()
    assert runner.iter == 2 and not before.equal(runner.model.head.fc.weight)
    assert (tmp_path / 'work/best_accuracy_top1_epoch_1.pth').is_file()
    assert set(runner.test()) == {'accuracy/top1', 'accuracy/top5'}
