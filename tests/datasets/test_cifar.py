"""CIFAR: the layout is read as mmpretrain reads it, parts of it too, and what is wrong is named."""

import pickle
from collections import Counter

import mmpretrain.datasets.cifar as theirs
import numpy as np
import pytest
from mmengine.registry import DATASETS as MMENGINE_DATASETS

from skd_mm.datasets import CIFAR10, CIFAR100, fraction_indices
from skd_mm.registry import DATASETS


def write(root, cls=CIFAR100, labels=(0, 1, 99, 1)):
    """Files of the data set's layout, with a few random images."""
    folder = root / cls.base_folder
    folder.mkdir(parents=True)
    images = {}
    for name, _ in cls.train_list + cls.test_list:
        images[name] = np.random.default_rng(len(images)).integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)
        key = 'fine_labels' if cls is CIFAR100 else 'labels'
        entry = {'data': images[name].reshape(len(labels), -1), key: list(labels)}
        (folder / name).write_bytes(pickle.dumps(entry))
    return images


def read(root, split='train', cls=CIFAR100, **kwargs):
    return cls(data_root=str(root), split=split, **kwargs)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_a_part_is_read_without_its_md5(tmp_path, split):
    images = write(tmp_path)
    dataset = read(tmp_path, split, check_md5=False)
    assert [dataset[i]['gt_label'] for i in range(len(dataset))] == [0, 1, 99, 1]
    np.testing.assert_array_equal(dataset[2]['img'], images[split][2].transpose(1, 2, 0))  # RGB, channels last
    assert len(dataset.CLASSES) == 100 and dataset.CLASSES[0] == 'apple'


def test_cifar10_joins_its_files(tmp_path):
    images = write(tmp_path, CIFAR10, labels=(0, 9))
    dataset = read(tmp_path, cls=CIFAR10, check_md5=False)
    assert len(dataset) == 10 and len(dataset.CLASSES) == 10
    np.testing.assert_array_equal(dataset[9]['img'], images['data_batch_5'][1].transpose(1, 2, 0))
    assert len(read(tmp_path, 'test', CIFAR10, check_md5=False)) == 2


def test_the_md5_is_checked_unless_said_otherwise(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match=r"train' is not that of the official release .* check_md5=False"):
        read(tmp_path)


def test_nothing_is_downloaded_unasked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(theirs, 'download_and_extract_archive', lambda *args, **kwargs: (
        asked.append(args[0]), write(tmp_path)))
    with pytest.raises(FileNotFoundError, match=r"no file .*cifar-100-python/train'.*https://.*download=True"):
        read(tmp_path, check_md5=False)
    assert not asked
    assert len(read(tmp_path, check_md5=False, download=True)) == 4
    assert asked == [CIFAR100.url]


@pytest.mark.parametrize('spoil, message', [
    (lambda data: data[:-100], r'cifar-100-python: train is truncated or not a part of CIFAR100'),
    (lambda data: b'', 'truncated'),
    (lambda data: pickle.dumps({'data': np.zeros((1, 3072), np.uint8)}), 'not a part of CIFAR100: KeyError'),
    (lambda data: pickle.dumps({'data': np.zeros((1, 3072), np.uint8), 'fine_labels': [100]}),
     r'labels outside the 100 classes: \[100\]'),
])
def test_broken_files_are_named(tmp_path, spoil, message):
    write(tmp_path)
    path = tmp_path / 'cifar-100-python' / 'train'
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read(tmp_path, check_md5=False)


def test_an_unknown_split_is_named(tmp_path):
    with pytest.raises(ValueError, match="split='val' is neither 'train' nor 'test'"):
        read(tmp_path, 'val')


def test_names_do_not_collide_with_mmpretrains():
    assert DATASETS.get('skd_mm.CIFAR100') is CIFAR100 and DATASETS.get('skd_mm.CIFAR10') is CIFAR10
    assert MMENGINE_DATASETS.get('mmpretrain.CIFAR100') is theirs.CIFAR100 is not CIFAR100


def test_real_quarter(real_data):
    if not (real_data / 'cifar-100-python').is_dir():
        pytest.skip('needs cifar-100-python/ in SKD_MM_DATA')
    train, test = (read(real_data, split, check_md5=False) for split in ('train', 'test'))
    counts = Counter(train.get_data_info(i)['gt_label'] for i in range(len(train)))
    assert sorted(counts) == list(range(100)) and len(set(counts.values())) == 1
    assert len(train) in (12500, 50000) and len(test) in (2500, 10000)
    tenth = fraction_indices(train, 0.1)
    assert len({train.get_data_info(i)['gt_label'] for i in tenth}) == 100
