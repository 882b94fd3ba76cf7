"""Metrics of the boundaries of segments."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric

from skd_mm.registry import METRICS


@METRICS.register_module()
class BoundaryMetric(BaseMetric):
    """mIoU near the boundaries of segments, in two definitions.

    - ``boundary/trimap_mIoU``: mIoU of the pixels in a band around the boundaries of the ground truth: those with two
      labels within ``width`` pixels, horizontally, vertically or diagonally (Kohli et al., IJCV 2009, Sec. 5).
      Unlabelled pixels count neither as pixels nor as a label.
    - ``boundary/boundary_mIoU``: boundary IoU of Cheng et al., arXiv 2103.16562, Eq. 2, of each class over the data
      set, and its mean. The prediction and the ground truth of a class are each reduced to the pixels near their own
      contour: within ``ratio`` times the diagonal of the image, at least one pixel. The border of the image is part of
      a contour, as in the authors' code.

    Both sum the pixels of all images before the division. The mean excludes classes that occur in neither prediction
    nor ground truth. Values are in percent.

    Args:
        width: Half the width of the band, in pixels. Defaults to 5.
        ratio: Distance from the contour, relative to the diagonal of the image; the authors use 0.02, and 0.005 for
            Cityscapes. Defaults to 0.02.
        ignore_index: Label of ignored pixels. Defaults to 255.
        **kwargs: As for MMEngine's ``BaseMetric``.

    Raises:
        ValueError: A distance is not positive.

    Example:
        >>> val_evaluator = [dict(type='IoUMetric', iou_metrics=['mIoU']), dict(type='skd_mm.BoundaryMetric')]
    """

    default_prefix = 'boundary'

    def __init__(self, width: int = 5, ratio: float = 0.02, ignore_index: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise ValueError(f'BoundaryMetric: `width` must be a positive integer, not {width!r}')
        if not ratio > 0:
            raise ValueError(f'BoundaryMetric: `ratio` must be positive, not {ratio!r}')
        self.width = width
        self.ratio = ratio
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the areas of a batch.

        Args:
            data_batch: Not used.
            data_samples: Output of mmsegmentation's models: ``pred_sem_seg`` and ``gt_sem_seg``, each with ``data``
                ``[1, H, W]``.
        """
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            predicted, label = (sample[name]['data'].squeeze(0).cpu().numpy().astype(np.int64)
                                for name in ('pred_sem_seg', 'gt_sem_seg'))
            valid = (label != self.ignore_index) & (label >= 0) & (label < classes)
            band = trimap(label, valid, self.width)
            areas = [_areas(predicted[band], label[band], classes)]
            distance = max(1, round(self.ratio * float(np.hypot(*label.shape))))
            areas.append(_boundary_areas(np.where(valid, predicted, -1), np.where(valid, label, -1), classes, distance))
            self.results.append(areas)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute both metrics over the images of all processes.

        Args:
            results: Output of :meth:`process`.

        Returns:
            ``trimap_mIoU`` and ``boundary_mIoU`` in percent; NaN if there are no such pixels.
        """
        names = ('trimap_mIoU', 'boundary_mIoU')
        return {name: _mean_iou(np.sum([areas[i] for areas in results], axis=0)) for i, name in enumerate(names)}


def trimap(label: np.ndarray, valid: np.ndarray, width: int) -> np.ndarray:
    """Return which pixels lie in a band around the boundaries between labels.

    Args:
        label: ``[H, W]``, integers from 0 to 65533 if valid.
        valid: ``[H, W]``, False for ignored pixels.
        width: Half the band's width.

    Returns:
        ``[H, W]``, True for valid pixels with two valid labels within ``width`` pixels, themselves included.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    smallest = cv2.erode(np.where(valid, label + 1, 65535).astype(np.uint16), square)
    largest = cv2.dilate(np.where(valid, label + 1, 0).astype(np.uint16), square)
    return valid & (smallest != largest)


def mask_boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """Return the pixels of a mask that are near its contour, which includes the border of the image.

    Args:
        mask: ``[H, W]``, booleans.
        distance: Largest distance, in pixels along the axes and diagonals; 1 keeps the pixels that touch the outside.

    Returns:
        ``[H, W]``, booleans.
    """
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return mask & (cv2.distanceTransform(framed, cv2.DIST_C, 3)[1:-1, 1:-1] <= distance)


def _areas(predicted: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Intersection and union of each class, ``[2, K]``, over pixels that all have a valid label."""
    intersection = np.bincount(label[predicted == label], minlength=classes)[:classes]
    predicted_area, label_area = (
        np.bincount(ids[(ids >= 0) & (ids < classes)], minlength=classes) for ids in (predicted, label))
    return np.stack([intersection, predicted_area + label_area - intersection])


def _boundary_areas(predicted: np.ndarray, label: np.ndarray, classes: int, distance: int) -> np.ndarray:
    """Intersection and union of the boundaries of each class's masks, ``[2, K]``."""
    areas = np.zeros((2, classes), np.int64)
    for k in np.union1d(predicted, label):
        if 0 <= k < classes:
            one, other = (mask_boundary(ids == k, distance) for ids in (predicted, label))
            areas[:, k] = np.count_nonzero(one & other), np.count_nonzero(one | other)
    return areas


def _mean_iou(areas: np.ndarray) -> float:
    intersection, union = areas
    present = union > 0
    if not present.any():
        return float('nan')
    return round(100 * float((intersection[present] / union[present]).mean()), 2)
