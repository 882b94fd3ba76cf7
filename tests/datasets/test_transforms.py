import numpy as np
import pytest
from mmseg.registry import TRANSFORMS as SEG_TRANSFORMS

import skd_mm.datasets  # noqa: F401
from skd_mm.datasets import ResizeMask
from skd_mm.registry import TRANSFORMS

LABEL = np.array([[0, 8], [255, 3]], np.uint8)


def resized(transform, label=LABEL, label_map=None):
    label_map = {11: 255} if label_map is None else label_map
    results = dict(img=np.zeros((*label.shape, 3), np.uint8), gt_seg_map=label.copy(), seg_fields=['gt_seg_map'])
    return transform(results | dict(label_map=label_map))


def test_default_is_mmsegmentations_resize():
    ours = resized(TRANSFORMS.build(dict(type='skd_mm.ResizeMask', scale=(9, 6))))
    theirs = resized(SEG_TRANSFORMS.build(dict(type='mmseg.Resize', scale=(9, 6))))
    np.testing.assert_array_equal(ours['gt_seg_map'], theirs['gt_seg_map'])
    assert ours['gt_seg_map'].shape == (6, 9) and set(np.unique(ours['gt_seg_map'])) == {0, 3, 8, 255}


@pytest.mark.parametrize('keep_ratio', [False, True])
def test_bilinear_invents_classes_but_none_outside(keep_ratio):
    results = resized(ResizeMask(seg_interpolation='bilinear', scale=(8, 8), keep_ratio=keep_ratio))
    label = results['gt_seg_map']
    assert label.shape == results['img'].shape[:2] == (8, 8)
    assert label[0, 0] == 0 and label[0, -1] == 8 and label[-1, 0] == 255 and label[-1, -1] == 3
    found = set(np.unique(label))
    assert found - {0, 3, 8, 255} and found <= {*range(11), 255}


def test_bilinear_is_opencvs_on_the_ids_of_the_files():
    """As SKD's code does it: ``cv2.resize(mask, size)`` on labels in which unlabelled is 11."""
    import cv2
    files = np.where(LABEL == 255, 11, LABEL)
    expected = cv2.resize(files, (7, 5))
    label = resized(ResizeMask(seg_interpolation='bilinear', scale=(7, 5)))['gt_seg_map']
    np.testing.assert_array_equal(np.where(label == 255, 11, label), expected)


def test_unlabelled_as_a_class_stays_one():
    twelve = np.array([[11, 11], [11, 3]], np.uint8)
    label = resized(ResizeMask(seg_interpolation='bilinear', scale=(8, 8)), twelve, label_map={})['gt_seg_map']
    assert label[0, 0] == 11 and label.max() == 11


def test_ignored_under_an_unknown_id():
    for label_map in ({}, {3: 255, 11: 255}):
        with pytest.raises(ValueError, match=rf'ignored pixels, but the data set ignores {len(label_map)} ids'):
            resized(ResizeMask(seg_interpolation='bilinear', scale=(8, 8)), label_map=label_map)
    label = resized(ResizeMask(seg_interpolation='bilinear', scale=(8, 8), ignore_id=9), label_map={})['gt_seg_map']
    assert set(np.unique(label)) <= {*range(9), 255}


def test_images_without_labels_pass():
    results = ResizeMask(seg_interpolation='bilinear', scale=(8, 8))(dict(img=np.zeros((2, 2, 3), np.uint8)))
    assert results['img'].shape == (8, 8, 3) and 'gt_seg_map' not in results


def test_unknown_interpolation():
    with pytest.raises(ValueError, match="'nearest' or 'bilinear', not 'bicubic'"):
        ResizeMask(seg_interpolation='bicubic', scale=(8, 8))
