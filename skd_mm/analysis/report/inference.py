"""Predictions of a trained network on the images of a split."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import DataLoader, Subset

from skd_mm.analysis.sample_pictures import sample_image
from skd_mm.datasets.building import build_dataset
from skd_mm.deploy import testing
from skd_mm.deploy.export import student_config
from skd_mm.distillers.networks import build_network, load_weights

from .sources import ReportRun


@dataclass
class Tested:
    """A network and the images that it is tested on.

    Attributes:
        run: The run.
        network: Its network, in eval mode.
        dataset: The data set.
        indices: Indices of the images.
        batch_size: Images per batch.
    """

    run: ReportRun
    network: Any
    dataset: Any
    indices: list[int]
    batch_size: int

    @property
    def meta(self) -> dict[str, Any]:
        """Meta information of the data set: ``classes`` and, for segmentation, ``palette``."""
        return dict(self.dataset.metainfo)

    def predictions(self) -> Iterator[tuple[int, Any]]:
        """Yield the index of each image and its data sample with prediction and ground truth."""
        loader = DataLoader(Subset(self.dataset, self.indices), self.batch_size, collate_fn=pseudo_collate)
        indices = iter(self.indices)
        with torch.inference_mode():
            for batch in loader:
                for sample in self.network.test_step(batch):
                    yield next(indices), sample.cpu()

    def image(self, index: int) -> np.ndarray:
        """Return an image, ``[H, W, 3]`` uint8 in BGR: that of its file if it has one."""
        sample = self.dataset[index]
        path = sample['data_samples'].metainfo.get('img_path')
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path else None
        return sample_image(sample) if image is None else image

    def name(self, index: int) -> str:
        """Return the file name of an image, or its index if it has none."""
        info = self.dataset.get_data_info(index) if hasattr(self.dataset, 'get_data_info') else {}
        path = info.get('img_path') if isinstance(info, dict) else None
        return Path(path).name if path else f'image {index}'


def prepare(run: ReportRun, split: str, images: int) -> Tested:
    """Load a network and a part of a split.

    Args:
        run: The run; it has a checkpoint.
        split: ``'test'`` or ``'val'``.
        images: Number of images at most; more are thinned out evenly.

    Returns:
        What yields the predictions.

    Raises:
        FileNotFoundError: The data or the checkpoint does not exist.
        ValueError: The config has no such split, or the weights are of another architecture.
    """
    cfg = Config(run.cfg.to_dict())
    if split == 'val':
        testing.set_validation(cfg)
    cfg = student_config(cfg)
    testing.check_test(cfg)
    scope = cfg.get('default_scope')
    if scope:
        init_default_scope(scope)
    logger = MMLogger.get_current_instance()
    logger.setLevel(logging.ERROR)
    network = build_network(dict(cfg=cfg), 'student')
    load_weights(network, str(run.checkpoint), 'student')
    with DATASETS.switch_scope_and_registry(scope):
        dataset = build_dataset(cfg.test_dataloader.dataset, f'{split}_dataloader.dataset')
    count = min(images, len(dataset))
    indices = sorted({round(i) for i in np.linspace(0, len(dataset) - 1, count)})
    return Tested(run, network.eval().to(get_device()), dataset, indices, cfg.test_dataloader.get('batch_size', 1))
