"""The check of spots: modules, losses, connectors, memories and discriminators."""

from collections.abc import Iterator, Mapping
from typing import Any

from skd_mm.distillers.spot_configs import KEYS
from skd_mm.losses import SpotLoss
from skd_mm.registry import CONNECTORS, LOSSES, MEMORIES, MODELS, SCOPE

from .component import check_component
from .names import find_class, unknown_keys

_COMPONENTS = {'memory': MEMORIES, 'discriminator': MODELS, 'connector': CONNECTORS,
               'teacher_connector': CONNECTORS, 'teacher_decoder': CONNECTORS, 'input_connector': CONNECTORS}


def check_spots(cfg: Any) -> Iterator[str]:
    """Check ``model.spots``.

    Args:
        cfg: A list of spots, or ``'backbone'``.

    Yields:
        Errors, each with its path.
    """
    if isinstance(cfg, str):
        if cfg != 'backbone':
            yield f"model.spots must be a list of spots, or 'backbone', not {cfg!r}"
    elif not isinstance(cfg, list | tuple):
        yield f'model.spots must be a list of spots, not {cfg!r}'
    else:
        for i, spot in enumerate(cfg):
            yield from _check_spot(spot, f'model.spots[{i}]')


def _check_spot(cfg: Any, path: str) -> Iterator[str]:
    if isinstance(cfg, str):
        return
    if not isinstance(cfg, Mapping):
        yield f'{path} must be the name of a module or a dict, not {cfg!r}'
        return
    yield from unknown_keys(cfg, KEYS, path, 'a spot')
    if not isinstance(cfg.get('name', ''), str):
        yield f'{path}.name must be a string, not {cfg["name"]!r}'
    yield from _check_place(cfg, path)
    for key, registry in _COMPONENTS.items():
        is_auto = registry is CONNECTORS and cfg.get(key) == 'auto'
        if not is_auto:
            yield from check_component(registry, cfg.get(key), f'{path}.{key}', SCOPE,
                                       single=registry is not CONNECTORS)
    losses = cfg.get('loss')
    if not isinstance(losses, list | tuple):
        yield from _check_loss(losses, f'{path}.loss')
        return
    if not losses:
        yield f'{path}.loss is an empty list'
    for i, loss in enumerate(losses):
        if isinstance(loss, Mapping):
            loss = {key: value for key, value in loss.items() if key not in ('name', 'weight')}
        yield from _check_loss(loss, f'{path}.loss[{i}]')


def _check_place(cfg: Mapping[str, Any], path: str) -> Iterator[str]:
    """Check where a spot is."""
    for side in ('student', 'teacher'):
        if not _names_modules(cfg.get(side, '')):
            yield f'{path}.{side} must be the name of a module, or a list of names, not {cfg[side]!r}'
    if cfg.get('head_feature', True) is not True:
        yield f'{path}.head_feature must be True, not {cfg["head_feature"]!r}'


def _names_modules(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(name, str) for name in value)
    return isinstance(value, str)


def _check_loss(cfg: Any, path: str) -> Iterator[str]:
    """Check a loss, and that it has the interface of :class:`SpotLoss`."""
    yield from check_component(LOSSES, cfg, path, SCOPE, single=True)
    kind = find_class(LOSSES, cfg.get('type'), SCOPE) if isinstance(cfg, Mapping) else None
    if isinstance(kind, type) and not issubclass(kind, SpotLoss):
        yield (f'{path}.type: {kind.__name__} is a {kind.__bases__[0].__name__} and no loss of a spot: derive it from '
               'skd_mm.losses.SpotLoss and implement `compare(student, teacher)`, which returns one value per sample')
