"""Data set of synthetic images of numbers, with any number of classes and without a download."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.datasets.mnist import read_image_file, read_label_file

from skd_mm.registry import DATASETS
from skd_mm.synthetic.digits import Glyphs, draw_number, font_glyphs
from skd_mm.utils import derive_seed, did_you_mean

_PER_CLASS = dict(train=500, test=100)
_MNIST_NAMES = dict(train='train', test='t10k')


@DATASETS.register_module()
class SyntheticDigits(BaseDataset):
    """Grey images, 32×32 pixels, of the numbers from 0 to ``num_classes - 1``; the number is the class.

    LW-KD (arXiv 2005.09163) trains its lightweight teacher on "a synthesized simple dataset" with an adjustable number
    of classes. Its abstract gives no details, so the images are our own design. A number has
    ``max(1, ceil(log10(num_classes)))`` digits, with leading zeros. Each digit is drawn independently: a glyph of a
    random font and thickness, rotated, sheared, scaled and shifted. Brightness, contrast and noise are random for each
    image. An image is a function of ``(seed, split, index)`` and the version of OpenCV, whose fonts are used;
    ``index % num_classes`` is its class. All images are drawn once and kept in memory, one kilobyte each.

    Args:
        num_classes: Number of classes, at least 2.
        split: ``'train'`` or ``'test'``. Defaults to ``'train'``.
        per_class: Number of images per class. Defaults to 500 for training and 100 for testing.
        seed: Seed of all images. Defaults to 0.
        mnist_root: Folder with MNIST's four files as published, unpacked (``train-images-idx3-ubyte`` …). If given,
            MNIST's digits replace the fonts, those of its test set for testing. Nothing is downloaded. Defaults to
            None.
        **kwargs: Arguments of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        FileNotFoundError: ``mnist_root`` lacks a file.
        ValueError: A number or the split is invalid.

    Example:
        >>> train_dataloader = dict(dataset=dict(type='skd_mm.SyntheticDigits', num_classes=100, split='train'))
    """

    def __init__(self, num_classes: int, split: str = 'train', per_class: int | None = None, seed: int = 0,
                 mnist_root: str | None = None, **kwargs: Any) -> None:
        if not isinstance(num_classes, int) or num_classes < 2:
            raise ValueError(f'SyntheticDigits: `num_classes` must be an integer of at least 2, not {num_classes!r}')
        if split not in _PER_CLASS:
            raise ValueError(f"SyntheticDigits: `split` must be 'train' or 'test', not {split!r}"
                             f'{did_you_mean(split, _PER_CLASS)}')
        self.num_classes = num_classes
        self.split = split
        self.per_class = _PER_CLASS[split] if per_class is None else per_class
        if self.per_class < 1:
            raise ValueError(f'SyntheticDigits: `per_class` must be at least 1, not {per_class}')
        self.seed = seed
        self.num_digits = len(str(num_classes - 1))
        self.glyphs = font_glyphs() if mnist_root is None else mnist_glyphs(str(mnist_root), split)
        names = tuple(self._text(k) for k in range(num_classes))
        super().__init__(ann_file='', metainfo=dict(classes=names), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw all images."""
        return [dict(gt_label=i % self.num_classes, img=self.draw(i)) for i in range(self.num_classes * self.per_class)]

    def draw(self, index: int) -> np.ndarray:
        """Draw an image.

        Args:
            index: Index of the image.

        Returns:
            ``[32, 32]`` uint8.
        """
        rng = np.random.RandomState(derive_seed('digits', self.seed, self.split, index))
        return draw_number(self._text(index % self.num_classes), self.glyphs, rng)

    def _text(self, number: int) -> str:
        return str(number).zfill(self.num_digits)


@lru_cache(maxsize=2)
def mnist_glyphs(root: str, split: str) -> Glyphs:
    """Return the glyphs of every digit in MNIST.

    Args:
        root: Folder with MNIST's files, unpacked.
        split: ``'train'`` or ``'test'``.

    Raises:
        FileNotFoundError: A file is missing.
    """
    paths = [Path(root) / f'{_MNIST_NAMES[split]}-{name}-ubyte' for name in ('images-idx3', 'labels-idx1')]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f'SyntheticDigits: file {str(path)!r} not found; `mnist_root` must contain the '
                                    'files of MNIST, unpacked')
    images, labels = read_image_file(str(paths[0])).numpy(), read_label_file(str(paths[1])).numpy()
    return [images[labels == digit] for digit in range(10)]
