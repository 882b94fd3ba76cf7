"""Labelled and unlabelled samples as one data set."""

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.dataset import ConcatDataset
from torch.utils.data import ConcatDataset as TorchConcatDataset

from skd_mm.utils import UNLABELLED

# Transforms that make or load labels alone.
_OF_LABELS = ('LoadAnnotations', 'LoadPanopticAnnotations', 'FilterAnnotations', 'GenerateEdge')
_LOADERS = ('LoadImageFromFile', 'LoadImageFromNDArray')


class PartlyLabelled(ConcatDataset):
    """A labelled data set followed by an unlabelled one.

    The samples of the second one carry the mark ``skd_mm_unlabelled``, and no labels even if that data set has some.

    Args:
        labelled: The labelled data set, whose meta information is that of both.
        unlabelled: The other one.
        remove_labels: Removes the labels of a data sample in place, see :meth:`skd_mm.tasks.Task.remove_labels`.
    """

    def __init__(self, labelled: Any, unlabelled: Any, remove_labels: Callable[[Any], None]) -> None:
        # MMEngine's own constructor wants the same meta information of both.
        TorchConcatDataset.__init__(self, [labelled, unlabelled])
        self._metainfo = dict(getattr(labelled, 'metainfo', None) or {})
        self._fully_initialized = True
        self.remove_labels = remove_labels
        self.first_unlabelled = len(labelled)

    def __getitem__(self, index: int) -> Any:
        """Return a sample; negative indices are not supported."""
        sample = super().__getitem__(index)
        if index >= self.first_unlabelled and isinstance(sample, dict) and 'data_samples' in sample:
            self.remove_labels(sample['data_samples'])
            sample['data_samples'].set_metainfo({UNLABELLED: True})
        return sample


def unlabelled_config(cfg: Mapping[str, Any], labelled: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of an unlabelled data set with its pipeline.

    Args:
        cfg: ``unlabelled_dataloader.dataset``.
        labelled: ``train_dataloader.dataset``, whose pipeline is used, without the transforms that need labels, if
            ``cfg`` has none.

    Returns:
        The config with a ``pipeline``.

    Raises:
        ValueError: ``cfg`` has no pipeline, and that of the training data does not read images from files.
    """
    if 'pipeline' in cfg:
        return dict(cfg)
    pipeline = _find_pipeline(labelled)
    if str(cfg.get('type')).rpartition('.')[2] == 'UnlabelledDataset' and not any(
            _name(step) in _LOADERS for step in pipeline):
        raise ValueError('unlabelled_dataloader.dataset has no `pipeline`, and the one of train_dataloader.dataset '
                         "does not read images from files: give one, beginning with dict(type='LoadImageFromFile')")
    return dict(cfg, pipeline=without_labels(pipeline))


def without_labels(pipeline: list[Any]) -> list[Any]:
    """Return a pipeline without the transforms that need labels.

    Args:
        pipeline: Configs of transforms.

    Returns:
        The same for images alone: labels are not loaded, and a crop does not look at the classes in it
        (``cat_max_ratio``).
    """
    kept = []
    for step in pipeline:
        if _name(step) in _OF_LABELS:
            continue
        if isinstance(step, Mapping) and 'cat_max_ratio' in step:
            step = {key: value for key, value in step.items() if key != 'cat_max_ratio'}
        kept.append(step)
    return kept


def _name(step: Any) -> str:
    kind = step.get('type') if isinstance(step, Mapping) else type(step)
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def _find_pipeline(cfg: Mapping[str, Any]) -> list[Any]:
    """Return the pipeline of a data set, or of the first one in a wrapper."""
    while 'pipeline' not in cfg:
        inner = cfg.get('dataset') or next(iter(cfg.get('datasets') or ()), None)
        if not isinstance(inner, Mapping):
            return []
        cfg = inner
    return list(cfg['pipeline'])
