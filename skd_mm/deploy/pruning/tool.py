"""Pruning the student of a config."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint

from skd_mm.distillers.networks import build_network, find_checkpoint, load_weights
from skd_mm.distillers.probing import input_channels
from skd_mm.distillers.transformed import exported_transforms, transformed_config

from ..export import checkpoint_meta, exported_config, student_config, write_student
from ..quantisation import quantized_layers
from .pruner import MIN_CHANNELS, PrunedNetwork, prune_network


class PrunedStudent(NamedTuple):
    """What :func:`prune_student` wrote.

    Attributes:
        config: The path of the config.
        checkpoint: The path of the checkpoint.
        pruned: The network.
    """

    config: Path
    checkpoint: Path
    pruned: PrunedNetwork


def prune_student(cfg: Config, checkpoint: str, out_dir: str | Path, name: str, macs: float,
                  keep: Sequence[str] | None = None, size: Sequence[int] | None = None,
                  min_channels: int = MIN_CHANNELS) -> PrunedStudent:
    """Prune a trained network, and write it as a config and a checkpoint.

    The config builds the pruned network by itself: it has the widths of its layers. The checkpoint says which channels
    are left, for the connector :class:`skd_mm.connectors.RestoreChannels`.

    Args:
        cfg: A config whose model is a distiller, or any mmsegmentation or mmpretrain config.
        checkpoint: One of its checkpoints, or a pattern, see :func:`find_checkpoint`.
        out_dir: The folder of the files; it is created if necessary.
        name: The files are ``<name>.py`` and ``<name>.pth``.
        macs: The share of the MACs to reach, in (0, 1).
        keep: Modules whose outputs keep all their channels; by default the student's modules of the spots.
        size: ``(H, W)`` of the images for which MACs are counted. Defaults to 64×64.
        min_channels: No layer gets fewer channels than this; those that have fewer stay as they are.

    Returns:
        The files and the network.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ImportError: torch-pruning is not installed.
        ValueError: The network cannot be pruned, or the checkpoint is of another architecture.
    """
    path = find_checkpoint(checkpoint, 'student')
    alone = student_config(cfg)
    network = build_network(dict(cfg=copy.deepcopy(alone)), 'student')
    if quantized_layers(network):
        raise ValueError('a quantised network cannot be pruned; prune it first, and quantise it then')
    load_weights(network, path, 'student')
    shape = (input_channels(network), *(size or (64, 64)))
    pruned = prune_network(network, shape, macs, spot_modules(cfg) if keep is None else keep, min_channels)
    widths = dict(type='ChannelWidths', widths=pruned.widths)
    alone.model = transformed_config(exported_transforms(alone.model, network), widths)
    meta = checkpoint_meta(_load_checkpoint(path, map_location='cpu', logger='silent'))
    weights = dict(meta=dict(meta, kept_channels=pruned.kept), state_dict=pruned.model.state_dict())
    return PrunedStudent(*write_student(exported_config(alone), weights, out_dir, name), pruned)


def spot_modules(cfg: Config) -> list[str]:
    """Return the student's modules that a config's spots name; none if it has no spots.

    Args:
        cfg: A config.

    Returns:
        The names, in the order of the spots.

    Raises:
        ValueError: A spot names no module of the student, but a stage or the end of a head.
    """
    spots: Any = cfg.model.get('spots') or ()
    names: list[str] = []
    for spot in [spots] if isinstance(spots, str) else spots:
        given = spot.get('student') if isinstance(spot, Mapping) else None if spots == 'backbone' else spot
        if given is None:
            raise ValueError(f'model.spots: {spot!r} names no module of the student: name those that keep all their '
                             'channels with `keep` (--keep MODULE ...), or keep none (--keep)')
        names += [given] if isinstance(given, str) else given
    return list(dict.fromkeys(names))
