"""What is wrong with the names in a config, found before anything is built."""

import difflib
import importlib.util
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine import registry as root
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from skd_mm.distillers.networks import PARTS, network_config
from skd_mm.distillers.spot import KEYS as SPOT_KEYS
from skd_mm.engine.loops.phase_loop import LENGTHS, PhaseLoop
from skd_mm.registry import CONNECTORS, LOSSES, MEMORIES, MODELS, RECIPES, SCOPE
from skd_mm.schedules import Phase
from skd_mm.utils import did_you_mean

# What MMEngine's Runner reads beside its own arguments, and names that many configs use for their own ends.
_TOP = {*inspect.signature(Runner).parameters, 'schedule', 'prelude', 'strategy', 'runner_type',
        'custom_imports', 'model_wrapper_cfg', 'compile', 'activation_checkpointing', 'efficient_conv_bn_eval',
        'tta_model', 'tta_pipeline', 'vis_backends'}
_VARIABLES = {'train_pipeline', 'val_pipeline', 'test_pipeline', 'view_pipeline', 'gallery_dataloader',
              'query_dataloader', 'resume_from'}
_HOOKS = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint', 'visualization',
          'early_stopping'}
_DICTS = ('model', 'schedule', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper',
          'default_hooks', 'train_cfg', 'val_cfg', 'test_cfg', 'env_cfg', 'randomness', 'auto_scale_lr')
# What builders take out of a config before they call the class.
_BUILDER = {'type', '_scope_', '_delete_'}
_MORE: dict[str, set[str]] = {
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg', 'discriminator'}, 'hook': {'priority'},
    'parameter scheduler': {'convert_to_iter_based', 'by_epoch', 'begin', 'end'}}
# Where the parts of a thing are looked up, by the registry that the thing is in.
_PARTS: dict[str, dict[str, Registry]] = {
    'dataset': dict(dataset=root.DATASETS, datasets=root.DATASETS, pipeline=root.TRANSFORMS),
    'transform': dict(transforms=root.TRANSFORMS),
    'optim_wrapper': dict(optimizer=root.OPTIMIZERS),
    'evaluator': dict(metrics=root.METRICS),
    'visualizer': dict(vis_backends=root.VISBACKENDS),
    'model': dict.fromkeys(PARTS, root.MODELS)}
# Layers: their builders take further arguments, so that only their names are looked at.
_LAYERS = ('norm_cfg', 'act_cfg', 'conv_cfg')


class ConfigError(ValueError):
    """Names in a config that mean nothing."""


def check_config(cfg: Config) -> list[str]:
    """Refuses a config with keys and types that do not exist, before anything is built from it.

    Checked are the top-level keys, ``schedule``, ``model`` with its spots, the data loaders with their data sets and
    pipelines, optimizer, parameter schedulers, hooks, loops, metrics and logging. A class that is not this toolkit's
    and hands on any argument is asked for misspellings of its own arguments only. Top-level names that resemble none
    of MMEngine's are a config's own variables.

    Args:
        cfg: The config. It is not changed.

    Returns:
        What may be meant so in a config that is not of a distillation, one line a name: the model zoos have such.

    Raises:
        ConfigError: Something is wrong; one line a fault, with its path (``schedule.phase_epoch``) and the closest
            name that there is.
    """
    scope = list(_scope(cfg.get('default_scope')))
    if scope:
        raise ConfigError(scope[0])  # nothing else would be found
    top = list(_top_level(cfg))
    faults = [] if any(fault for fault in top if ' must be ' in fault) else list(_parts(cfg))
    model = cfg.get('model')
    ours = 'schedule' in cfg or (isinstance(model, Mapping) and str(model.get('type')).endswith('Distiller'))
    if ours:
        faults = top + faults
    if faults:
        raise ConfigError('\n'.join(dict.fromkeys(faults)))
    return [] if ours else top


def _scope(scope: Any) -> Iterator[str]:
    known = {'mmengine', 'mmseg', 'mmpretrain', *root.MODELS.children}
    if scope is None or (isinstance(scope, str) and scope in known):
        return
    if not isinstance(scope, str) or not scope.isidentifier() or importlib.util.find_spec(scope) is None:
        yield f'default_scope: there is no package {scope!r} to look names up in{did_you_mean(scope, sorted(known))}'


def _top_level(cfg: Config) -> Iterator[str]:
    for key in cfg:
        meant = None if key in _VARIABLES else _misspelt(key, _TOP)
        if meant:
            yield f'{key}: there is no such key; did you mean {meant!r}?'
    for key in _DICTS:
        if cfg.get(key) is not None and not isinstance(cfg[key], Mapping):
            yield f'{key} must be a dict, not {cfg[key]!r}'
    level = cfg.get('log_level', 'INFO')
    if not (isinstance(level, int) or (isinstance(level, str) and level in logging._nameToLevel)):
        yield f'log_level must be one of {list(logging._nameToLevel)}, not {level!r}'
    randomness = cfg.get('randomness')
    seed = randomness.get('seed') if isinstance(randomness, Mapping) else None
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        yield f'randomness.seed must be a whole number from 0 to {2**32 - 1}, or None for any, not {seed!r}'


