import os
import zlib

import cv2
import numpy as np
import pytest

from skd_mm.datasets import CamVidDataset
from skd_mm.datasets.camvid import CLASSES, PALETTE
from skd_mm.registry import DATASETS

LOAD = [dict(type='mmseg.LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]


def write(root, split, name, suffix='.png', label=None, size=(6, 8)):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for folder in (split, split + 'annot'):
        os.makedirs(root / folder, exist_ok=True)
    cv2.imwrite(str(root / split / (name + suffix)), rng.integers(0, 255, (*size, 3), dtype=np.uint8))
    if label is None:
        label = rng.integers(0, 12, size, dtype=np.uint8)
    cv2.imwrite(str(root / (split + 'annot') / (name + '.png')), label)
    return label


def test_reads_png_and_jpg_in_sorted_order_with_unlabelled_ignored(tmp_path):
    labels = {name: write(tmp_path, 'train', name, suffix) for name, suffix in [('b', '.jpg'), ('a', '.png')]}
    dataset = DATASETS.build(dict(type='skd_mm.CamVidDataset', data_root=str(tmp_path), pipeline=LOAD))
    assert [os.path.basename(dataset[i]['img_path']) for i in range(2)] == ['a.png', 'b.jpg']
    for i, name in enumerate('ab'):
        expected = np.where(labels[name] == 11, 255, labels[name])
        np.testing.assert_array_equal(dataset[i]['gt_seg_map'], expected)
    assert dataset.metainfo['classes'] == CLASSES and len(CLASSES) == 11
    assert dataset.metainfo['palette'] == PALETTE and dataset.ignore_index == 255
    assert dataset.reduce_zero_label is False


def test_other_splits_and_no_labels(tmp_path):
    write(tmp_path, 'val', 'a')
    dataset = CamVidDataset(data_root=str(tmp_path), data_prefix=dict(img_path='val', seg_map_path='valannot'))
    assert dataset.get_data_info(0)['seg_map_path'].endswith('valannot/a.png')
    dataset = CamVidDataset(data_root=str(tmp_path), data_prefix=dict(img_path='val'))
    assert 'seg_map_path' not in dataset.get_data_info(0)


@pytest.mark.parametrize('line', ['b', 'b.jpg', '/SegNet/CamVid/train/b.png /SegNet/CamVid/trainannot/b.png'])
def test_ann_file_selects(tmp_path, line):
    for name in 'abc':
        write(tmp_path, 'train', name, '.jpg')
    (tmp_path / 'list.txt').write_text(line + '\n\n')
    dataset = CamVidDataset(data_root=str(tmp_path), ann_file='list.txt')
    assert [info['img_path'] for info in map(dataset.get_data_info, range(len(dataset)))] == [
        str(tmp_path / 'train' / 'b.jpg')
    ]
    (tmp_path / 'list.txt').write_text('bb')
    with pytest.raises(FileNotFoundError, match=r"'bb' is not in .*did you mean 'b'"):
        CamVidDataset(data_root=str(tmp_path), ann_file='list.txt')


def test_selected_classes_and_unlabelled_as_a_class(tmp_path):
    label = write(tmp_path, 'train', 'a', label=np.arange(12, dtype=np.uint8).reshape(3, 4), size=(3, 4))
    few = CamVidDataset(data_root=str(tmp_path), metainfo=dict(classes=['car', 'sky']), pipeline=LOAD)
    expected = np.full(12, 255)
    expected[[8, 0]] = 0, 1
    np.testing.assert_array_equal(few[0]['gt_seg_map'], expected.reshape(3, 4))
    assert few.metainfo['palette'] == [PALETTE[8], PALETTE[0]]
    all_twelve = CamVidDataset(
        data_root=str(tmp_path), metainfo=dict(classes=[*CLASSES, 'unlabelled']), pipeline=LOAD)
    np.testing.assert_array_equal(all_twelve[0]['gt_seg_map'], label)
    assert len(all_twelve.metainfo['palette']) == 12
    with pytest.raises(ValueError, match="no class 'cars'; did you mean 'car'"):
        CamVidDataset(data_root=str(tmp_path), metainfo=dict(classes=['cars']))


@pytest.mark.parametrize('value', [12, 200, 255])
def test_labels_outside_the_classes(tmp_path, value):
    label = np.zeros((6, 8), np.uint8)
    label[2, 3] = value
    write(tmp_path, 'train', 'fine')
    write(tmp_path, 'train', 'wrong', label=label)
    with pytest.raises(ValueError, match=rf'wrong\.png: labels outside the classes: {value}\.'):
        CamVidDataset(data_root=str(tmp_path))
    assert len(CamVidDataset(data_root=str(tmp_path), check_files=False)) == 2


def test_colour_coded_label_points_to_the_converter(tmp_path):
    write(tmp_path, 'train', 'a', label=np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r'a\.png: .*one channel.*dataset_converters/camvid'):
        CamVidDataset(data_root=str(tmp_path))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('left', [0, 1, 30, -1])
def test_image_cut_short(tmp_path, suffix, left):
    write(tmp_path, 'train', 'a', suffix)
    path = tmp_path / 'train' / ('a' + suffix)
    path.write_bytes(path.read_bytes()[:-12 if left == -1 else left])
    with pytest.raises(ValueError, match=rf'a\{suffix}: the image file is truncated'):
        CamVidDataset(data_root=str(tmp_path))


@pytest.mark.parametrize('left', [0, 40, -12])
def test_label_cut_short(tmp_path, left):
    write(tmp_path, 'train', 'a')
    path = tmp_path / 'trainannot' / 'a.png'
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match=r'trainannot/a\.png: .*(not a whole image|truncated)'):
        CamVidDataset(data_root=str(tmp_path))


def test_label_of_another_size(tmp_path):
    write(tmp_path, 'train', 'a', label=np.zeros((8, 6), np.uint8))
    with pytest.raises(ValueError, match=r'a\.png: the label is 6x8 pixels, its image 8x6'):
        CamVidDataset(data_root=str(tmp_path))


def test_missing_files_name_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'img_path: there is no folder .*SegNet tutorial'):
        CamVidDataset(data_root=str(tmp_path))
    write(tmp_path, 'train', 'a')
    (tmp_path / 'trainannot' / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png has no label: there is no file .*trainannot/a\.png'):
        CamVidDataset(data_root=str(tmp_path))
    (tmp_path / 'train' / 'a.png').rename(tmp_path / 'train' / 'a.bmp')
    with pytest.raises(FileNotFoundError, match=r'train: no \.png or \.jpg images'):
        CamVidDataset(data_root=str(tmp_path))


def test_two_images_of_one_name(tmp_path):
    write(tmp_path, 'train', 'a', '.png')
    write(tmp_path, 'train', 'a', '.jpg')
    with pytest.raises(ValueError, match='share a name'):
        CamVidDataset(data_root=str(tmp_path))


@pytest.mark.parametrize('split, count', [('train', 367), ('val', 101), ('test', 233)])
def test_real_camvid(real_data, split, count):
    dataset = CamVidDataset(
        data_root=str(real_data / 'camvid'),
        data_prefix=dict(img_path=split, seg_map_path=split + 'annot'),
        pipeline=LOAD)
    assert len(dataset) == count
    sample = dataset[0]
    assert sample['img'].shape == (360, 480, 3) and sample['gt_seg_map'].shape == (360, 480)
    assert set(np.unique(sample['gt_seg_map'])) <= {*range(11), 255}
