"""Building the teacher and the student from what OpenMMLab already has: a config and a checkpoint."""

import copy
import glob
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor, nn

import skd_mm
from skd_mm.checkpoint import CheckpointError
from skd_mm.compat import INSTALL_DETECTION, installed_line
from skd_mm.tasks import PARTS, apply_switches
from skd_mm.utils import did_you_mean, from_main_process

from .transformed import adapted_weights, transformed_config

KEYS = ('cfg', 'checkpoint', 'options', 'transform', 'mode', 'backbone_stages', 'input_size')


def find_config(path: str) -> str:
    """Find a config by its path.

    Args:
        path: A path from the working directory, or from the root of skd_mm (its checkout, or what ``mim`` installed),
            or a model zoo's name such as ``'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'``.

    Returns:
        A path that exists.

    Raises:
        FileNotFoundError: There is no such file; the closest names in its folder are given.
    """
    package, zoo, name = path.rpartition('::')
    if zoo:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            message = f'{path!r}: there is no package {package!r} whose configs could be read'
            if package == 'mmdet':
                message += f'. Install it with\n  {INSTALL_DETECTION[installed_line()]}'
            raise FileNotFoundError(message)
        roots = [Path(spec.submodule_search_locations[0]) / '.mim' / 'configs']
    else:
        installed = Path(skd_mm.__file__).parent
        roots = [Path(), installed.parent, installed / '.mim']
    for root in roots:
        if (root / name).is_file():
            return str(root / name)
    folder = next((root / name for root in roots if (root / name).parent.is_dir()), roots[0] / name).parent
    names = [file.name for file in folder.glob('*.py')] if folder.is_dir() else []
    raise FileNotFoundError(f'there is no config {path!r}{did_you_mean(Path(name).name, names)}')


def read_config(path: str) -> Config:
    """Read a config file or a config of an installed model zoo.

    The folder of a config file is added to ``sys.path``, so that ``custom_imports`` can name a module next to it.

    Args:
        path: See :func:`find_config`.

    Returns:
        The config.
    """
    file = find_config(path)
    folder = str(Path(file).resolve().parent)
    if '::' not in path and folder not in sys.path:
        sys.path.append(folder)
    return Config.fromfile(file)


def network_config(cfg: Mapping[str, Any], role: str) -> tuple[ConfigDict, str | None]:
    """Return the model config that ``model.student`` or ``model.teacher`` refers to.

    Args:
        cfg: Either a model config (with ``type``), or ``dict(cfg=..., checkpoint=..., options=...)`` with the path
            of a config whose ``model`` is taken, and overrides of that config in the form of ``--cfg-options``. A
            config of a distiller gives its student. ``transform`` is the config of a network transform, or a list of
            them, see :class:`skd_mm.distillers.transformed.build_transformed_network`.
        role: ``'student'`` or ``'teacher'``, for messages.

    Returns:
        The model config, and the ``default_scope`` under which its types are looked up (None: the caller's).

    Raises:
        KeyError: An unknown key, or a config without a model.
    """
    model, scope = _untransformed_config(cfg, role)
    if cfg.get('transform'):
        model = transformed_config(model, cfg['transform'])
    return model, scope


def _untransformed_config(cfg: Mapping[str, Any], role: str) -> tuple[ConfigDict, str | None]:
    if 'type' in cfg:
        return ConfigDict({key: value for key, value in cfg.items() if key == 'type' or key not in KEYS}), None
    config = _referenced_config(cfg, role)
    model = config.model
    scope = config.get('default_scope')
    if scope is None and isinstance(cfg['cfg'], str):
        # A zoo's configs without a runtime set no scope; it has the name of the package.
        scope = cfg['cfg'].rpartition('::')[0] or None
    if 'data_preprocessor' in config:
        # mmpretrain's configs keep it outside the model and let the Runner bring both together.
        model.setdefault('data_preprocessor', config.data_preprocessor)
    if str(model['type']).endswith('Distiller') and 'student' in model:
        inner, inner_scope = network_config(model['student'], role)
        return inner, inner_scope or scope
    return model, scope


def _referenced_config(cfg: Mapping[str, Any], role: str) -> Config:
    """Return the config that ``cfg['cfg']`` names, with ``cfg['options']``, after a check of all keys."""
    for key in cfg:
        if key not in KEYS:
            raise KeyError(f'model.{role} has no key {key!r}{did_you_mean(key, [*KEYS, "type"])} '
                           f'(it takes {list(KEYS)}, or a model config with `type`)')
    if 'cfg' not in cfg:
        raise KeyError(f'model.{role} needs `cfg`, the path of a config, or a model config with `type`')
    config = copy.deepcopy(cfg['cfg']) if isinstance(cfg['cfg'], Config) else read_config(cfg['cfg'])
    if cfg.get('options'):
        config.merge_from_dict(dict(cfg['options']))
    if 'model' not in config:
        raise KeyError(f'model.{role}: {cfg["cfg"]!r} has no `model`')
    return config


