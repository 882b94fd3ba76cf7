"""Image classification in a report: confusions, and images on which networks differ."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from .encoding import fit, jpeg_uri
from .inference import Tested

SIDE, SMALLEST = 224, 96
"""Longest side of a picture in pixels, and the length to which smaller ones are enlarged."""


@dataclass
class Classifications:
    """Predictions of several networks on the same images.

    Attributes:
        tested: The first network, for its images.
        truth: The true class of each image.
        predicted: The predicted class of each image, by the name of the method.
        confidence: Its probability in percent.
    """

    tested: Tested
    truth: list[int] = field(default_factory=list)
    predicted: dict[str, list[int]] = field(default_factory=dict)
    confidence: dict[str, list[float]] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes; their numbers if they have none."""
        names = self.tested.meta.get('classes')
        if names:
            return [str(name) for name in names]
        seen = max([*self.truth, *(label for labels in self.predicted.values() for label in labels)], default=0)
        return [str(i) for i in range(seen + 1)]

    def add(self, tested: Tested) -> None:
        """Predict with a network.

        Args:
            tested: The network, with the images of the first one.

        Raises:
            ValueError: It has other images than the first network, or samples without exactly one label.
        """
        if tested.indices != self.tested.indices:
            raise ValueError('its images differ from those of the first network')
        truth, predicted, confidence = [], [], []
        for _, sample in tested.predictions():
            label = sample.get('gt_label')
            if label is None or label.numel() != 1:
                raise ValueError('the test images have no labels, or several')
            scores = sample.pred_score
            truth.append(int(label))
            predicted.append(int(scores.argmax()))
            confidence.append(100 * float(scores.max()))
        if self.truth and truth != self.truth:
            raise ValueError('the labels of its images differ from those of the first network')
        self.truth = truth
        self.predicted[tested.run.method] = predicted
        self.confidence[tested.run.method] = confidence

    def accuracies(self) -> dict[str, float]:
        """Return the top-1 accuracy of each network in percent."""
        return {name: 100 * float(np.mean(np.equal(labels, self.truth))) for name, labels in self.predicted.items()}

    def per_class(self) -> dict[str, np.ndarray]:
        """Return the accuracy of each class in percent, ``[K]``, for each network; NaN without images."""
        truth = np.array(self.truth)
        found = {}
        for name, labels in self.predicted.items():
            right = np.bincount(truth[truth == labels], minlength=len(self.classes))
            total = np.bincount(truth, minlength=len(self.classes))
            found[name] = 100 * np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)
        return found

    def confusion(self, name: str) -> np.ndarray:
        """Return the confusion matrix of a network, ``[K, K]``: a row per true class."""
        matrix = np.zeros((len(self.classes), len(self.classes)), int)
        np.add.at(matrix, (self.truth, self.predicted[name]), 1)
        return matrix

    def top_errors(self, count: int) -> list[list[str]]:
        """Return the most frequent confusions.

        Args:
            count: Number of pairs of classes.

        Returns:
            A row for each pair: the true and the predicted class, and how often each network confuses them.
        """
        matrices = {name: self.confusion(name) for name in self.predicted}
        total = np.sum(list(matrices.values()), axis=0)
        np.fill_diagonal(total, 0)
        order = np.argsort(-total, axis=None, kind='stable')[:count]
        rows = []
        for i, j in zip(*np.unravel_index(order, total.shape), strict=True):
            if total[i, j]:
                rows.append([self.classes[i], self.classes[j], *(str(matrix[i, j]) for matrix in matrices.values())])
        return rows

    def gallery(self, students: Sequence[str], count: int) -> dict[str, Any]:
        """Return the images on which networks differ most.

        Args:
            students: Names of the networks that are compared; if there are fewer than two, all of them.
            count: Number of images.

        Returns:
            Values that JSON can hold. An image's ``differ`` is the share of the networks that are wrong, if some are
            right, and otherwise zero, in percent.
        """
        names = list(students) if len(students) > 1 else list(self.predicted)
        differ = []
        for i, label in enumerate(self.truth):
            wrong = [self.predicted[name][i] != label for name in names]
            split = 0 < sum(wrong) < len(wrong) or len(wrong) == 1
            differ.append(100 * sum(wrong) / len(wrong) if split else 0.0)
        order = sorted(range(len(differ)), key=lambda i: -differ[i])[:count]
        items = []
        for i in order:
            index = self.tested.indices[i]
            layers = {name: dict(label=self.classes[labels[i]], right=labels[i] == self.truth[i],
                                 score=round(self.confidence[name][i], 1)) for name, labels in self.predicted.items()}
            items.append(dict(name=self.tested.name(index), differ=round(differ[i], 1), layers=layers,
                              truth=self.classes[self.truth[i]], image=jpeg_uri(_sized(self.tested.image(index)))))
        return dict(kind='classification', items=items)


def _sized(image: np.ndarray) -> np.ndarray:
    zoom = -(-SMALLEST // max(image.shape[:2]))
    if zoom > 1:
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    return fit(image, SIDE)
