"""Load a config as the tools do."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from mmengine.config import Config

from skd_mm.distillers.networks import read_config
from skd_mm.registry import SCOPE

from .options import merge_options, parse_options


def load_config(path: str, options: Sequence[str] | Mapping[str, Any] = ()) -> Config:
    """Read a config and replace settings in it.

    A data loader without workers keeps no settings of them: ``persistent_workers`` and ``prefetch_factor``.

    Args:
        path: See :func:`skd_mm.distillers.networks.find_config`.
        options: The settings of ``--cfg-options``, or values by their dotted keys.

    Returns:
        The config.

    Raises:
        FileNotFoundError: There is no such config; the closest names are given.
        ValueError: A setting cannot be parsed, or has no place in the config.
    """
    cfg = read_config(path)
    merge_options(cfg, options if isinstance(options, Mapping) else parse_options(options))
    for split in ('train', 'val', 'test'):
        _drop_worker_settings(cfg.get(f'{split}_dataloader'))
    return cfg


def _drop_worker_settings(loader: Any) -> None:
    """Remove the settings of a loader's workers if it has none, as after ``train_dataloader.num_workers=0``.

    They have no meaning then, and PyTorch refuses them.
    """
    if not isinstance(loader, MutableMapping) or loader.get('num_workers', 0) != 0:
        return
    for key in ('persistent_workers', 'prefetch_factor'):
        loader.pop(key, None)


def follow_schedule(cfg: Config) -> None:
    """Replace the training loop that a config with a ``schedule`` has inherited by the one that follows the schedule.

    Args:
        cfg: The config; it is changed. Without a ``schedule`` it stays as it is.
    """
    loop = cfg.get('train_cfg') or {}
    if 'schedule' not in cfg or not isinstance(loop, Mapping) or loop.get('type') == f'{SCOPE}.PhaseLoop':
        return
    # MMEngine takes `by_epoch` only if it chooses the loop itself, as with mmpretrain's configs.
    lengths = {key: value for key, value in loop.items() if key != 'by_epoch'}
    cfg.pop('train_cfg', None)  # or the keys of both loops would be merged
    cfg.train_cfg = dict(lengths, type=f'{SCOPE}.PhaseLoop')
