"""The check of a component: any part of a config that a registry builds from its ``type``."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry as root
from mmengine.registry import Registry

from skd_mm.engine.loops.phase_loop import LENGTHS, PhaseLoop
from skd_mm.tasks import PARTS

from .names import BUILDER_KEYS, find_class, known_arguments, misspelt, unknown_class, unknown_keys

# Keys that the builder of a registry takes, by the registry's name.
_BUILDER_ARGUMENTS: dict[str, set[str]] = {
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg', 'discriminator'},
    'hook': {'priority'},
    'parameter scheduler': {'convert_to_iter_based', 'by_epoch', 'begin', 'end'}}
# Keys whose values are components themselves, and the registry of each.
_PARTS: dict[str, dict[str, Registry]] = {
    'dataset': dict(dataset=root.DATASETS, datasets=root.DATASETS, pipeline=root.TRANSFORMS),
    'transform': dict(transforms=root.TRANSFORMS),
    'optim_wrapper': dict(optimizer=root.OPTIMIZERS),
    'evaluator': dict(metrics=root.METRICS),
    'visualizer': dict(vis_backends=root.VISBACKENDS),
    'model': dict.fromkeys(PARTS, root.MODELS)}
# The builders of layers take further arguments, so only their types are checked.
_LAYERS = ('norm_cfg', 'act_cfg', 'conv_cfg')


def check_component(registry: Registry, cfg: Any, path: str, scope: str | None, *, default: str | None = None,
                    typed: bool = True, single: bool = False) -> Iterator[str]:
    """Check the config of a component, or of a list of them, with all components inside it.

    Args:
        registry: The registry that builds it.
        cfg: The config. None, and objects that are built already, are skipped.
        path: Its path in the whole config.
        scope: The scope in which its types are looked up.
        default: The ``type`` if the config has none.
        typed: Whether a missing ``type`` without a default is an error. (Networks' parts are never reported, as some
            have a default of their own.)
        single: Refuse a list.

    Yields:
        Errors, each with its path.
    """
    if isinstance(cfg, list | tuple) and not single:
        for i, entry in enumerate(cfg):
            yield from check_component(registry, entry, f'{path}[{i}]', scope, default=default, typed=typed)
    elif isinstance(cfg, Mapping):
        name = cfg.get('type', default)
        if name is not None:
            yield from _check_mapping(registry, cfg, name, path, cfg.get('_scope_', scope))
        elif typed and (single or registry.name != 'model'):
            yield f'{path} has no `type`'
    elif isinstance(cfg, str | int | float | list | tuple):
        yield f'{path} must be a dict with a `type`, not {cfg!r}'


def _check_mapping(registry: Registry, cfg: Mapping[str, Any], name: Any, path: str,
                   scope: str | None) -> Iterator[str]:
    kind = find_class(registry, name, scope)
    if kind is None:
        yield unknown_class(registry, name, path, scope)
        return
    yield from _check_arguments(registry, cfg, kind, path)
    if registry.name == 'model':
        if isinstance(name, str) and '.' in name and '_scope_' not in cfg:
            scope = scope or name.partition('.')[0]
        yield from _check_network(registry, cfg, path, scope)
    pipeline = cfg.get('pipeline')
    for i, step in enumerate(pipeline if isinstance(pipeline, list | tuple) else ()):
        if not isinstance(step, Mapping) and not callable(step):
            yield f'{path}.pipeline[{i}] must be a dict with a `type`, not {step!r}'
    for key, part in _PARTS.get(registry.name, {}).items():
        yield from check_component(part, cfg.get(key), f'{path}.{key}', scope, single=key in ('dataset', 'optimizer'))


def _check_arguments(registry: Registry, cfg: Mapping[str, Any], kind: Any, path: str) -> Iterator[str]:
    known, complete = known_arguments(kind)
    if isinstance(kind, type) and issubclass(kind, PhaseLoop):
        known, complete = {*known, *LENGTHS}, True
    known = known | _BUILDER_ARGUMENTS.get(registry.name, set())
    if complete:
        yield from unknown_keys(cfg, known, path, f'a {kind.__name__}')
        return
    for key in cfg:
        meant = misspelt(key, known)
        if meant and key not in BUILDER_KEYS:
            yield f'{path}.{key}: a {kind.__name__} takes no {key!r}; did you mean {meant!r}?'


def _check_network(registry: Registry, cfg: Mapping[str, Any], path: str, scope: str | None) -> Iterator[str]:
    for key in ('train_cfg', 'test_cfg'):
        if cfg.get(key) is not None and not isinstance(cfg[key], Mapping):
            yield f'{path}.{key} must be a dict, not {cfg[key]!r}'
    for key in _LAYERS:
        layer = cfg.get(key)
        if isinstance(layer, Mapping) and find_class(registry, layer.get('type'), scope) is None:
            yield unknown_class(registry, layer.get('type'), f'{path}.{key}', scope)
