"""Information from the data samples of a batch."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from skd_mm.losses import Feature
from skd_mm.losses.base import parts
from skd_mm.tasks import label_of
from skd_mm.utils import INDEX, VALIDATION_INDEX, VIEW, to_device


def collect_context(data_samples: Sequence[Any] | None, needs: Collection[str], feature: Feature) -> dict[str, Tensor]:
    """Return the context of a spot's loss: labels and indices of the samples, as far as they are known.

    Args:
        data_samples: One per image.
        needs: Requested keys: ``'index'``, the positions in the training set, and ``'labels'``.
        feature: The context is moved to this feature's device.

    Returns:
        ``index``, ``[B]``, and ``labels``, ``[B]`` or ``[B, H, W]``; keys that are not known for every sample are
        missing.
    """
    device, samples, context = parts(feature)[0].device, list(data_samples or ()), {}
    if 'index' in needs and samples and all(INDEX in sample.metainfo for sample in samples):
        context['index'] = to_device([sample.metainfo[INDEX] for sample in samples], device)
    if 'labels' in needs and samples:
        labels = [label_of(sample) for sample in samples]
        known = [label for label in labels if label is not None]
        if len(known) == len(labels) and all(label.shape == known[0].shape for label in known):
            context['labels'] = torch.stack(known).to(device)
    return context


def sample_keys(data_samples: Sequence[Any] | None, shape: Sequence[int]) -> list[Hashable] | None:
    """Return the cache keys of the images of a batch.

    Args:
        data_samples: One per image.
        shape: ``(C, H, W)`` of the batch: an image may be padded to another size in every batch.

    Returns:
        For each image its index in training or validation, or else its file or the number from its data set; None if
        there is no such key.
    """
    for name in (INDEX, VALIDATION_INDEX, 'img_path', 'sample_idx'):
        found = [sample.metainfo.get(name) for sample in data_samples or ()]
        if found and None not in found:
            return [(name, value, sample.metainfo.get(VIEW), *shape)
                    for value, sample in zip(found, data_samples or (), strict=True)]
    return None


def training_keys(samples: Sequence[tuple[int, ...]], shape: Sequence[int]) -> list[Hashable]:
    """Return the keys of training samples, equal to those of :func:`sample_keys`, before they are loaded.

    Args:
        samples: ``(index, )`` or ``(index, view)`` per sample.
        shape: ``(C, H, W)`` of the batch.

    Returns:
        One key per sample.
    """
    return [(INDEX, sample[0], sample[1] if len(sample) > 1 else None, *shape) for sample in samples]
