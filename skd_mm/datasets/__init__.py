from .camvid import CamVidDataset
from .cifar import CIFAR10, CIFAR100
from .fraction import fraction_indices, sample_names, write_fraction
from .synthetic_digits import SyntheticDigits
from .table import SklearnTable
from .transforms import ResizeMask
from .unlabelled import UnlabelledDataset

__all__ = [
    'CIFAR10', 'CIFAR100', 'CamVidDataset', 'ResizeMask', 'SklearnTable', 'SyntheticDigits', 'UnlabelledDataset',
    'fraction_indices', 'sample_names', 'write_fraction'
]
