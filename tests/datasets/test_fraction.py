import os
from collections import Counter

import cv2
import numpy as np
import pytest
from mmengine.dataset import BaseDataset as MMEngineDataset
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset

from skd_mm.datasets import fraction as fraction_module
from skd_mm.datasets import fraction_indices, sample_names, write_fraction
from skd_mm.datasets.fraction import _relative_path, check_fraction, fractions_of

PERCENTS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.7, 1.0)


def _refuse(results):
    raise AssertionError('the pipeline must not be run')


def segmentation(root, count, suffix='.png', **kwargs):
    """Images that are never opened, so empty files do."""
    os.makedirs(root / 'img' / 'b', exist_ok=True)
    for i in range(count):
        (root / 'img' / ('b' if i % 2 else '') / f'{i}{suffix}').touch()
    return BaseSegDataset(
        data_root=str(root),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        img_suffix=suffix,
        metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [1, 1, 1]]),
        pipeline=[_refuse],
        **kwargs)


class ArrayData(MMEngineDataset):
    """As mmpretrain's CIFAR: samples hold their image, and a class each."""

    def __init__(self, labels):
        self.labels = labels
        super().__init__(pipeline=[_refuse])

    def load_data_list(self):
        return [dict(img=np.zeros((2, 2, 3), np.uint8), gt_label=label) for label in self.labels]


@pytest.mark.parametrize('fraction, count', [(0.1, 36), (0.2, 73), (0.3, 110), (0.4, 146), (0.25, 91), (1, 367)])
def test_the_papers_counts_on_camvid(tmp_path, fraction, count):
    assert len(fraction_indices(segmentation(tmp_path, 367), fraction)) == count


@pytest.mark.parametrize('fraction, of, count', [(0.29, 100, 29), (0.3, 10, 3), (0.57, 100, 57), (1 / 3, 9, 3),
                                                 (np.float32(0.1), 10, 1), (np.float64(0.7), 10, 7)])
def test_no_image_is_lost_to_binary_rounding(tmp_path, fraction, of, count):
    assert len(fraction_indices(segmentation(tmp_path, of), fraction)) == count


def make(kind, tmp_path):
    if kind == 'segmentation':
        return segmentation(tmp_path, 120)
    if kind == 'concat':
        (tmp_path / 'x').mkdir()
        (tmp_path / 'y').mkdir()
        return ConcatDataset([segmentation(tmp_path / 'x', 100), segmentation(tmp_path / 'y', 30)])
    return ArrayData([i * i % 7 for i in range(150)])


@pytest.mark.parametrize('kind', ['segmentation', 'concat', 'classification'])
def test_nested_ascending_repeatable(tmp_path, kind):
    dataset = make(kind, tmp_path)
    last = set()
    for fraction in PERCENTS:
        indices = fraction_indices(dataset, fraction, seed=3)
        assert indices == sorted(set(indices)) and last <= set(indices)
        assert indices == fraction_indices(dataset, fraction, seed=3)
        last = set(indices)
    assert last == set(range(len(dataset)))
    assert fraction_indices(dataset, 0.5, seed=0) == fraction_indices(dataset, 0.5)
    assert fraction_indices(dataset, 0.5, seed=0) != fraction_indices(dataset, 0.5, seed=1)


def test_the_choice_is_pinned(tmp_path):
    """A change of these numbers changes everyone's experiments."""
    dataset = segmentation(tmp_path, 20)
    assert sample_names(dataset, fraction_indices(dataset, 0.2)) == ['10.png', '6.png', 'b/7.png', 'b/9.png']


def test_not_simply_the_first_ones(tmp_path):
    assert fraction_indices(segmentation(tmp_path, 100), 0.3) != list(range(30))


def test_the_same_images_wherever_the_data_lies_and_whatever_the_order(tmp_path):
    names = []
    for place, suffix in (('here', '.png'), ('zz/there', '.jpg')):
        dataset = segmentation(tmp_path / place, 50, suffix)
        if place == 'here':
            listed = sorted((str(i) if i % 2 == 0 else f'b/{i}' for i in range(50)), reverse=True)
            (tmp_path / place / 'list.txt').write_text('\n'.join(listed))
            dataset = segmentation(tmp_path / place, 50, suffix, ann_file='list.txt')
        chosen = sample_names(dataset, fraction_indices(dataset, 0.2))
        names.append(sorted(os.path.splitext(name)[0] for name in chosen))
    assert names[0] == names[1]


def test_by_class(tmp_path):
    dataset = ArrayData([0] * 50 + [1] * 30 + [2] * 25 + [3] * 2)
    counts = Counter(dataset.labels[i] for i in fraction_indices(dataset, 0.1))
    assert counts == {0: 5, 1: 3, 2: 2, 3: 1}  # floor, and at least one


@pytest.mark.parametrize('serialize', [True, False])
def test_annotations_are_those_that_the_data_set_gives(serialize):
    class Relabelled(ArrayData):

        def get_data_info(self, idx):
            return dict(super().get_data_info(idx), gt_label=self.labels[idx] % 2)

    labels = [0] * 10 + [1] * 10 + [2] * 10
    assert Counter(labels[i] % 2 for i in fraction_indices(Relabelled(labels), 0.15)) == {0: 3, 1: 1}
    plain = ArrayData.__new__(ArrayData)
    plain.labels = labels
    MMEngineDataset.__init__(plain, pipeline=[_refuse], serialize_data=serialize)
    assert Counter(labels[i] for i in fraction_indices(plain, 0.3)) == {0: 3, 1: 3, 2: 3}


