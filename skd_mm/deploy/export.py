"""The student by itself: its config and its weights without those of the distiller."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner.checkpoint import _load_checkpoint

from skd_mm.distillers.networks import build_network, find_checkpoint, load_weights, network_config
from skd_mm.distillers.transformed import exported_transforms
from skd_mm.registry import SCOPE
from skd_mm.utils import atomic_replace

from .imports import needed_imports

# Keys that only training, its validation and the selection of checkpoints need.
_TRAINING = ('prelude', 'schedule', 'train_cfg', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
             'auto_scale_lr', 'val_cfg', 'val_dataloader', 'val_evaluator', 'custom_hooks')
# The keys of an exported config.
_EXPORTED = ('default_scope', 'model', 'test_pipeline', 'test_dataloader', 'test_evaluator',
             'test_cfg', 'tta_model', 'tta_pipeline', 'default_hooks', 'env_cfg', 'visualizer', 'log_level')


def student_config(cfg: Config) -> Config:
    """Return the config with which the student runs by itself.

    Args:
        cfg: A config whose model is a distiller, or any mmsegmentation or mmpretrain config. It is not changed.

    Returns:
        A config whose ``model`` is the student (or the model that was there), without a schedule and everything else
        that only training and its validation need. If the config has a validation but no test, the test is that of the
        validation data. ``pretrained`` and ``init_cfg`` of the type ``Pretrained`` are removed, so that only the
        checkpoint that it is used with is read.

    Raises:
        KeyError: The config has no model, or its distiller no student.
    """
    cfg = copy.deepcopy(cfg)
    outer: Any = cfg.get('model')
    if not outer:
        raise KeyError(f'{cfg.filename or "the config"} has no `model`')
    model, scope = network_config(dict(cfg=cfg), 'student')
    if outer.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', outer['data_preprocessor'])
    if scope not in (None, cfg.get('default_scope')) and '_scope_' not in model:
        model['_scope_'] = scope
    cfg.model = _without_pretrained(model)
    if cfg.get('test_dataloader') is None:
        for key in ('dataloader', 'evaluator'):
            cfg[f'test_{key}'] = cfg.get(f'val_{key}')
        cfg.test_cfg = ConfigDict(type='TestLoop')
    # Only a distiller has a spot loss.
    metrics = cfg.test_evaluator
    if isinstance(metrics, (list, tuple)):
        cfg.test_evaluator = [metric for metric in metrics if metric['type'] != f'{SCOPE}.SpotLossMetric']
    if cfg.get('default_scope') == 'mmseg' and cfg.get('visualizer') is None:
        # mmsegmentation's inferencer, and its hook that draws predictions, need one.
        cfg.visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
    for key in _TRAINING:
        cfg.pop(key, None)
    cfg.load_from, cfg.resume = None, False
    return cfg


def export_student(cfg: Config, checkpoint: str, out_dir: str | Path, name: str) -> tuple[Path, Path]:
    """Write the student as a config and a checkpoint that mmsegmentation and mmpretrain load by themselves.

    The checkpoint is ``dict(meta=dict(dataset_meta=...), state_dict=...)``, which ``torch.load(weights_only=True)``
    reads. Each file appears complete or not at all.

    Args:
        cfg: A config whose model is a distiller, or any mmsegmentation or mmpretrain config.
        checkpoint: One of its checkpoints, or a pattern, see :func:`find_checkpoint`. The student's weights must be
            complete.
        out_dir: The folder of the files; it is created if necessary.
        name: The files are ``<name>.py`` and ``<name>.pth``.

    Returns:
        The paths of the config and of the checkpoint.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        KeyError: The config has no model, or its distiller no student.
        ValueError: The checkpoint is of another architecture.
    """
    path = find_checkpoint(checkpoint, 'student')
    exported = exported_config(cfg)
    network = build_network(dict(cfg=copy.deepcopy(exported)), 'student')
    load_weights(network, path, 'student')
    exported.model = exported_transforms(exported.model, network)
    weights = dict(meta=checkpoint_meta(_load_checkpoint(path, map_location='cpu', logger='silent')),
                   state_dict=network.state_dict())

    return write_student(exported, weights, out_dir, name)


def write_student(cfg: Config, weights: Mapping[str, Any], out_dir: str | Path, name: str) -> tuple[Path, Path]:
    """Write a config and a checkpoint, each complete or not at all.

    Args:
        cfg: The config.
        weights: The checkpoint.
        out_dir: The folder of the files; it is created if necessary.
        name: The files are ``<name>.py`` and ``<name>.pth``.

    Returns:
        The paths of the config and of the checkpoint.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / f'{name}.py', folder / f'{name}.pth'
    tmp = [folder / f'.{file.name}.tmp' for file in files]
    try:
        tmp[0].write_text(cfg.pretty_text)
        torch.save(weights, tmp[1])
        for temporary, file in zip(tmp, files, strict=True):
            atomic_replace(temporary, file)
    finally:
        for temporary in tmp:
            temporary.unlink(missing_ok=True)
    return files


