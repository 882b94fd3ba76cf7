import numpy as np
import pytest
import torch

from skd_mm.evaluation.boundary import mask_boundary, trimap
from skd_mm.registry import METRICS


def score(pairs, classes=3, **kwargs):
    metric = METRICS.build(dict(type='skd_mm.BoundaryMetric', **kwargs))
    metric.dataset_meta = dict(classes=list(range(classes)))
    for predicted, label in pairs:
        metric.process(None, [{
            'pred_sem_seg': dict(data=torch.as_tensor(predicted)[None]),
            'gt_sem_seg': dict(data=torch.as_tensor(label)[None])
        }])
    values = metric.evaluate(len(pairs))
    return values['boundary/trimap_mIoU'], values['boundary/boundary_mIoU']


def images(count=3, side=24, classes=4, seed=0):
    random = np.random.RandomState(seed)
    pairs = []
    for _ in range(count):
        predicted, label = (random.randint(0, classes, (side // 4, side // 4)).repeat(4, 0).repeat(4, 1)
                            for _ in range(2))
        label[2:5, 3:9] = 255
        pairs.append((predicted, label))
    return pairs


def window(array, y, x, reach):
    return array[max(0, y - reach):y + reach + 1, max(0, x - reach):x + reach + 1]


def reference(pairs, classes, width, distance):
    """Both measures from their definitions, pixel by pixel."""
    sums = np.zeros((2, 2, classes))
    for predicted, label in pairs:
        for y in range(label.shape[0]):
            for x in range(label.shape[1]):
                if label[y, x] == 255:
                    continue
                near = set(window(label, y, x, width).reshape(-1).tolist()) - {255}
                for k in range(classes):
                    members = [(side == k) & (label != 255) for side in (predicted, label)]
                    if len(near) > 1:
                        hits = [mask[y, x] for mask in members]
                        sums[0, :, k] += all(hits), any(hits)
                    inside = [mask[y, x] and not (window(mask, y, x, distance).all()
                                                  and window(mask, y, x, distance).size == (2 * distance + 1)**2)
                              for mask in members]
                    sums[1, :, k] += all(inside), any(inside)
    return [100 * np.nanmean(both[either > 0] / either[either > 0]) for both, either in sums]


@pytest.mark.parametrize(('width', 'ratio', 'distance'), [(1, 0.02, 1), (2, 0.06, 2), (5, 0.09, 3), (1, 0.001, 1)])
def test_both_equal_their_definitions(width, ratio, distance):
    pairs = images()
    values = score(pairs, 4, width=width, ratio=ratio)
    assert values == pytest.approx(reference(pairs, 4, width, distance), abs=0.006)
    assert all(5 < value < 60 for value in values)


def test_a_perfect_prediction_scores_a_hundred_and_absent_classes_do_not_count():
    pairs = [(np.where(label == 255, 0, label), label) for _, label in images()]
    assert score(pairs, 9) == (100, 100)


def test_only_the_boundary_counts():
    label = np.zeros((40, 60), np.int64)
    label[:, 30:] = 1
    predicted = label.copy()
    predicted[18:22, 8:12] = 2  # far from the boundary of the ground truth
    trimap_value, boundary_value = score([(predicted, label)], width=3, ratio=0.02)
    assert trimap_value == 100 and boundary_value < 70
    shifted = np.roll(label, 1, axis=1)
    shifted[:, 0] = 0
    assert score([(shifted, label)], width=3)[0] == pytest.approx(100 * (3 / 4 + 2 / 3) / 2, abs=0.01)


def test_the_band_and_the_boundary():
    label = np.zeros((7, 9), np.int64)
    label[:, 5:] = 4
    valid = np.ones_like(label, bool)
    valid[:, 4] = False
    assert trimap(label, valid, 2)[3].tolist() == [False, False, False, True, False, True, False, False, False]
    mask = np.ones((7, 7), bool)
    assert mask_boundary(mask, 1).sum() == 24 and mask_boundary(mask, 2).sum() == 40
    mask[3, 3] = False
    assert mask_boundary(mask, 1).sum() == 24 + 8 and not mask_boundary(mask, 1)[3, 3]


def test_the_pixels_of_all_images_are_summed():
    one, other = images(2)
    whole = score([one, other], 4)
    assert whole != pytest.approx(np.mean([score([one], 4), score([other], 4)], axis=0), abs=0.01)


def test_a_prediction_that_is_no_class_is_wrong():
    predicted, label = images(1)[0]
    expected = score([(np.where(predicted == 3, -1, predicted), label)], 4)
    assert score([(np.where(predicted == 3, 9, predicted), label)], 4) == expected
    assert expected[0] < score([(predicted, label)], 4)[0]


def test_no_boundary_at_all_is_not_a_number():
    label = np.full((8, 8), 255)
    assert np.isnan(score([(np.zeros((8, 8), int), label)])).all()


def test_refuses_distances_that_are_none():
    for key, value in (('width', 0), ('width', 1.5), ('ratio', 0)):
        with pytest.raises(ValueError, match=f'BoundaryMetric: `{key}`'):
            METRICS.build(dict(type='skd_mm.BoundaryMetric', **{key: value}))