def _parts(cfg: Config) -> Iterator[str]:
    """The faults below the top level."""
    scope = cfg.get('default_scope')
    model = cfg.get('model') or {}
    if str(model.get('type')) in (f'{SCOPE}.Distiller', 'Distiller'):
        yield from _distiller(model, scope)
    else:
        yield from _thing(root.MODELS, model, 'model', scope)
    if 'schedule' in cfg:
        yield from _schedule(cfg.schedule, cfg, scope)
    for split in ('train', 'val', 'test'):
        yield from _loader(cfg.get(f'{split}_dataloader'), f'{split}_dataloader', scope)
        loop = cfg.get(f'{split}_cfg')
        if isinstance(loop, Mapping) and 'type' in loop:
            yield from _thing(root.LOOPS, loop, f'{split}_cfg', scope)
        if split != 'train':
            evaluator = cfg.get(f'{split}_evaluator')
            if evaluator:
                whole = isinstance(evaluator, Mapping) and (
                    'metrics' in evaluator or 'Evaluator' in str(evaluator.get('type')))
                yield from _thing(root.EVALUATOR if whole else root.METRICS, evaluator, f'{split}_evaluator', scope,
                                  default='Evaluator' if whole else None)
    yield from _thing(root.OPTIM_WRAPPERS, cfg.get('optim_wrapper'), 'optim_wrapper', scope, default='OptimWrapper')
    yield from _schedulers(cfg.get('param_scheduler'), 'param_scheduler', scope)
    for name, hook in (cfg.get('default_hooks') or {}).items():
        meant = _misspelt(name, _HOOKS)
        if meant:
            yield f'default_hooks.{name}: there is no such hook; did you mean {meant!r}?'
        elif hook is not None:
            yield from _thing(root.HOOKS, hook, f'default_hooks.{name}', scope, single=True)
    yield from _thing(root.HOOKS, cfg.get('custom_hooks') or [], 'custom_hooks', scope)
    yield from _thing(root.VISUALIZERS, cfg.get('visualizer'), 'visualizer', scope, typed=False, single=True)
    yield from _thing(root.LOG_PROCESSORS, cfg.get('log_processor'), 'log_processor', scope, default='LogProcessor',
                      single=True)


def _schedulers(cfgs: Any, path: str, scope: str | None) -> Iterator[str]:
    if isinstance(cfgs, Mapping) and 'type' not in cfgs:  # one list an optimizer
        for name, part in cfgs.items():
            yield from _thing(root.PARAM_SCHEDULERS, part, f'{path}.{name}', scope)
    else:
        yield from _thing(root.PARAM_SCHEDULERS, cfgs, path, scope)


def _distiller(cfg: Mapping[str, Any], scope: str | None) -> Iterator[str]:
    from skd_mm.distillers import Distiller
    known = {*inspect.signature(Distiller).parameters} - {'unknown'}
    yield from _unknown(cfg, known, 'model', 'a Distiller')
    for role in ('student', 'teacher'):
        network = cfg.get(role)
        if network is None:
            if role == 'student':
                yield "model.student is missing: the network that learns, such as dict(cfg='path/to/config.py')"
            continue
        if not isinstance(network, Mapping):
            yield f"model.{role} must be a dict, such as dict(cfg='path/to/config.py'), not {network!r}"
            continue
        try:
            inner, inner_scope = network_config(network, role)
        except (FileNotFoundError, KeyError) as error:
            yield str(error.args[0])
            continue
        yield from _thing(root.MODELS, inner, f'model.{role}', inner_scope or scope)
    spots = cfg.get('spots', ())
    if isinstance(spots, str):
        if spots != 'backbone':
            yield f"model.spots must be a list of spots, or 'backbone', not {spots!r}"
    elif not isinstance(spots, list | tuple):
        yield f'model.spots must be a list of spots, not {spots!r}'
    else:
        for i, spot in enumerate(spots):
            yield from _spot(spot, f'model.spots[{i}]')
    if cfg.get('router') is not None:
        yield from _thing(root.MODELS, cfg['router'], 'model.router', SCOPE, default='Router', single=True)


