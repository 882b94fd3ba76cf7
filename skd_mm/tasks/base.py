"""What the toolkit needs to know of a task."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
        head: The name of the module that turns features into the model's outputs.
        usual_sizes: Sides of the images that its models are usually trained on.
    """

    name = ''
    base = ''
    library = ''
    parts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    pooled = ''
    head = ''
    usual_sizes: tuple[int, ...] = (224, )

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

    def classifier(self, model: nn.Module) -> str:
        """Return the path of the module that turns the head's last feature into logits.

        Args:
            model: A model of this task.

        Returns:
            Its path; empty if the task's heads have none by a usual name.
        """
        del model
        return ''

    def input_sizes(self, model: nn.Module) -> list[tuple[int, int]]:
        """Return sizes of images that a model may take, the cheapest one first.

        Most models take any size. Some are built for one (position embeddings, windows, pooling of a fixed size), which
        is that of the backbone or of the data preprocessor.

        Args:
            model: A model of this task.

        Returns:
            ``(H, W)`` of each: 64×64, then those that the model names.
        """
        backbone: Any = getattr(model, 'backbone', None)
        own = [getattr(backbone, name, None) for name in ('img_size', 'image_size')]
        own.append(getattr(getattr(backbone, 'patch_embed', None), 'init_input_size', None))
        own.append(getattr(getattr(model, 'data_preprocessor', None), 'size', None))
        sizes = [(64, 64)]
        for size in [*own, *self.usual_sizes]:
            pair = (size, size) if isinstance(size, int) else size
            if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(side, int) for side in pair):
                sizes.append((pair[0], pair[1]))
        return list(dict.fromkeys(sizes))

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

    def forward_samples(self, inputs: Tensor) -> list[Any] | None:
        """Return the data samples that a model needs in ``'tensor'`` mode if it is given none.

        Args:
            inputs: ``[B, C, H, W]``.

        Returns:
            Data samples without labels; None if the model needs none.
        """
        return None

    def heads_with_samples(self, model: nn.Module, inputs: Tensor) -> AbstractContextManager[None]:
        """Return a context for calls in ``'tensor'`` mode, in which heads get the data samples that they need.

        Args:
            model: A model of this task.
            inputs: ``[B, C, H, W]``.

        Returns:
            The context.
        """
        return nullcontext()

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

    def check_single_network(self, model: nn.Module) -> None:
        """Check that a model's outputs are one function of the images, which can be exported and replaced.

        All models are by default.

        Args:
            model: A model of this task.

        Raises:
            ValueError: They also depend on something that the model computes between two of its parts.
        """
        del model

    def replace_network(self, model: nn.Module, network: Callable[[Tensor], Any]) -> None:
        """Let a model's predictions use another implementation of its backbone, neck and head.

        The data preprocessor, windows, and what follows the head (resizing, scores, boxes) stay those of the model.

        Args:
            model: A model of this task; it is changed.
            network: Takes images ``[B, C, H, W]`` and returns what the model returns in ``'tensor'`` mode.

        Raises:
            ValueError: The model has no head of this task.
        """
        head: Any = getattr(model, self.head, None)
        if head is None or not hasattr(model, 'extract_feat'):
            raise ValueError(f'a {type(model).__name__} has no {self.head or "head"!r} whose outputs could be replaced')
        heads = list(head) if isinstance(head, nn.ModuleList) else [head]
        changed: Any = model
        changed.extract_feat = _first
        for part in heads:
            part.forward = _first
        heads[-1].forward = lambda images, *args, **kwargs: network(images)

    def labels(self, model: nn.Module, outputs: Any, size: Sequence[int]) -> Tensor:
        """Return the predicted classes as integers.

        Args:
            model: A model of this task.
            outputs: What it returns in ``'tensor'`` mode.
            size: ``(H, W)`` of the images.

        Returns:
            The classes.

        Raises:
            ValueError: The predictions of this task are no classes.
        """
        raise ValueError(f'the predictions of {self.name or "such a model"} are no maps of classes')

    def from_labels(self, model: nn.Module, labels: Tensor) -> Tensor:
        """Return outputs whose predictions are given classes, the inverse of :meth:`labels`.

        Args:
            model: A model of this task.
            labels: The classes.

        Returns:
            Outputs in which the score of the class is one and all others are zero.
        """
        raise NotImplementedError

    def needs_scores(self, metric: Mapping[str, Any]) -> bool:
        """Return whether a metric needs more than the predicted classes.

        Args:
            metric: The config of a metric.

        Returns:
            True or False.
        """
        return True


def _first(value: Any, *args: Any, **kwargs: Any) -> Any:
    return value
