"""Building a data set from its config, with the part that is at fault where it cannot be built."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATASETS, TRANSFORMS

from skd_mm.utils import described


def build_dataset(cfg: Mapping[str, Any], path: str) -> Any:
    """Builds a data set, and lets it look for its files.

    Args:
        cfg: Its config; it is not changed.
        path: Where in the whole config it stands (``'train_dataloader.dataset'``), for messages.

    Returns:
        The data set.

    Raises:
        OSError: A file or folder is not there, or cannot be read.
        ValueError: It cannot be built; the message names the data set or the transform at fault, and what it was given.
    """
    try:
        dataset = DATASETS.build(dict(cfg))
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except OSError as error:
        raise type(error)(f'{path}: {error}') from error
    except Exception as error:
        place, part = _at_fault(cfg, path)
        raise ValueError(f'{place} ({described(part)}) cannot be built: {type(error).__name__}: {error}') from error
    return dataset


def _at_fault(cfg: Mapping[str, Any], path: str) -> tuple[str, Mapping[str, Any]]:
    """The innermost part of a data set's config that cannot be built by itself."""
    parts = [(f'{path}.pipeline[{i}]', TRANSFORMS, step) for i, step in enumerate(cfg.get('pipeline') or ())]
    parts += [(f'{path}.datasets[{i}]', DATASETS, inner) for i, inner in enumerate(cfg.get('datasets') or ())]
    parts += [(f'{path}.dataset', DATASETS, cfg.get('dataset'))]
    for place, registry, part in parts:
        if isinstance(part, Mapping):
            try:
                registry.build(dict(part))
            except Exception:
                return _at_fault(part, place)
    return path, cfg
