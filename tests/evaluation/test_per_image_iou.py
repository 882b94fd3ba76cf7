import os

import cv2
import numpy as np
import pytest
import torch

from skd_mm.registry import METRICS


def score(pairs, classes=3, **kwargs):
    metric = METRICS.build(dict(type='skd_mm.PerImageIoU', **kwargs))
    metric.dataset_meta = dict(classes=list(range(classes)))
    for predicted, label in pairs:
        metric.process(None, [{
            'pred_sem_seg': dict(data=torch.as_tensor(predicted)[None]),
            'gt_sem_seg': dict(data=torch.as_tensor(label)[None])
        }])
    return metric.evaluate(len(pairs))['per_image_IoU']


def test_absent_classes_count_as_one():
    assert score([([[0, 0]], [[0, 0]])]) == 100
    assert score([([[1, 1]], [[0, 0]])]) == pytest.approx(100 / 3, abs=0.01)  # two at 0, the third absent


def test_average_is_over_images_not_pixels():
    half, whole = ([[0, 1]], [[0, 0]]), ([[0, 0]] * 50, [[0, 0]] * 50)
    # the first image has 1/2, 0 and an absent class, the second is perfect
    assert score([half, whole]) == 75


def test_ignored_pixels_are_left_out():
    assert score([([[0, 1]], [[0, 255]])]) == 100
    assert score([([[0, 1]], [[0, 2]])], ignore_index=2) == 100


def test_a_class_that_is_not_averaged_over_still_counts_against_the_others():
    assert score([([[0, 2]], [[0, 2]])], num_classes=2) == 100
    assert score([([[0, 0]], [[0, 2]])], num_classes=2) == 75


@pytest.mark.parametrize('split, expected', [('val', 83.41), ('test', 67.22)])
def test_a_perfect_predictor_scores_what_it_did_in_the_authors_setting(real_data, split, expected):
    """True labels, resized by the nearest neighbour, against the same resized bilinearly; unlabelled is a class."""
    folder = real_data / 'camvid' / f'{split}annot'
    pairs = []
    for name in sorted(os.listdir(folder)):
        label = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        pairs.append((cv2.resize(label, (640, 480), interpolation=cv2.INTER_NEAREST), cv2.resize(label, (640, 480))))
    assert score([(p.astype(np.int64), t) for p, t in pairs], 12, num_classes=11) == pytest.approx(expected, abs=0.01)