def build_network(cfg: Mapping[str, Any], role: str, data_preprocessor: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a network, with random weights.

    Args:
        cfg: See :func:`network_config`.
        role: ``'student'`` or ``'teacher'``, for messages.
        data_preprocessor: Used if the model's config has none.

    Returns:
        The model.

    Raises:
        ValueError: It cannot be built; the message names the part at fault.
    """
    model_cfg, scope = network_config(cfg, role)
    if data_preprocessor is not None:
        model_cfg.setdefault('data_preprocessor', dict(data_preprocessor))
    if scope is not None and '_scope_' not in model_cfg:
        # A scope's registry is filled when the scope is first used; the caller's stays the default one.
        with MMENGINE_MODELS.switch_scope_and_registry(scope):
            pass
        model_cfg['_scope_'] = scope
    if role == 'teacher':
        model_cfg = whole_model(model_cfg, model_cfg.get('_scope_'))
    try:
        network: nn.Module = MMENGINE_MODELS.build(model_cfg)
    except Exception as error:
        part = _part_at_fault(model_cfg)
        raise ValueError(f'model.{role}{part} cannot be built: {type(error).__name__}: {error}') from error
    apply_switches(network)
    return network


def whole_model(cfg: ConfigDict, scope: str | None) -> ConfigDict:
    """Return the config of a model for a teacher that may be a backbone alone.

    Args:
        cfg: The config of a model or of a backbone; the latter may have a ``data_preprocessor``.
        scope: The scope in which its type is looked up.

    Returns:
        The config of a model as it is; for a backbone, that of a ``BareBackbone``.
    """
    with MMENGINE_MODELS.switch_scope_and_registry(scope) as registry:
        kind = registry.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    if not isinstance(kind, type) or issubclass(kind, BaseModel):
        return cfg
    backbone = ConfigDict({key: value for key, value in cfg.items() if key != 'data_preprocessor'})
    return ConfigDict(type='skd_mm.BareBackbone', backbone=backbone, data_preprocessor=cfg.get('data_preprocessor'))


def _part_at_fault(cfg: Mapping[str, Any]) -> str:
    """Return the path of the part of a network's config that cannot be built by itself, if there is one."""
    for key in PARTS:
        part = cfg.get(key)
        if isinstance(part, Mapping) and 'type' in part:
            try:
                MMENGINE_MODELS.build(ConfigDict(dict(part, _scope_=part.get('_scope_', cfg.get('_scope_')))))
            except Exception:
                return f'.{key}{_part_at_fault(part)}'
    return ''


def find_checkpoint(pattern: str, role: str) -> str:
    """Find a checkpoint file.

    Args:
        pattern: A path, a pattern like ``work_dirs/x/best_mIoU_*.pth``, or a URL, which is returned as it is. Of
            several matches, that of the last phase is taken, and without phases the newest one. Copies of a folder may
            have other times, but not other phases.
        role: Whose it is, for messages.

    Returns:
        The path or URL.

    Raises:
        FileNotFoundError: Nothing is there; the closest names in that folder are given.
    """
    if '://' in pattern:
        return pattern
    if os.path.isfile(pattern):
        return pattern
    found = [path for path in glob.glob(pattern) if os.path.isfile(path)]
    if found:
        folder = os.path.dirname(max(found, key=os.path.getmtime))
        return max((path for path in found if os.path.dirname(path) == folder),
                   key=lambda path: (_phase_number(path), os.path.getmtime(path), path))
    folder, name = os.path.split(pattern)
    names = os.listdir(folder or '.') if os.path.isdir(folder or '.') else []
    raise FileNotFoundError(f'model.{role}.checkpoint: there is no file {pattern!r}{did_you_mean(name, names)}'
                            + ('' if names else f' (the folder {folder!r} is not there either)'))


def _phase_number(path: str) -> int:
    """Return the number of the phase in the name of a best checkpoint, -1 if there is none."""
    match = re.search(r'_phase(\d+)_', os.path.basename(path))
    return int(match[1]) if match else -1


def load_weights(network: nn.Module, checkpoint: str, role: str) -> str:
    """Load a checkpoint completely or not at all.

    In a distributed run all processes must call it: rank 0 resolves a pattern for all of them.

    Args:
        network: The model. Its attribute ``checkpoint_file`` is set to the file, and ``kept_channels`` to the channels
            that pruning has left, see :func:`skd_mm.distillers.pruned.start_from_kept_channels`; None if unknown.
        checkpoint: See :func:`find_checkpoint`. A distiller's checkpoint gives its student.
        role: ``'student'`` or ``'teacher'``, for messages.

    Returns:
        The file that was loaded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, would run code when it is loaded, or is of another architecture: weights are
            missing, unknown, or of another shape.
    """
    path = from_main_process(lambda: find_checkpoint(checkpoint, role))
    try:
        loaded = _load_checkpoint(path, map_location='cpu', logger='silent')
    except CheckpointError as error:
        raise CheckpointError(f'model.{role}.checkpoint: {error}') from error
    inside = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(inside, Mapping) or not all(isinstance(value, Tensor) for value in inside.values()):
        raise CheckpointError(f'model.{role}.checkpoint: {path} holds no weights of a network')
    # A transform that prunes replaces it.
    network.kept_channels = (loaded.get('meta') or {}).get('kept_channels')  # type: ignore[assignment]
    weights = adapted_weights(network, student_weights(inside))
    own = network.state_dict()
    faults = _misfits(own, weights)
    if faults:
        raise ValueError(f'model.{role}.checkpoint: {path} does not fit the {role} ({type(network).__name__}), '
                         f'{len(faults)} of {len(own)} entries differ: ' + '; '.join(faults[:5])
                         + (' …' if len(faults) > 5 else ''))
    network.load_state_dict(weights)
    network.checkpoint_file = path  # type: ignore[assignment]
    print_log(f'{role}: loaded {path}', logger='current', level=logging.INFO)
    return path


def _misfits(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """Return in words where weights do not fit a network's own."""
    faults = [f'missing {key}' for key in own if key not in weights]
    faults += [f'unknown {key}' for key in weights if key not in own]
    return faults + [f'{key} is {tuple(weights[key].shape)}, not {tuple(value.shape)}' for key, value in own.items()
                     if key in weights and weights[key].shape != value.shape]


def student_weights(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the student's weights in a distiller's state dict; any other state dict as it is."""
    prefix = 'student.'
    inside = {key[len(prefix):]: value for key, value in state_dict.items() if key.startswith(prefix)}
    return inside or dict(state_dict)
