"""Building a data set from its config, with errors that name the invalid part."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATASETS, TRANSFORMS

from skd_mm.utils import described


def build_dataset(cfg: Mapping[str, Any], path: str) -> Any:
    """Build a data set, and load its list of samples.

    Args:
        cfg: Its config, which is not changed.
        path: Its path in the whole config (``'train_dataloader.dataset'``), for messages.

    Returns:
        The data set.

    Raises:
        OSError: A file or folder is missing or cannot be read.
        ValueError: It cannot be built; the message names the invalid data set or transform and its arguments.
    """
    try:
        dataset = DATASETS.build(dict(cfg))
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except OSError as error:
        raise type(error)(f'{path}: {error}') from error
    except Exception as error:
        invalid, part = _find_invalid(cfg, path)
        raise ValueError(f'{invalid} ({described(part)}) cannot be built: {type(error).__name__}: {error}') from error
    return dataset


def _find_invalid(cfg: Mapping[str, Any], path: str) -> tuple[str, Mapping[str, Any]]:
    """Return the path and the config of the innermost part that cannot be built on its own."""
    parts = [(f'{path}.pipeline[{i}]', TRANSFORMS, step) for i, step in enumerate(cfg.get('pipeline') or ())]
    parts += [(f'{path}.datasets[{i}]', DATASETS, inner) for i, inner in enumerate(cfg.get('datasets') or ())]
    parts += [(f'{path}.dataset', DATASETS, cfg.get('dataset'))]
    for part_path, registry, part in parts:
        if isinstance(part, Mapping):
            try:
                registry.build(dict(part))
            except Exception:
                return _find_invalid(part, part_path)
    return path, cfg