def _spot(spot: Any, path: str) -> Iterator[str]:
    if isinstance(spot, str):
        return
    if not isinstance(spot, Mapping):
        yield f'{path} must be the name of a module or a dict, not {spot!r}'
        return
    yield from _unknown(spot, SPOT_KEYS, path, 'a spot')
    if not isinstance(spot.get('name', ''), str):
        yield f'{path}.name must be a text, not {spot["name"]!r}'
    for side in ('student', 'teacher'):
        modules = spot.get(side, '')
        if not (isinstance(modules, str) or (isinstance(modules, list | tuple) and modules and all(
                isinstance(module, str) for module in modules))):
            yield f'{path}.{side} must be the name of a module, or a list of names, not {modules!r}'
    for key, registry in (('loss', LOSSES), ('memory', MEMORIES), ('discriminator', MODELS), ('connector', CONNECTORS),
                          ('teacher_connector', CONNECTORS), ('teacher_decoder', CONNECTORS)):
        if spot.get(key) is not None and not (registry is CONNECTORS and spot[key] == 'auto'):
            yield from _thing(registry, spot[key], f'{path}.{key}', SCOPE, single=registry is not CONNECTORS)


def _schedule(cfg: Any, whole: Config, scope: str | None) -> Iterator[str]:
    kind = _find(RECIPES, cfg.get('type'), SCOPE)
    if kind is None:
        yield _no_such(RECIPES, cfg.get('type'), 'schedule', SCOPE)
        return
    settings = set(Phase.settings())
    shared = settings - {'name', 'train', 'spots', 'task', 'epochs', 'iters'}
    arguments, _ = _arguments(kind)
    yield from _unknown(cfg, (arguments | shared) - {'common', 'kwargs'}, 'schedule', f'a {kind.__name__} schedule')
    single = [(f'schedule.overrides.{name}', phase) for name, phase in _items(cfg.get('overrides'))]
    single += [(f'schedule.phases[{i}]', phase) for i, phase in enumerate(cfg.get('phases') or ())]
    single += [('schedule.head', cfg['head'])] if cfg.get('head') is not None and 'head' in arguments else []
    for path, phase in single:
        if not isinstance(phase, Mapping):
            yield f'{path} must be a dict, not {phase!r}'
            continue
        yield from _unknown(phase, settings, path, 'a phase')
    base = whole.get('optim_wrapper') or {}
    for path, part in [('schedule', cfg), *single]:
        if isinstance(part, Mapping) and isinstance(part.get('optim_wrapper'), Mapping):
            # It is merged into the config's own, whose types it keeps.
            optimizer = part['optim_wrapper'].get('optimizer')
            merged = dict(part['optim_wrapper'])
            if isinstance(optimizer, Mapping):
                merged['optimizer'] = {'type': (base.get('optimizer') or {}).get('type'), **optimizer}
            yield from _thing(root.OPTIM_WRAPPERS, {'type': base.get('type', 'OptimWrapper'), **merged},
                              f'{path}.optim_wrapper', scope)
        if isinstance(part, Mapping) and part.get('param_scheduler') is not None:
            yield from _schedulers(part['param_scheduler'], f'{path}.param_scheduler', scope)


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _loader(cfg: Any, path: str, scope: str | None) -> Iterator[str]:
    if not isinstance(cfg, Mapping):
        return
    known = {*inspect.signature(DataLoader).parameters, 'num_batch_per_epoch'}
    yield from _unknown(cfg, known, path, 'a data loader')
    for key, least in (('batch_size', 1), ('num_workers', 0)):
        value = cfg.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            yield f'{path}.{key} must be a whole number from {least} on, not {value!r}'
    if not isinstance(cfg.get('dataset'), Mapping):
        yield f'{path}.dataset must be a dict with a `type`, not {cfg.get("dataset")!r}'
        return
    yield from _thing(root.DATASETS, cfg.get('dataset'), f'{path}.dataset', scope)
    if cfg.get('sampler') is not None and not isinstance(cfg['sampler'], Mapping):
        yield f'{path}.sampler must be a dict with a `type`, not {cfg["sampler"]!r}'
    yield from _thing(root.DATA_SAMPLERS, cfg.get('sampler'), f'{path}.sampler', scope)