def exported_config(cfg: Config) -> Config:
    """Return the config of an exported student: the network, and what its tests and inferencers need.

    Args:
        cfg: A config whose model is a distiller, or any mmsegmentation or mmpretrain config. It is not changed.

    Returns:
        A config without a base. It imports skd_mm only if the network has parts of skd_mm; data sets and metrics of
        skd_mm are found by their prefix when a test needs them. Of the user's modules it imports those that it uses.
    """
    cfg = student_config(cfg)
    dataset = (cfg.test_dataloader or {}).get('dataset', {})
    # mmsegmentation's inference_model reads this name, its inferencer that of the loader's data set.
    cfg.test_pipeline = dataset.get('pipeline') or cfg.get('test_pipeline')
    if isinstance(cfg.get('default_hooks'), dict):
        cfg.default_hooks = {key: hook for key, hook in cfg.default_hooks.items()
                             if not (isinstance(hook, dict) and _is_ours(hook))}
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    exported = Config({key: cfg[key] for key in _EXPORTED if cfg.get(key) is not None})
    needed = needed_imports(exported, [name for name in imports if name.partition('.')[0] != SCOPE])
    if _uses_ours(cfg.model):
        needed.append(SCOPE)
    if needed:
        exported.custom_imports = dict(imports=needed, allow_failed_imports=False)
    return exported


def _without_pretrained(value: Any) -> Any:
    if isinstance(value, dict):
        return ConfigDict({key: _without_pretrained(part) for key, part in value.items()
                           if not (key == 'pretrained' and isinstance(part, str)) and not _is_pretrained(key, part)})
    if isinstance(value, (list, tuple)):
        return type(value)(_without_pretrained(part) for part in value)
    return value


def _is_pretrained(key: str, value: Any) -> bool:
    parts = value if isinstance(value, (list, tuple)) else [value]
    return key == 'init_cfg' and any(isinstance(part, dict) and part.get('type') == 'Pretrained' for part in parts)


def _is_ours(cfg: Mapping[str, Any]) -> bool:
    kind = cfg.get('type')
    name = kind if isinstance(kind, str) else getattr(kind, '__module__', '')
    return name.partition('.')[0] == SCOPE or cfg.get('_scope_') == SCOPE


def _uses_ours(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_ours(value) or any(map(_uses_ours, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_uses_ours, value))


def checkpoint_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return classes and palette of a checkpoint as plain Python values, which every loader reads."""
    meta = checkpoint.get('meta', {})
    found = meta.get('dataset_meta') or {key.lower(): meta.get(key) for key in ('CLASSES', 'PALETTE')}
    plain: dict[str, Any] = {}
    if found.get('classes') is not None:
        plain['classes'] = [str(name) for name in found['classes']]
    if found.get('palette') is not None:
        plain['palette'] = [[int(part) for part in colour] for colour in found['palette']]
    if 'classes' not in plain:
        print_log('the checkpoint does not name its classes, and neither will the exported one', logger='current')
    return dict(dataset_meta=plain)
