"""The model, phases and images of a config, without its weights and, if it must be, without its data."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import nn

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.fraction import fraction_indices
from skd_mm.datasets.partly_labelled import unlabelled_config
from skd_mm.distillers import Distiller
from skd_mm.distillers.probing import input_channels
from skd_mm.registry import RECIPES, build
from skd_mm.schedules import Phase


def build_model(cfg: Config) -> Any:
    """Build the model of a config with random weights.

    Args:
        cfg: A config of a distiller, or a plain one of mmsegmentation or mmpretrain.

    Returns:
        The model. A distiller's checkpoints are not read.

    Raises:
        ValueError: The config has no model.
    """
    if 'model' not in cfg:
        raise ValueError('the config has no `model`')
    model = cfg.model.copy()
    for role in ('teacher', 'student'):
        if isinstance(model.get(role), Mapping):
            model[role] = dict(model[role], checkpoint=None)
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # a warning that the teacher's weights are random would be wrong here
    try:
        with MMENGINE_MODELS.switch_scope_and_registry(cfg.get('default_scope')):
            return MMENGINE_MODELS.build(model)
    finally:
        logger.setLevel(level)


def config_phases(cfg: Config, distiller: Distiller) -> list[Phase]:
    """Return the phases of a config.

    Args:
        cfg: The config.
        distiller: Its model.

    Returns:
        The phases.

    Raises:
        ValueError: The config has no schedule.
    """
    if 'schedule' not in cfg:
        raise ValueError('the config has no `schedule`: there are no phases to count')
    phases = build(RECIPES, cfg.schedule).phases(distiller.outline(), distiller.spot_names())
    return [phase.with_data(bool(cfg.get('unlabelled_dataloader'))) for phase in phases]


class ImageCount:
    """Number of training images for a fraction of them.

    Args:
        labelled: The training data set.
        unlabelled: The unlabelled one; None if there is none.
        seed: Seed of the fractions.

    Attributes:
        unlabelled: The same function for the unlabelled images, or None.
    """

    def __init__(self, labelled: Any, unlabelled: Any = None, seed: int = 0) -> None:
        self._dataset = labelled
        self._seed = seed
        self.unlabelled = None if unlabelled is None else ImageCount(unlabelled, seed=seed)

    def __call__(self, fraction: float) -> int:
        """Return the number of images of a fraction."""
        return len(fraction_indices(self._dataset, fraction, self._seed))


def config_images(cfg: Config) -> ImageCount | None:
    """Return how many training images a config's data sets have.

    Args:
        cfg: The config.

    Returns:
        A function that gives the number of images of a fraction, or None if the data does not exist.
    """
    unlabelled = None
    try:
        dataset = config_dataset(cfg, 'train')
        if cfg.get('unlabelled_dataloader'):
            settings = unlabelled_config(cfg.unlabelled_dataloader.dataset, cfg.train_dataloader.dataset)
            with MMENGINE_DATASETS.switch_scope_and_registry(cfg.get('default_scope')):
                unlabelled = build_dataset(settings, 'unlabelled_dataloader.dataset')
    except FileNotFoundError:
        return None
    return ImageCount(dataset, unlabelled, cfg.get('schedule', {}).get('fraction_seed', 0))


def config_dataset(cfg: Config, split: str) -> Any:
    """Build a data set of a config.

    Args:
        cfg: The config.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: Its files do not exist.
    """
    with MMENGINE_DATASETS.switch_scope_and_registry(cfg.get('default_scope')):
        return build_dataset(cfg[f'{split}_dataloader'].dataset, f'{split}_dataloader.dataset')


def config_shape(cfg: Config, model: nn.Module) -> tuple[int, int, int]:
    """Return the shape of a training image, as a config's pipeline and the model's preprocessor make it.

    If they set no size, it is the distiller's ``input_shape``, or else that of the first training image.

    Args:
        cfg: The config.
        model: Its model, for the number of channels and the padding.

    Returns:
        ``(C, H, W)``.

    Raises:
        ValueError: Nothing in the config sets a size.
    """
    preprocessor: Any = model.data_preprocessor
    size = getattr(preprocessor, 'size', None) or _pipeline_size(cfg)
    shape = cfg.get('model', {}).get('input_shape')
    if size is None and shape is not None:
        channels, height, width = shape
        return channels, height, width
    size = size or _first_image_size(cfg)
    if size is None:
        raise ValueError('the size of the training images is unknown, as no step of the training pipeline sets one and '
                         'there is no training image to read; set `model.input_shape = (C, H, W)` of the distiller, or '
                         'give get_flops.py --shape')
    divisor = getattr(preprocessor, 'size_divisor', getattr(preprocessor, 'pad_size_divisor', None)) or 1
    height, width = (-(-side // divisor) * divisor for side in _pair(size))
    return input_channels(model), height, width


def _pipeline_size(cfg: Config) -> tuple[int, int] | None:
    """Return the height and width that the last resize or crop of the training pipeline sets."""
    dataset = cfg.get('train_dataloader', {}).get('dataset', {})
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    size = None
    for step in dataset.get('pipeline', cfg.get('train_pipeline', [])):
        if step.get('crop_size') is not None:
            size = _pair(step['crop_size'])
        elif step.get('scale') is not None:
            size = _pair(step['scale'])
            if 'Crop' not in str(step['type']):
                size = size[::-1]  # the scale of a crop is (H, W), that of a resize (W, H)
    return size


def _first_image_size(cfg: Config) -> tuple[int, int] | None:
    """Return the height and width of the first training image after its transforms; None if there is no data."""
    if 'train_dataloader' not in cfg:
        return None
    try:
        height, width = config_dataset(cfg, 'train')[0]['inputs'].shape[-2:]
    except (OSError, ValueError, KeyError):
        return None
    return int(height), int(width)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)
