"""How well the boundaries of segments are predicted."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric

from skd_mm.registry import METRICS


@METRICS.register_module()
class BoundaryMetric(BaseMetric):
    """mIoU near the boundaries of segments, in two definitions.

    - ``boundary/trimap_mIoU``: the mIoU of the pixels in a band around the boundaries of the ground truth: those with
      two labels within ``width`` pixels of them, horizontally, vertically and diagonally (Kohli et al., IJCV 2009,
      Sec. 5). Unlabelled pixels count neither as pixels nor as a label.
    - ``boundary/boundary_mIoU``: the boundary IoU of Cheng et al., arXiv 2103.16562, Eq. 2, of each class over the data
      set, and its mean. Prediction and ground truth of a class are each reduced to their pixels within a distance of
      ``ratio`` times the diagonal of the image of their own contour, at least one pixel. The border of the image is
      part of a contour, as in the authors' code.

    In both the pixels of all images are summed before the division, and classes that occur in neither prediction nor
    ground truth are left out of the mean. Values are in percent.

    Args:
        width: Half the width of the band, in pixels. Defaults to 5.
        ratio: Distance from the contour by the diagonal of the image; the authors have 0.02, and 0.005 for Cityscapes.
            Defaults to 0.02.
        ignore_index: Pixels of this label are left out. Defaults to 255.
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
            raise ValueError(f'BoundaryMetric: `width` must be a whole number of pixels from 1 on, not {width!r}')
        if not ratio > 0:
            raise ValueError(f'BoundaryMetric: `ratio` must be positive, not {ratio!r}')
        self.width = width
        self.ratio = ratio
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Takes the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: What mmsegmentation's models give: ``pred_sem_seg`` and ``gt_sem_seg``, each with ``data`` of
                (1, H, W).
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
        """Averages over the classes, after the sum over the images of all processes.

        Args:
            results: What :meth:`process` collected.

        Returns:
            ``trimap_mIoU`` and ``boundary_mIoU`` in percent; not a number if there are no such pixels at all.
        """
        names = ('trimap_mIoU', 'boundary_mIoU')
        return {name: _mean_iou(np.sum([areas[i] for areas in results], axis=0)) for i, name in enumerate(names)}


def trimap(label: np.ndarray, valid: np.ndarray, width: int) -> np.ndarray:
    """Return which pixels lie in a band around the boundaries between labels.

    Args:
        label: ``[H, W]``, whole numbers from 0 to 65533 where they are valid.
        valid: ``[H, W]``, False for pixels that do not count.
        width: Half the band's width.

    Returns:
        ``[H, W]``, True for valid pixels with two valid labels within ``width`` pixels, themselves included.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    smallest = cv2.erode(np.where(valid, label + 1, 65535).astype(np.uint16), square)
    largest = cv2.dilate(np.where(valid, label + 1, 0).astype(np.uint16), square)
    return valid & (smallest != largest)


def mask_boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """Return the pixels of a mask that are near its contour, the border of the image being part of it.

    Args:
        mask: ``[H, W]``, booleans.
        distance: How near, in pixels along the axes and diagonals; 1 leaves those that touch the outside.

    Returns:
        ``[H, W]``, booleans.
    """
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return mask & (cv2.distanceTransform(framed, cv2.DIST_C, 3)[1:-1, 1:-1] <= distance)


def _areas(predicted: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Intersection and union of each class, ``[2, K]``, over pixels that all have a valid label."""
    both = np.bincount(label[predicted == label], minlength=classes)[:classes]
    one, other = (np.bincount(side[(side >= 0) & (side < classes)], minlength=classes) for side in (predicted, label))
    return np.stack([both, one + other - both])


def _boundary_areas(predicted: np.ndarray, label: np.ndarray, classes: int, distance: int) -> np.ndarray:
    """The same of the boundaries of each class's masks."""
    areas = np.zeros((2, classes), np.int64)
    for k in np.union1d(predicted, label):
        if 0 <= k < classes:
            one, other = (mask_boundary(side == k, distance) for side in (predicted, label))
            areas[:, k] = np.count_nonzero(one & other), np.count_nonzero(one | other)
    return areas


def _mean_iou(areas: np.ndarray) -> float:
    both, either = areas
    seen = either > 0
    return round(100 * float((both[seen] / either[seen]).mean()), 2) if seen.any() else float('nan')
