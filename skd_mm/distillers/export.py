"""The student by itself: its config without the distiller around it."""

import copy
import logging
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from .networks import network_config

# What only training needs. A Runner takes each of these groups whole or not at all.
_TRAINING = ('schedule', 'train_cfg', 'train_dataloader', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr')


def student_config(cfg: Config) -> Config:
    """The config with which the student runs by itself.

    Args:
        cfg: A config whose model is a distiller, or any mmsegmentation or mmpretrain config. It is not changed.

    Returns:
        A config whose ``model`` is the student, or the model that was there, and which has neither a schedule nor
        anything else that only training needs. Data, evaluators, hooks and the rest are as they were.

    Raises:
        KeyError: The config has no model, or its student has none.
    """
    cfg = copy.deepcopy(cfg)
    outer: Any = cfg.get('model') or {}
    model, scope = network_config(dict(cfg=cfg), 'student')
    if outer.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', outer['data_preprocessor'])
    if scope not in (None, cfg.get('default_scope')) and '_scope_' not in model:
        model['_scope_'] = scope
    cfg.model = _without_pretrained(model)
    for key in _TRAINING:
        cfg.pop(key, None)
    return cfg


def _without_pretrained(value: Any) -> Any:
    """The same config without the files that weights would first be read from: the checkpoint replaces them."""
    if isinstance(value, dict):
        kept = {key: _without_pretrained(part) for key, part in value.items()
                if not (key == 'pretrained' and isinstance(part, str)) and not _is_pretrained(key, part)}
        return ConfigDict(kept)
    if isinstance(value, (list, tuple)):
        return type(value)(_without_pretrained(part) for part in value)
    return value


def _is_pretrained(key: str, value: Any) -> bool:
    parts = value if isinstance(value, (list, tuple)) else [value]
    found = key == 'init_cfg' and any(isinstance(part, dict) and part.get('type') == 'Pretrained' for part in parts)
    if found:
        print_log('the student is not initialised from its `init_cfg`: the checkpoint has its weights',
                  logger='current', level=logging.DEBUG)
    return found
