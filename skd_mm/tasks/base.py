"""What the toolkit needs to know of a task."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.utils import INDEX

Window = tuple[int, int, int, int]
"""A part of an image: top, bottom, left and right, in pixels."""


class Task:
    """A task that a library of OpenMMLab has models for.

    Attributes:
        name: The task's name.
        base: The name of the class that all of the library's models of this task derive from.
        library: The package that its models are from.
        parts: The keys of a model's config whose values are configs of parts.
        metrics: The names of its usual metrics, the most usual one first.
        pooled: The path of the module that returns the pooled feature of an image; empty if there is none.
    """

    name = ''
    base = ''
    library = ''
    parts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    pooled = ''

    def supports(self, model: nn.Module) -> bool:
        """Return whether a model is one of this task.

        The library is not imported: a model of it has imported it.

        Args:
            model: Any model.

        Returns:
            True or False.
        """
        return any(kind.__name__ == self.base for kind in type(model).__mro__)

    def num_classes(self, model: nn.Module) -> int | None:
        """Return how many classes a model predicts.

        Args:
            model: A model of this task.

        Returns:
            The number; None if the model does not have it.
        """
        count = getattr(model, 'num_classes', None)
        return count if isinstance(count, int) else None

    def label(self, sample: Any) -> Tensor | None:
        """Return the ground truth of a data sample of this task.

        Args:
            sample: A data sample.

        Returns:
            Its class, ``[]``, or map of classes, ``[H, W]``; None if it has none, or is of another task.
        """
        raise NotImplementedError

    def remove_labels(self, sample: Any) -> None:
        """Remove the ground truth of a data sample, as a pipeline packs it, in place.

        Args:
            sample: A data sample of this task. If a data preprocessor of the library expects a label in each sample, it
                gets a placeholder, which no loss reads.
        """
        for key in list(sample.keys()):
            delattr(sample, key)

    def example_samples(self, shape: Sequence[int], device: torch.device, count: int) -> list[Any]:
        """Return data samples that the losses of this task take.

        Args:
            shape: ``(C, H, W)`` of the images.
            device: The device of the labels.
            count: The number of samples.

        Returns:
            The samples, with indices as in training.
        """
        size = tuple(shape[1:])
        samples = [self._example(i, size, device) for i in range(count)]
        for i, sample in enumerate(samples):
            sample.set_metainfo(dict(sample_idx=i, **{INDEX: i}, img_shape=size, pad_shape=size, ori_shape=size))
        return samples

    def _example(self, index: int, size: tuple[int, ...], device: torch.device) -> Any:
        raise NotImplementedError

    def crop(self, sample: Any, window: Window, size: tuple[int, int]) -> Any:
        """Return the data sample of a part of an image.

        Args:
            sample: The sample of the whole image.
            window: The part.
            size: ``(H, W)`` of the image as the model gets it.

        Returns:
            A new sample with the labels of the part, if there are any.
        """
        top, bottom, left, right = window
        part = sample.new()
        part.set_metainfo(dict(img_shape=(bottom - top, right - left), padding_size=(0, 0, 0, 0)))
        return part

    def windows(self, model: nn.Module, size: tuple[int, int]) -> list[Window]:
        """Return the parts of an image that a model predicts one by one.

        Args:
            model: A model of this task.
            size: ``(H, W)`` of the image.

        Returns:
            The parts; one, the whole image, unless the model cuts images into windows.
        """
        return [(0, size[0], 0, size[1])]