def test_several_classes_a_sample_are_cut_as_one_list():
    assert len(fraction_indices(ArrayData([[0, 1], [1], [2]] * 10), 0.1)) == 3


def test_mmpretrain_folder(tmp_path):
    from mmpretrain.datasets import CustomDataset
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        for i in range(10):
            cv2.imwrite(str(tmp_path / name / f'{i}.png'), np.zeros((2, 2, 3), np.uint8))
    dataset = CustomDataset(data_root=str(tmp_path))
    names = sample_names(dataset, fraction_indices(dataset, 0.2))
    assert sorted(os.path.dirname(name) for name in names) == ['cat', 'cat', 'dog', 'dog']


def test_indices_count_in_the_wrapper(tmp_path):
    dataset = make('concat', tmp_path)
    indices = fraction_indices(dataset, 0.2)
    assert len(indices) == 26 and any(i >= 100 for i in indices) and any(i < 100 for i in indices)
    for i, name in zip(indices, sample_names(dataset, indices), strict=True):
        part, path = (0, i) if i < 100 else (1, i - 100)
        info = dataset.datasets[part].get_data_info(path)
        assert name == f"{part}:{os.path.relpath(info['img_path'], dataset.datasets[part].data_prefix['img_path'])}"


def test_names_of_array_data():
    assert sample_names(ArrayData([0, 1, 0]), [2, 0]) == ['2', '0']
    with pytest.raises(IndexError, match='no sample 3: the data set has 3'):
        sample_names(ArrayData([0, 1, 0]), [3])


def test_all_data_of_any_data_set_is_its_length():
    assert fraction_indices(RepeatDataset(ArrayData([0, 1, 1]), 2), 1) == list(range(6))
    assert fraction_indices([3, 4, 5], 1.0) == [0, 1, 2]


def test_several_fractions_list_the_samples_once(tmp_path, monkeypatch):
    dataset, asked = make('concat', tmp_path), []
    one_by_one = {fraction: fraction_indices(dataset, fraction, 3) for fraction in (0.1, 0.25, 1.0)}
    infos = fraction_module._infos
    monkeypatch.setattr(fraction_module, '_infos', lambda part: asked.append(len(part)) or infos(part))
    found = fractions_of(dataset, [0.1, 0.25, 1.0, 0.1], 3)
    assert {fraction: indices.tolist() for fraction, indices in found.items()} == one_by_one
    assert asked == [100, 30]


def test_names_are_relative_to_the_folder(tmp_path):
    for path, name in (('a/b.png', 'a/b.png'), ('a/../b.png', 'b.png'), ('a//b.png', 'a/b.png'), ('./b.png', 'b.png')):
        assert _relative_path(dict(img_path=f'{tmp_path}/{path}'), str(tmp_path)) == name
    assert _relative_path(dict(img_path=f'{tmp_path}2/a.png'), str(tmp_path)) == f'../{tmp_path.name}2/a.png'
    assert _relative_path(dict(img_path='elsewhere/a.png'), str(tmp_path)) == 'elsewhere/a.png'
    assert _relative_path(dict(img=1), str(tmp_path)) is None


def test_wrappers_are_refused_by_name():
    class Balanced(ArrayData):

        def get_cat_ids(self, idx):
            return [self.labels[idx]]

    METAINFO = dict(classes=('a', 'b'))
    Balanced.METAINFO = METAINFO
    inner = Balanced([0, 1, 1, 1])
    for wrapper in (RepeatDataset(inner, 2), ClassBalancedDataset(inner, 0.5)):
        with pytest.raises(ValueError, match=type(wrapper).__name__):
            fraction_indices(wrapper, 0.5)


@pytest.mark.parametrize('fraction', [0, -0.1, 1.01, 10, float('nan'), True, '0.1', None])
def test_fraction_outside(fraction):
    with pytest.raises(ValueError, match=r'fraction must be a number in \(0, 1\], not '):
        check_fraction(fraction)
    with pytest.raises(ValueError, match=r'fraction must be a number in \(0, 1\], not '):
        fraction_indices(ArrayData([0, 1]), fraction)


def test_no_image_left(tmp_path):
    with pytest.raises(ValueError, match=r'fraction 0\.1 of 9 images leaves none'):
        fraction_indices(segmentation(tmp_path, 9), 0.1)


def test_write_fraction(tmp_path):
    path = tmp_path / 'work_dir' / 'fraction.txt'
    write_fraction(path, ['a.png', 'b.png'], fraction=0.1, seed=4)
    assert path.read_text() == '# fraction 0.1, seed 4, count 2\na.png\nb.png\n'
    write_fraction(path, ['c.png'])
    assert path.read_text() == '# count 1\nc.png\n'
    assert os.listdir(path.parent) == ['fraction.txt']


def test_write_fraction_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / 'fraction.txt'
    write_fraction(path, ['a.png'])
    with pytest.raises(TypeError):
        write_fraction(path, ['b.png', 3])
    assert path.read_text() == '# count 1\na.png\n' and os.listdir(tmp_path) == ['fraction.txt']


def test_real_cifar_100(real_data, monkeypatch):
    from mmpretrain.datasets import CIFAR100
    monkeypatch.setattr(CIFAR100, '_check_integrity', lambda self: True)  # a quarter of it has other md5 sums
    monkeypatch.setattr(CIFAR100, 'meta', {**CIFAR100.meta, 'md5': None})
    dataset = CIFAR100(data_root=str(real_data), download=False)
    indices = fraction_indices(dataset, 0.2)
    counts = Counter(dataset.get_data_info(i)['gt_label'] for i in indices)
    assert set(counts.values()) == {25} and len(counts) == 100
