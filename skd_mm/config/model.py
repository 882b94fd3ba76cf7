"""The check of a distiller: student, teacher, spots and router."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry as root

from skd_mm.distillers import Distiller
from skd_mm.distillers.networks import network_config, whole_model
from skd_mm.registry import NETWORK_TRANSFORMS, SCOPE

from .component import check_component
from .names import unknown_keys
from .spots import check_spots

_KEYS = {*inspect.signature(Distiller).parameters} - {'unknown'}


def check_distiller(cfg: Mapping[str, Any], scope: str | None) -> Iterator[str]:
    """Check the config of a distiller.

    Args:
        cfg: ``model`` of the whole config.
        scope: The whole config's ``default_scope``.

    Yields:
        Errors, each with its path.
    """
    yield from unknown_keys(cfg, _KEYS, 'model', 'a Distiller')
    if cfg.get('student') is None:
        yield "model.student is missing: the network to train, such as dict(cfg='path/to/config.py')"
    for role in ('student', 'teacher'):
        if cfg.get(role) is not None:
            yield from _check_network(cfg[role], role, scope)
    yield from check_spots(cfg.get('spots', ()))
    yield from check_component(root.MODELS, cfg.get('router'), 'model.router', SCOPE, default='Router', single=True)


def _check_network(cfg: Any, role: str, scope: str | None) -> Iterator[str]:
    if not isinstance(cfg, Mapping):
        yield f"model.{role} must be a dict, such as dict(cfg='path/to/config.py'), not {cfg!r}"
        return
    try:
        model, own_scope = network_config(cfg, role)
    except (FileNotFoundError, KeyError) as error:
        yield str(error.args[0])
        return
    if role == 'teacher':
        model = whole_model(model, model.get('_scope_', own_scope or scope))
    yield from check_component(root.MODELS, model, f'model.{role}', own_scope or scope)
    yield from check_component(NETWORK_TRANSFORMS, cfg.get('transform'), f'model.{role}.transform', SCOPE)
