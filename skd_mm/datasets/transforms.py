"""Transforms that OpenMMLab lacks."""

from typing import Any

import mmcv
import numpy as np
from mmseg.datasets.transforms import Resize

from skd_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeMask(Resize):
    """``Resize`` with a choice of the interpolation of labels.

    The published code of SKD (arXiv 1911.06786) resizes labels bilinearly, like images. That creates rows of poles and
    trees between a sky (0) and a car (8), and even a perfect predictor scores less than 1. By default, this is
    mmsegmentation's ``Resize``; ``'bilinear'`` serves the reproduction of the authors' runs.

    Bilinear interpolation uses the id that the ignored label has in the files, so that all results are valid ids.

    Args:
        seg_interpolation: ``'nearest'`` or ``'bilinear'``. Defaults to ``'nearest'``.
        ignore_index: Label of ignored pixels. Defaults to 255.
        ignore_id: Its id in the label files. Defaults to None, the one that the data set's ``label_map`` ignores
            (11 in CamVid).
        **kwargs: As for mmsegmentation's ``Resize``: ``scale=(width, height)``, ``scale_factor``, ``keep_ratio`` ...

    Raises:
        ValueError: ``seg_interpolation`` is unknown; or a label has ignored pixels whose id in the files is unknown.
    """

    def __init__(self,
                 *,
                 seg_interpolation: str = 'nearest',
                 ignore_index: int = 255,
                 ignore_id: int | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seg_interpolation not in ('nearest', 'bilinear'):
            raise ValueError(
                f"ResizeMask: seg_interpolation must be 'nearest' or 'bilinear', not {seg_interpolation!r}")
        self.seg_interpolation = seg_interpolation
        self.ignore_index = ignore_index
        self.ignore_id = ignore_id

    def _resize_seg(self, results: dict) -> None:
        """Resize the labels in ``results['seg_fields']``, ``[H, W]`` uint8 each, to ``results['scale']``."""
        if self.seg_interpolation == 'nearest':
            super()._resize_seg(results)
            return
        resize = mmcv.imrescale if self.keep_ratio else mmcv.imresize
        for key in results.get('seg_fields', []):
            ignore_id = self._ignore_id(results, key)
            label = np.where(results[key] == self.ignore_index, ignore_id, results[key]).astype(np.uint8)
            label = resize(label, results['scale'], interpolation='bilinear', backend=self.backend)
            label[label == ignore_id] = self.ignore_index
            results[key] = label

    def _ignore_id(self, results: dict, key: str) -> int:
        if self.ignore_id is not None:
            return self.ignore_id
        ids = [old for old, new in (results.get('label_map') or {}).items() if new == self.ignore_index]
        if len(ids) == 1:
            return ids[0]
        if (results[key] == self.ignore_index).any():
            raise ValueError(f"ResizeMask: {results.get('seg_map_path', key)} has ignored pixels, but the data set "
                             f'ignores {len(ids)} ids; set ignore_id to the one to interpolate with')
        return self.ignore_index  # nothing is ignored

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, seg_interpolation={self.seg_interpolation})'
