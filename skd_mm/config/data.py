"""The checks of the configs of data loaders."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry as root
from torch.utils.data import DataLoader

from .component import check_component
from .names import unknown_keys

_LOADER_KEYS = {*inspect.signature(DataLoader).parameters, 'num_batch_per_epoch'}


def check_loader(cfg: Any, path: str, scope: str | None) -> Iterator[str]:
    """Check a data loader with its data set, pipeline and sampler.

    Args:
        cfg: The config; one that is no dict is skipped.
        path: Its path, such as ``'train_dataloader'``.
        scope: The scope in which its types are looked up.

    Yields:
        Errors, each with its path.
    """
    if not isinstance(cfg, dict):
        return
    yield from unknown_keys(cfg, _LOADER_KEYS, path, 'a data loader')
    for key, least in (('batch_size', 1), ('num_workers', 0)):
        value = cfg.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            yield f'{path}.{key} must be an integer of at least {least}, not {value!r}'
    dataset, sampler = cfg.get('dataset'), cfg.get('sampler')
    if not isinstance(dataset, dict):
        yield f'{path}.dataset must be a dict with a `type`, not {dataset!r}'
        return
    yield from check_component(root.DATASETS, dataset, f'{path}.dataset', scope)
    yield from check_component(root.DATA_SAMPLERS, sampler, f'{path}.sampler', scope, single=True)


def check_unlabelled(cfg: Mapping[str, Any], scope: str | None) -> Iterator[str]:
    """Check ``unlabelled_dataloader``.

    Args:
        cfg: The whole config.
        scope: The scope in which types are looked up.

    Yields:
        Errors, each with its path.
    """
    path = 'unlabelled_dataloader'
    loader = cfg.get(path)
    if loader is None:
        return
    if 'schedule' not in cfg:
        yield f'{path} is used by the phases of a `schedule`, and the config has none'
    for key in loader:
        if key in _LOADER_KEYS - {'dataset'}:
            yield f'{path}.{key}: it takes `dataset` alone; everything else is that of train_dataloader'
    yield from unknown_keys({key: value for key, value in loader.items() if key not in _LOADER_KEYS}, ['dataset'], path,
                            'it')
    dataset = loader.get('dataset')
    if not isinstance(dataset, dict):
        yield f'{path}.dataset must be a dict with a `type`, not {dataset!r}'
        return
    yield from check_component(root.DATASETS, dataset, f'{path}.dataset', scope)
