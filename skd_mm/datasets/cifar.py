"""CIFAR-10 and CIFAR-100, also in part, and without an unrequested download."""

import pickle
from typing import Any

from mmengine.fileio import exists, join_path
from mmpretrain.datasets import cifar

from skd_mm.registry import DATASETS
from skd_mm.utils import did_you_mean


@DATASETS.register_module()
class CIFAR10(cifar.CIFAR10):
    """mmpretrain's CIFAR-10 with an optional check of the files.

    mmpretrain compares the files with the official md5 sums and downloads them again if they differ, so a part of the
    data set in the same (python) layout cannot be used. Here, both the check and the download are optional.

    The files are pickles, and loading them executes code from them: keep the check for files of uncertain origin.

    Args:
        data_root: Folder of ``cifar-10-batches-py``.
        split: ``'train'`` or ``'test'``. Defaults to ``'train'``.
        check_md5: Whether the files must be those of the official release. Defaults to True.
        download: Whether to download them otherwise. Defaults to False.
        **kwargs: Further arguments of mmpretrain's ``CIFAR10``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not the official one but must be, is truncated or not a part of CIFAR, or a label is
            outside the classes. The message names the file.
    """

    def __init__(self,
                 data_root: str = '',
                 split: str = 'train',
                 check_md5: bool = True,
                 download: bool = False,
                 **kwargs: Any) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split={split!r} is neither 'train' nor 'test'{did_you_mean(split, ('train', 'test'))}")
        self.check_md5 = check_md5
        super().__init__(data_root=data_root, split=split, download=download, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Load images and labels."""
        files = ' and '.join(name for name, _ in (self.train_list if self.split == 'train' else self.test_list))
        folder = join_path(self.data_prefix['root'], self.base_folder)
        try:
            data_list = super().load_data_list()
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise ValueError(f'{folder}: {files} is truncated or not a part of {type(self).__name__}: '
                             f'{error!r}') from error
        outside = sorted({info['gt_label'] for info in data_list} - set(range(len(self.CLASSES))))
        if outside:
            raise ValueError(f'{folder}: {files} has labels outside the {len(self.CLASSES)} classes: {outside[:5]}')
        return data_list

    def _check_integrity(self) -> bool:
        """Return whether the files are valid; mmpretrain downloads them if not. Raise an error without ``download``."""
        root = self.data_prefix['root']
        for name, md5 in self.train_list + self.test_list:
            path = join_path(root, self.base_folder, name)
            if not exists(path):
                error: Exception = FileNotFoundError(
                    f'there is no file {path!r}: {type(self).__name__} is read from {self.base_folder!r} in data_root='
                    f'{root!r}. Get it from {self.url}, or set download=True')
            elif self.check_md5 and not cifar.check_md5(path, md5):
                error = ValueError(f'{path!r} is not that of the official release (its md5 is not {md5}). If it is a '
                                   'part of the data set, set check_md5=False; else remove it and set download=True')
            else:
                continue
            if self.download:
                return False
            raise error
        return True


@DATASETS.register_module()
class CIFAR100(CIFAR10, cifar.CIFAR100):
    """mmpretrain's CIFAR-100 with the options of :class:`CIFAR10`; ``data_root`` contains ``cifar-100-python``."""
