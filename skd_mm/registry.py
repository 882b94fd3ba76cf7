"""The registries of skd_mm: children of MMEngine's under the scope ``skd_mm``.

A class registered here is named ``skd_mm.<Name>`` in any OpenMMLab config, whatever the config's ``default_scope`` is.
Inside the toolkit's own keys (``spots``, ``schedule`` …) the prefix may be left out: they are built with :func:`build`.
"""

import inspect
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

from skd_mm.utils import described, did_you_mean

SCOPE = 'skd_mm'


def _child(parent: Registry, *rooms: str) -> Registry:
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=[f'{SCOPE}.{room}' for room in rooms])


MODELS = _child(mmengine_registry.MODELS, 'models', 'distillers', 'routing')
LOSSES = Registry('loss', scope=SCOPE, locations=[f'{SCOPE}.losses'])
CONNECTORS = Registry('connector', scope=SCOPE, locations=[f'{SCOPE}.connectors'])
MEMORIES = Registry('memory', scope=SCOPE, locations=[f'{SCOPE}.memories'])
NETWORK_TRANSFORMS = Registry('network transform', scope=SCOPE, locations=[f'{SCOPE}.deploy'])
ENCODINGS = Registry('encoding', scope=SCOPE, locations=[f'{SCOPE}.features.cache.encoding'])
RECIPES = Registry('recipe', scope=SCOPE, locations=[f'{SCOPE}.schedules'])
DATASETS = _child(mmengine_registry.DATASETS, 'datasets')
TRANSFORMS = _child(mmengine_registry.TRANSFORMS, 'datasets')
METRICS = _child(mmengine_registry.METRICS, 'evaluation')
HOOKS = _child(mmengine_registry.HOOKS, 'engine', 'deploy')
LOOPS = _child(mmengine_registry.LOOPS, 'engine')
LOG_PROCESSORS = _child(mmengine_registry.LOG_PROCESSORS, 'engine')
OPTIM_WRAPPERS = _child(mmengine_registry.OPTIM_WRAPPERS, 'engine')
PARAM_SCHEDULERS = _child(mmengine_registry.PARAM_SCHEDULERS, 'engine')


def build(registry: Registry, cfg: dict, **defaults: Any) -> Any:
    """Builds ``cfg`` from one of the registries above, names without a prefix being this toolkit's.

    Args:
        registry: The registry to look the type up in.
        cfg: A config with the key ``type``; it is not changed.
        **defaults: Arguments used where ``cfg`` does not give them.

    Returns:
        The object.

    Raises:
        ValueError: The type does not exist, or takes no argument of a name in ``cfg``; the closest names are given. Or
            it cannot be built of what it is given.
    """
    kind = cfg.get('type')
    if isinstance(kind, str) and kind.rpartition('.')[0] in ('', SCOPE):
        found = registry.get(kind.rpartition('.')[2])
        if found is None:
            names = list(registry.module_dict)
            raise ValueError(f'there is no {registry.name} {kind!r}{did_you_mean(kind, names)} (there are {names})')
        known = inspect.signature(found).parameters
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in known.values()):
            for key in cfg.keys() - known.keys() - {'type', '_scope_'}:
                raise ValueError(f'{registry.name} {kind} takes no {key!r}{did_you_mean(key, known)} '
                                 f'(it takes {list(known)})')
    try:
        return registry.build(dict(cfg, _scope_=cfg.get('_scope_', SCOPE)), default_args=defaults)
    except (AttributeError, IndexError, RuntimeError, TypeError) as error:
        # What a class says by itself names the argument; these are of what it calls.
        what = f'{registry.name} {described(cfg)}'
        raise ValueError(f'{what} cannot be built: {type(error).__name__}: {error}') from error
