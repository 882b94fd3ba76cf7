"""The checks of what the Runner reads: top-level keys, loops, evaluators, hooks and logging."""

import importlib.util
import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry as root
from mmengine.config import Config
from mmengine.runner import Runner

from skd_mm.utils import did_you_mean

from .component import check_component
from .names import find_class, misspelt

# The Runner's arguments and what else MMEngine and this toolkit read at the top of a config.
TOP_LEVEL = {*inspect.signature(Runner).parameters, 'schedule', 'prelude', 'unlabelled_dataloader', 'strategy',
             'runner_type', 'custom_imports', 'model_wrapper_cfg', 'compile', 'activation_checkpointing',
             'efficient_conv_bn_eval', 'tta_model', 'tta_pipeline', 'vis_backends'}
# Names of variables in the model zoos that resemble them.
_VARIABLES = {'train_pipeline', 'val_pipeline', 'test_pipeline', 'view_pipeline', 'gallery_dataloader',
              'query_dataloader', 'resume_from'}
_SECTIONS = ('model', 'schedule', 'train_dataloader', 'unlabelled_dataloader', 'val_dataloader', 'test_dataloader',
             'optim_wrapper', 'default_hooks', 'train_cfg', 'val_cfg', 'test_cfg', 'env_cfg', 'randomness',
             'auto_scale_lr')
_DEFAULT_HOOKS = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint', 'visualization',
                  'early_stopping'}
# The package that each visualization backend imports when it writes for the first time.
_BACKEND_PACKAGES = {
    'TensorboardVisBackend': 'tensorboard', 'WandbVisBackend': 'wandb', 'MLflowVisBackend': 'mlflow',
    'ClearMLVisBackend': 'clearml', 'NeptuneVisBackend': 'neptune', 'DVCLiveVisBackend': 'dvclive',
    'AimVisBackend': 'aim'}

_EXAMPLES = {key: f'; for example {key} = {value}' for key, value in dict(
    train_cfg="dict(type='IterBasedTrainLoop', max_iters=80000)", val_cfg="dict(type='ValLoop')",
    test_cfg="dict(type='TestLoop')", optim_wrapper="dict(optimizer=dict(type='SGD', lr=0.01))").items()}


def check_scope(scope: Any) -> Iterator[str]:
    """Check ``default_scope``.

    Args:
        scope: Its value.

    Yields:
        The error, if no package of that name can be imported.
    """
    known = {'mmengine', 'mmseg', 'mmpretrain', *root.MODELS.children}
    if scope is None or (isinstance(scope, str) and scope in known):
        return
    if not isinstance(scope, str) or not scope.isidentifier() or importlib.util.find_spec(scope) is None:
        yield f'default_scope: there is no package {scope!r} to look names up in{did_you_mean(scope, sorted(known))}'


def check_top_level(cfg: Config) -> Iterator[str]:
    """Check the names at the top of a config.

    Args:
        cfg: The whole config.

    Yields:
        An error for each name that closely resembles one of MMEngine's.
    """
    for key in cfg:
        meant = None if key in _VARIABLES else misspelt(key, TOP_LEVEL)
        if meant:
            yield f'{key}: there is no such key; did you mean {meant!r}?'


def check_sections(cfg: Config) -> Iterator[str]:
    """Check the kinds of the values at the top of a config, without looking into them.

    Args:
        cfg: The whole config.

    Yields:
        Errors.
    """
    for key in _SECTIONS:
        if cfg.get(key) is not None and not isinstance(cfg[key], Mapping):
            yield f'{key} must be a dict, not {cfg[key]!r}'
    level = cfg.get('log_level', 'INFO')
    if not isinstance(level, int) and level not in logging._nameToLevel:
        yield f'log_level must be one of {list(logging._nameToLevel)}, not {level!r}'
    randomness = cfg.get('randomness')
    seed = randomness.get('seed') if isinstance(randomness, Mapping) else None
    is_seed = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32
    if seed is not None and not is_seed:
        yield f'randomness.seed must be an integer from 0 to {2**32 - 1}, or None for a random one, not {seed!r}'


def check_loops(cfg: Config, scope: str | None) -> Iterator[str]:
    """Check the loops, and that the config has either all keys that a loop needs or none of them.

    Args:
        cfg: The whole config.
        scope: Its ``default_scope``.

    Yields:
        Errors, each with its path.
    """
    for split, other in (('train', 'optim_wrapper'), ('val', 'val_evaluator'), ('test', 'test_evaluator')):
        loop = cfg.get(f'{split}_cfg')
        if isinstance(loop, Mapping) and 'type' in loop:
            yield from check_component(root.LOOPS, loop, f'{split}_cfg', scope)
        keys = [f'{split}_dataloader', f'{split}_cfg', other]
        if split == 'train' and 'schedule' in cfg:
            keys.remove('train_cfg')  # a schedule brings its own loop
        missing = [key for key in keys if cfg.get(key) is None]
        if missing and len(missing) < len(keys):
            present = [key for key in keys if key not in missing]
            yield (f'{missing[0]} is missing, which {" and ".join(present)} cannot be used without'
                   f'{_EXAMPLES.get(missing[0], "")}')


def check_evaluators(cfg: Config, scope: str | None) -> Iterator[str]:
    """Check ``val_evaluator`` and ``test_evaluator``.

    Args:
        cfg: The whole config.
        scope: Its ``default_scope``.

    Yields:
        Errors, each with its path.
    """
    for key in ('val_evaluator', 'test_evaluator'):
        evaluator = cfg.get(key)
        if not evaluator:
            continue
        is_whole = isinstance(evaluator, Mapping) and (
            'metrics' in evaluator or 'Evaluator' in str(evaluator.get('type')))
        if is_whole:
            yield from check_component(root.EVALUATOR, evaluator, key, scope, default='Evaluator')
        else:
            yield from check_component(root.METRICS, evaluator, key, scope)


def check_hooks(cfg: Config, scope: str | None) -> Iterator[str]:
    """Check ``default_hooks`` and ``custom_hooks``.

    Args:
        cfg: The whole config.
        scope: Its ``default_scope``.

    Yields:
        Errors, each with its path.
    """
    for name, hook in (cfg.get('default_hooks') or {}).items():
        meant = misspelt(name, _DEFAULT_HOOKS)
        if meant:
            yield f'default_hooks.{name}: there is no such hook; did you mean {meant!r}?'
        else:
            yield from check_component(root.HOOKS, hook, f'default_hooks.{name}', scope, single=True)
    yield from check_component(root.HOOKS, cfg.get('custom_hooks') or [], 'custom_hooks', scope)


def check_visualizer(cfg: Any, scope: str | None) -> Iterator[str]:
    """Check the visualizer, and that the packages of its backends are installed.

    Args:
        cfg: ``visualizer`` of the config.
        scope: The config's ``default_scope``.

    Yields:
        Errors, each with its path.
    """
    yield from check_component(root.VISUALIZERS, cfg, 'visualizer', scope, typed=False, single=True)
    backends = cfg.get('vis_backends') if isinstance(cfg, Mapping) else None
    for i, backend in enumerate(backends if isinstance(backends, list | tuple) else ()):
        kind = find_class(root.VISBACKENDS, backend.get('type'), scope) if isinstance(backend, Mapping) else None
        name = getattr(kind, '__name__', '')
        package = _BACKEND_PACKAGES.get(name)
        if package and importlib.util.find_spec(package) is None:
            yield (f'visualizer.vis_backends[{i}]: a {name} needs the package {package}, which is not '
                   f'installed: pip install {package}')
