from .camvid import CamVidDataset
from .fraction import fraction_indices, sample_names, write_fraction

__all__ = ['CamVidDataset', 'fraction_indices', 'sample_names', 'write_fraction']
