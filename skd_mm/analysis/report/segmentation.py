"""Semantic segmentation in a report: IoU of classes and boundaries, and pictures of where networks differ."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from mmseg.evaluation import IoUMetric

from skd_mm.evaluation.boundary import BoundaryMetric

from .encoding import fit, jpeg_uri, png_uri
from .inference import Tested
from .predictions import Predictions

WRONG, IGNORED = (39, 39, 214, 235), (110, 110, 110, 150)
SIDE = 480
"""Longest side of a picture in pixels."""


@dataclass
class Scores:
    """What one network predicts.

    Attributes:
        iou: IoU of each class in percent, ``[K]``; NaN for a class that does not occur.
        boundary: Boundary IoU of each class in percent, ``[K]``.
        images: mIoU of each image in percent, over the classes that occur in it.
        labels: The predicted classes of each image, as a PNG file.
    """

    iou: np.ndarray
    boundary: np.ndarray
    images: list[float] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)


@dataclass
class Segmentations(Predictions):
    """Classes of the pixels that several networks predict on the same images.

    Attributes:
        truth: The true classes of each image, as a PNG file.
        scores: What each network predicts, by the name of its method.
    """

    task: ClassVar[str] = 'segmentation'
    truth: list[bytes] = field(default_factory=list)
    scores: dict[str, Scores] = field(default_factory=dict)

    def add(self, tested: Tested) -> None:
        """Predict with a network.

        Args:
            tested: The network, with the images of the first one.

        Raises:
            ValueError: It has other classes or images than the first network, or its samples have no labels.
        """
        self.check(tested)
        metric = BoundaryMetric()
        metric.dataset_meta = tested.meta
        scores, areas, truth = Scores(np.empty(0), np.empty(0)), [], []
        for _, sample in tested.predictions():
            if 'gt_sem_seg' not in sample:
                raise ValueError('the test images have no labels')
            predicted, label = (sample.get(key).data.squeeze(0) for key in ('pred_sem_seg', 'gt_sem_seg'))
            intersection, union = IoUMetric.intersect_and_union(predicted, label, len(self.classes), 255)[:2]
            areas.append(torch.stack([intersection, union]).numpy())
            scores.images.append(_mean(_ratio(areas[-1])))
            metric.process(None, [sample.to_dict()])
            scores.labels.append(_encode(predicted))
            truth.append(_encode(label))
        self.truth = self.truth or truth
        scores.iou = _ratio(np.sum(areas, axis=0))
        scores.boundary = _ratio(np.sum([each[1] for each in metric.results], axis=0))
        self.scores[tested.run.method] = scores

    def means(self) -> dict[str, dict[str, float]]:
        """Return mIoU and the mean boundary IoU of each network in percent."""
        return {name: dict(mIoU=_mean(scores.iou), boundary=_mean(scores.boundary))
                for name, scores in self.scores.items()}

    def disagreement(self, students: Sequence[str]) -> list[float]:
        """Return how much networks differ on each image.

        Args:
            students: Names of the networks to compare; if there are fewer than two, all of them.

        Returns:
            The share of the labelled pixels at which they do not all predict the same class, in percent; for a single
            network, the share of its errors.
        """
        names = self.compared(students)
        found = []
        for i, truth in enumerate(self.truth):
            label = _decode(truth)
            labels = [_decode(self.scores[name].labels[i]) for name in names]
            if len(labels) == 1:
                labels.append(label)
            differ = np.any([other != labels[0] for other in labels[1:]], axis=0)
            valid = label != 255
            found.append(100 * float(differ[valid].mean()) if valid.any() else 0.0)
        return found

    def names(self) -> list[str]:
        """Return the names of the networks."""
        return list(self.scores)

    def colours(self) -> list[Sequence[int]]:
        """Return the colour of each class in BGR, that of the data set."""
        return [colour[::-1] for colour in self.tested.meta['palette']]

    def pictures(self, i: int) -> dict[str, Any]:
        """Return the pictures of one image as data URIs: ``image``, ``truth``, and ``layers`` by network."""
        label, palette = _decode(self.truth[i]), _palette(self.colours())
        layers = {}
        for name, scores in self.scores.items():
            predicted = _decode(scores.labels[i])
            layers[name] = dict(paint=_paint(predicted, palette), errors=_errors(predicted, label),
                                score=_rounded(scores.images[i]))
        image = fit(self.tested.image(self.tested.indices[i]), SIDE)
        return dict(image=jpeg_uri(image), truth=_paint(label, palette), layers=layers)


def _palette(known: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the colour of each label, ``[256, 4]`` in BGRA; ignored pixels are transparent."""
    colours = np.zeros((256, 4), np.uint8)
    colours[:len(known), :3] = known
    colours[:len(known), 3] = 255
    return colours


def _paint(label: np.ndarray, palette: np.ndarray) -> str:
    return png_uri(palette[np.minimum(fit(label, SIDE, nearest=True), 255)])


def _errors(predicted: np.ndarray, label: np.ndarray) -> str:
    """Return a picture of the wrong pixels; right ones are transparent, and unlabelled ones grey."""
    picture = np.zeros((*label.shape, 4), np.uint8)
    picture[predicted != label] = WRONG
    picture[label == 255] = IGNORED
    return png_uri(fit(picture, SIDE, nearest=True))


def _encode(label: torch.Tensor) -> bytes:
    return cv2.imencode('.png', label.numpy().astype(np.uint16))[1].tobytes()


def _decode(png: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED))


def _ratio(areas: np.ndarray) -> np.ndarray:
    """Return intersection over union in percent; NaN where both are empty."""
    intersection, union = areas
    return 100 * np.divide(intersection, union, out=np.full(len(union), np.nan), where=union > 0)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


def _rounded(value: float) -> float | None:
    return round(value, 1) if np.isfinite(value) else None
