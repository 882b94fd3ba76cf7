"""Object detection in a report: how many objects networks find, and pictures with their boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar

import cv2
import numpy as np

from .encoding import fit, jpeg_uri
from .inference import Tested
from .predictions import Predictions

MIN_SCORE, MIN_IOU = 0.3, 0.5
"""Boxes with lower scores are left out; two boxes of a class with at least this IoU are the same object."""
SIDE = 480
"""Longest side of a picture in pixels; smaller ones are enlarged up to it."""
RIGHT, WRONG, MISSED = (80, 160, 0), (39, 39, 214), (0, 165, 255)


@dataclass
class Boxes:
    """The boxes of an image.

    Attributes:
        corners: Left, top, right and bottom as fractions of the image, ``[N, 4]``.
        labels: Their classes, ``[N]``.
        scores: Their scores from 0 to 1, ``[N]``; empty for the truth.
    """

    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))

    def matches(self, other: 'Boxes') -> np.ndarray:
        """Return which box of another set each box belongs to, ``[N]``; -1 for none.

        Boxes belong together one by one, those with the largest IoU first, if their classes are the same.
        """
        found = np.full(len(self.labels), -1)
        overlap = _iou(self.corners, other.corners) * (self.labels[:, None] == other.labels[None])
        while overlap.size and overlap.max() >= MIN_IOU:
            i, j = np.unravel_index(overlap.argmax(), overlap.shape)
            found[i] = j
            overlap[i], overlap[:, j] = 0, 0
        return found


@dataclass
class Detections(Predictions):
    """Boxes of several networks on the same images.

    Attributes:
        truth: The objects of each image.
        predicted: The boxes in each image, by the name of the method.
    """

    task: ClassVar[str] = 'detection'
    truth: list[Boxes] = field(default_factory=list)
    predicted: dict[str, list[Boxes]] = field(default_factory=dict)

    def add(self, tested: Tested) -> None:
        """Predict with a network.

        Args:
            tested: The network, with the images of the first one.

        Raises:
            ValueError: It has other classes or images than the first network, or its images have no boxes.
        """
        self.check(tested)
        truth, predicted = [], []
        for index, sample in tested.predictions():
            size = sample.metainfo['ori_shape'][:2]
            truth.append(_truth(tested.dataset.get_data_info(index), size))
            found = sample.pred_instances
            found = found[found.scores >= MIN_SCORE]
            predicted.append(Boxes(_relative(found.bboxes.numpy(), size), found.labels.numpy(), found.scores.numpy()))
        self.truth = self.truth or truth
        self.predicted[tested.run.method] = predicted

    def per_class(self) -> dict[str, np.ndarray]:
        """Return the F1 score of each class in percent, ``[K]``, for each network; NaN without objects and boxes."""
        found = {}
        for name, boxes in self.predicted.items():
            right, total = np.zeros(len(self.classes)), np.zeros(len(self.classes))
            for one, truth in zip(boxes, self.truth, strict=True):
                np.add.at(right, one.labels[one.matches(truth) >= 0], 1)
                np.add.at(total, np.concatenate([one.labels, truth.labels]), 0.5)
            found[name] = 100 * np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)
        return found

    def totals(self) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 score of each network over all boxes, in percent."""
        found = {}
        objects = sum(len(truth.labels) for truth in self.truth)
        for name, boxes in self.predicted.items():
            right = sum(int((one.matches(truth) >= 0).sum()) for one, truth in zip(boxes, self.truth, strict=True))
            count = sum(len(one.labels) for one in boxes)
            found[name] = dict(precision=100 * right / max(1, count), recall=100 * right / max(1, objects),
                               f1=200 * right / max(1, count + objects))
        return found

    def disagreement(self, students: Sequence[str]) -> list[float]:
        """Return how much networks differ on each image.

        Args:
            students: Names of the networks to compare; if there are fewer than two, all of them.

        Returns:
            The share of the boxes that another network does not have, in percent, as the mean over all pairs of
            networks; for a single network, the share of wrong boxes and missed objects.
        """
        names = self.compared(students)
        found = []
        for i, truth in enumerate(self.truth):
            sets = [self.predicted[name][i] for name in names]
            if len(sets) == 1:
                sets.append(truth)
            found.append(float(np.mean([100 - _f1(one, other) for one, other in combinations(sets, 2)])))
        return found

    def names(self) -> list[str]:
        """Return the names of the networks."""
        return list(self.predicted)

    def colours(self) -> list[tuple[int, ...]]:
        """Return the colour of each class in BGR: that of the data set, or one of a colour wheel."""
        known, count = self.tested.meta.get('palette') or [], len(self.classes)
        wheel = np.array([[[180 * i // count, 220, 230] for i in range(count)]], np.uint8)
        other = cv2.cvtColor(wheel, cv2.COLOR_HSV2BGR)[0].tolist()
        return [tuple(known[i][::-1]) if i < len(known) else tuple(colour) for i, colour in enumerate(other)]

    def pictures(self, i: int) -> dict[str, Any]:
        """Return the pictures of one image as data URIs: ``image``, ``truth``, and ``layers`` by network."""
        image, truth, colours = _sized(self.tested.image(self.tested.indices[i])), self.truth[i], self.colours()
        layers = {name: dict(paint=_paint(image, boxes[i], colours), errors=_errors(image, boxes[i], truth),
                             score=round(_f1(boxes[i], truth), 1))
                  for name, boxes in self.predicted.items()}
        return dict(image=jpeg_uri(image), truth=_paint(image, truth, colours), layers=layers)


def _truth(info: Mapping[str, Any], size: Sequence[int]) -> Boxes:
    """Return the objects of an image as its annotation has them, without ignored ones."""
    if 'instances' not in info:
        raise ValueError('the test images have no boxes')
    objects = [one for one in info['instances'] if not one.get('ignore_flag')]
    corners = np.array([one['bbox'] for one in objects], np.float64).reshape(-1, 4)
    return Boxes(_relative(corners, size), np.array([one['bbox_label'] for one in objects], int))


def _relative(corners: np.ndarray, size: Sequence[int]) -> np.ndarray:
    height, width = size
    return corners.reshape(-1, 4) / (width, height, width, height)


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the IoU of all pairs of boxes, ``[N, M]``."""
    inside = (np.minimum(one[:, None, 2:], other[None, :, 2:]) - np.maximum(one[:, None, :2], other[None, :, :2]))
    intersection = inside.clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def _f1(one: Boxes, other: Boxes) -> float:
    """Return the F1 score of two sets of boxes in percent; 100 if both are empty."""
    count = len(one.labels) + len(other.labels)
    return 200 * float((one.matches(other) >= 0).sum()) / count if count else 100.0


def _sized(image: np.ndarray) -> np.ndarray:
    scale = SIDE / max(image.shape[:2])
    if scale <= 1:
        return fit(image, SIDE)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)


def _paint(image: np.ndarray, boxes: Boxes, colours: Sequence[tuple[int, ...]]) -> str:
    """Return a picture of boxes in the colours of their classes, with their scores."""
    picture = image.copy()
    for i, (corners, label) in enumerate(zip(boxes.corners, boxes.labels, strict=True)):
        _draw(picture, corners, colours[label], f'{100 * boxes.scores[i]:.0f}' if len(boxes.scores) else '')
    return jpeg_uri(picture)


def _errors(image: np.ndarray, boxes: Boxes, truth: Boxes) -> str:
    """Return a picture of right boxes in green, wrong ones in red, and missed objects in orange."""
    picture = image.copy()
    matched = boxes.matches(truth)
    for j, corners in enumerate(truth.corners):
        if j not in matched:
            _draw(picture, corners, MISSED)
    for corners, found in zip(boxes.corners, matched, strict=True):
        _draw(picture, corners, RIGHT if found >= 0 else WRONG)
    return jpeg_uri(picture)


def _draw(picture: np.ndarray, corners: np.ndarray, colour: tuple[int, ...], text: str = '') -> None:
    height, width = picture.shape[:2]
    left, top, right, bottom = (int(value) for value in np.round(corners * (width, height, width, height)))
    cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
    if text:
        cv2.putText(picture, text, (left + 2, max(12, top - 3)), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
