"""Real images for an export: those of the test for verification, and a fraction of the training images."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from torch import Tensor

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.fraction import fraction_indices
from skd_mm.tasks import task_of

from .network import ExportedNetwork


class NetworkImages:
    """Images of a data set as an exported network takes them.

    An image passes the pipeline of the data set and the data preprocessor of the model. If the model predicts an image
    in windows, each image gives its first window.

    Args:
        dataset: The data set.
        indices: Indices of its images.
        network: The network to be exported.
    """

    def __init__(self, dataset: Any, indices: Sequence[int], network: ExportedNetwork) -> None:
        self.dataset, self.indices, self.network = dataset, list(indices), network

    def __len__(self) -> int:
        """The number of images."""
        return len(self.indices)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield images one by one, ``[1, C, H, W]``."""
        for index in self.indices:
            yield self.image(index)

    def image(self, index: int) -> Tensor:
        """Return an image of the data set, ``[1, C, H, W]``."""
        model: Any = self.network.model
        with torch.no_grad():
            batch = model.data_preprocessor(pseudo_collate([self.dataset[index]]), False)
        inputs = batch['inputs']
        top, bottom, left, right = task_of(model).windows(model, tuple(inputs.shape[2:]))[0]
        image = inputs[:, :, top:bottom, left:right]
        if self.network.normalize:
            image = self.network.denormalize(image)
        return image.contiguous()


def verification_images(cfg: Config, network: ExportedNetwork, count: int) -> NetworkImages:
    """Return images of the test, spread over the data set.

    Args:
        cfg: A config with a test.
        network: The network to be exported.
        count: The number of images; all of them if there are fewer.

    Returns:
        The images.

    Raises:
        OSError: A file of the data set is missing.
        ValueError: The data set cannot be built, or is empty.
    """
    with _scope(cfg):
        dataset = build_dataset(cfg.test_dataloader.dataset, 'test_dataloader.dataset')
    if not len(dataset):
        raise ValueError('test_dataloader.dataset is empty: there is no image to verify an export with')
    count = min(count, len(dataset))
    return NetworkImages(dataset, [i * len(dataset) // count for i in range(count)], network)


def calibration_images(cfg: Config, network: ExportedNetwork, fraction: float, seed: int = 0) -> NetworkImages:
    """Return a seeded fraction of the training images, which pass the pipeline of the test.

    Args:
        cfg: A config with training data and a test.
        network: The network to be exported.
        fraction: The fraction, in (0, 1].
        seed: Seed of the choice. Defaults to 0.

    Returns:
        The images; fractions of one seed are nested.

    Raises:
        OSError: A file of the data set is missing.
        ValueError: The config has no training data, the data set cannot be built, or the fraction leaves no image.
    """
    loader = cfg.get('train_dataloader')
    if not loader:
        raise ValueError('there are no calibration images: the config has no `train_dataloader`')
    inner = copy.deepcopy(loader.dataset)
    while 'dataset' in inner:  # wrappers that repeat samples
        inner = inner.dataset
    _set_pipeline(inner, cfg.test_dataloader.dataset.get('pipeline'))
    with _scope(cfg):
        dataset = build_dataset(inner, 'train_dataloader.dataset')
    try:
        indices = fraction_indices(dataset, fraction, seed)
    except ValueError as error:
        raise ValueError(f'there are no calibration images: {error}') from error
    if not indices:
        raise ValueError('there are no calibration images: train_dataloader.dataset is empty')
    return NetworkImages(dataset, indices, network)


def _set_pipeline(dataset: Any, pipeline: Any) -> None:
    for part in dataset.get('datasets') or [dataset]:
        if part is not dataset:
            _set_pipeline(part, pipeline)
        elif pipeline is not None:
            part.pipeline = copy.deepcopy(pipeline)


def _scope(cfg: Config) -> Any:
    return DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine'))
