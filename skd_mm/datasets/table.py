"""Tables of scikit-learn, for distillation without images."""

from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from skd_mm.registry import DATASETS
from skd_mm.utils import derive_seed, did_you_mean

_TABLES = ('breast_cancer', 'digits', 'iris', 'wine')


@DATASETS.register_module()
class SklearnTable(BaseDataset):
    """Rows of one of scikit-learn's small tables with their classes, without a download.

    A row is an image of one pixel with a channel for each column, so that pipelines and models for images apply.
    Columns are standardised with the statistics of the training rows. Every fourth row of each class, in a seeded
    random order, belongs to the test split.

    Args:
        table: ``'breast_cancer'`` (30 columns, 2 classes), ``'digits'`` (64, 10), ``'iris'`` (4, 3) or ``'wine'``
            (13, 3).
        split: ``'train'`` or ``'test'``. Defaults to ``'train'``.
        seed: Seed of the split. Defaults to 0.
        **kwargs: Arguments of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: The table or the split is unknown.

    Example:
        >>> train_dataloader = dict(dataset=dict(type='skd_mm.SklearnTable', table='wine', split='train'))
    """

    def __init__(self, table: str, split: str = 'train', seed: int = 0, **kwargs: Any) -> None:
        for key, value, choices in (('table', table, _TABLES), ('split', split, ('train', 'test'))):
            if value not in choices:
                raise ValueError(f'SklearnTable: `{key}` must be one of {choices}, not {value!r}'
                                 f'{did_you_mean(value, choices)}')
        try:
            from sklearn import datasets
        except ImportError as error:
            raise ImportError('SklearnTable needs scikit-learn: pip install scikit-learn') from error
        self.table = getattr(datasets, f'load_{table}')()
        self.split = split
        self.seed = seed
        super().__init__(ann_file='', metainfo=dict(classes=tuple(map(str, self.table.target_names))), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return the rows of the split."""
        classes = self.table.target
        order = np.random.RandomState(derive_seed('table', self.seed)).permutation(len(classes))
        rank = np.zeros(len(classes), int)
        for k in np.unique(classes):
            rank[order[classes[order] == k]] = np.arange((classes == k).sum())
        train = rank % 4 != 3
        rows = self.table.data
        rows = (rows - rows[train].mean(0)) / np.maximum(rows[train].std(0), 1e-6)
        chosen = np.flatnonzero(train if self.split == 'train' else ~train)
        return [dict(img=rows[i].astype(np.float32)[None, None], gt_label=int(classes[i])) for i in chosen]