def _thing(registry: Registry, cfg: Any, path: str, scope: str | None, default: str | None = None,
           typed: bool = True, single: bool = False) -> Iterator[str]:
    """The faults of a config that something is built from, or of a list of such, and of its parts."""
    if isinstance(cfg, list | tuple):
        if single:
            yield f'{path} must be a dict with a `type`, not {cfg!r}'
            return
        for i, entry in enumerate(cfg):
            yield from _thing(registry, entry, f'{path}[{i}]', scope, default, typed)
        return
    if cfg is None or isinstance(cfg, Hook):
        return
    if not isinstance(cfg, Mapping):
        if isinstance(cfg, str | int | float):
            yield f'{path} must be a dict with a `type`, not {cfg!r}'
        return  # an object that has been built
    kind_name = cfg.get('type', default)
    scope = cfg.get('_scope_', scope)
    if kind_name is None:
        # A data preprocessor, and some parts of networks, have a default of their own.
        if typed and (single or registry.name != 'model'):
            yield f'{path} has no `type`'
        return
    kind = _find(registry, kind_name, scope)
    if kind is None:
        yield _no_such(registry, kind_name, path, scope)
        return
    known, closed = _arguments(kind)
    if isinstance(kind, type) and issubclass(kind, PhaseLoop):
        known, closed = {*known, *LENGTHS}, True
    known = known | _MORE.get(registry.name, set())
    if closed:
        yield from _unknown(cfg, known, path, f'a {kind.__name__}')
    else:
        for key in cfg:
            meant = None if key in _BUILDER else _misspelt(key, known)
            if meant:
                yield f'{path}.{key}: a {kind.__name__} takes no {key!r}; did you mean {meant!r}?'
    if isinstance(kind_name, str) and '.' in kind_name and registry.name == 'model' and '_scope_' not in cfg:
        scope = scope or kind_name.partition('.')[0]
    for key in ('train_cfg', 'test_cfg') if registry.name == 'model' else ():
        if cfg.get(key) is not None and not isinstance(cfg[key], Mapping):
            yield f'{path}.{key} must be a dict, not {cfg[key]!r}'
    for key in _LAYERS if registry.name == 'model' else ():
        layer = cfg.get(key)
        if isinstance(layer, Mapping) and _find(registry, layer.get('type'), scope) is None:
            yield _no_such(registry, layer.get('type'), f'{path}.{key}', scope)
    pipeline = cfg.get('pipeline')
    for i, step in enumerate(pipeline if isinstance(pipeline, list | tuple) else ()):
        if not isinstance(step, Mapping) and not callable(step):
            yield f'{path}.pipeline[{i}] must be a dict with a `type`, not {step!r}'
    for key, part in _PARTS.get(registry.name, {}).items():
        if cfg.get(key) is not None:
            yield from _thing(part, cfg[key], f'{path}.{key}', scope, single=key in ('dataset', 'optimizer'))


def _find(registry: Registry, kind: Any, scope: str | None) -> Any:
    """The class of a name; what is no name is taken for a class."""
    if not isinstance(kind, str) or not kind:
        return kind if callable(kind) else None
    if registry.scope == SCOPE:
        return registry.get(kind.rpartition('.')[2]) if kind.rpartition('.')[0] in ('', SCOPE) else None
    with registry.switch_scope_and_registry(scope) as inner:
        return inner.get(kind)


def _no_such(registry: Registry, kind: Any, path: str, scope: str | None) -> str:
    if registry.scope == SCOPE:
        names = list(registry.module_dict)
    else:
        with registry.switch_scope_and_registry(scope) as inner:
            names = [*inner.module_dict, *registry.module_dict]
            names += [f'{SCOPE}.{name}' for name in (registry.children.get(SCOPE) or registry).module_dict]
    hint = did_you_mean(kind, sorted(set(names))) if isinstance(kind, str) else ''
    if scope is None:
        hint += '; the config has no `default_scope`, in which to look for more'
    return f'{path}.type: there is no {registry.name} {kind!r}{hint}'


def _arguments(kind: Any) -> tuple[set[str], bool]:
    """The names of the arguments of a class, those that it hands on to its bases included, and whether that is all."""
    known: set[str] = set()
    for one in inspect.getmro(kind) if inspect.isclass(kind) else [kind]:
        if inspect.isclass(one) and '__init__' not in vars(one):
            continue
        try:
            parameters = inspect.signature(one.__init__ if inspect.isclass(one) else one).parameters.values()
        except (TypeError, ValueError):
            return known, False
        known |= {parameter.name for parameter in parameters
                  if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            ours = kind.__module__.partition('.')[0] in (SCOPE, 'torch', 'mmengine')
            own = '__init__' in vars(kind) if inspect.isclass(kind) else True
            # Who hands arguments on may hand them to somebody else than a base.
            return known - {'self'}, ours or (own and one is kind) or not own
    return known - {'self'}, False


def _unknown(cfg: Mapping[str, Any], known: Iterable[str], path: str, what: str) -> Iterator[str]:
    known = [key for key in known if key not in ('self', 'args', 'kwargs')]
    for key in cfg:
        if key not in known and key not in _BUILDER:
            yield (f'{path}.{key}: {what} takes no {key!r}'
                   f'{did_you_mean(key, known) or f" (it takes {sorted(known)})"}')


def _misspelt(name: str, known: Iterable[str]) -> str | None:
    """The known name that another one, which is not known, must have been meant for."""
    known = set(known)
    if name in known or not isinstance(name, str):
        return None
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.84)
    close += [other for other in known if sorted(other) == sorted(name.lower())]
    return close[0] if close else None
