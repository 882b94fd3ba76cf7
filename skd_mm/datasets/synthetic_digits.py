"""Images of numbers: a simple data set with as many classes as are wanted, drawn instead of downloaded."""

import itertools
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.datasets.mnist import read_image_file, read_label_file

from skd_mm.registry import DATASETS
from skd_mm.utils import derive_seed, did_you_mean

SIDE = 32
_CELL = 64  # a glyph is drawn in this many pixels squared, and made small with the whole number
_FONTS = [font | slant for font, slant in itertools.product(
    (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX,
     cv2.FONT_HERSHEY_TRIPLEX), (0, cv2.FONT_ITALIC))]
_PER_CLASS = dict(train=500, test=100)
_MNIST = dict(train='train', test='t10k')


@DATASETS.register_module()
class SyntheticDigits(BaseDataset):
    """Grey images of 32×32 pixels of numbers from 0 to ``num_classes - 1``; the number is the class.

    LW-KD (arXiv 2005.09163) trains its lightweight teacher on "a synthesized simple dataset" whose number of classes is
    adjustable. Its abstract says no more: what is drawn here is this project's own design. A number has
    ``max(1, ceil(log10(num_classes)))`` digits, with zeros in front. Each of them is drawn independently: a font of
    OpenCV's in some thickness, turned, sheared, scaled and shifted; the whole gets its own brightness, contrast and
    noise. OpenCV 4 has Hershey's strokes, 30 glyphs of a digit; OpenCV 5 draws one font in their place, upright or
    slanted. An image is a function of ``(seed, split, index)`` and the version of OpenCV, and ``index % num_classes``
    is its class. All are drawn once and kept, a kilobyte each.

    Args:
        num_classes: How many classes, from 2 on.
        split: ``'train'`` or ``'test'``.
        per_class: Images a class. Defaults to 500 for training and 100 for testing.
        seed: Seed of all that is drawn. Defaults to 0.
        mnist_root: A folder with MNIST's four files as they are published (``train-images-idx3-ubyte`` …, unpacked):
            its digits are used instead of fonts, those of its test set for testing. Nothing is downloaded. Defaults to
            None.
        **kwargs: Arguments of mmpretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        FileNotFoundError: ``mnist_root`` has no such file.
        ValueError: A number or the split makes no sense.

    Example:
        >>> train_dataloader = dict(dataset=dict(type='skd_mm.SyntheticDigits', num_classes=100, split='train'))
    """

    def __init__(self, num_classes: int, split: str = 'train', per_class: int | None = None, seed: int = 0,
                 mnist_root: str | None = None, **kwargs: Any) -> None:
        if not isinstance(num_classes, int) or num_classes < 2:
            raise ValueError(f'SyntheticDigits: `num_classes` must be a whole number from 2 on, not {num_classes!r}: '
                             'with one class there is nothing to tell apart')
        if split not in _PER_CLASS:
            raise ValueError(f"SyntheticDigits: `split` must be 'train' or 'test', not {split!r}"
                             f'{did_you_mean(split, _PER_CLASS)}')
        self.num_classes = num_classes
        self.split = split
        self.per_class = _PER_CLASS[split] if per_class is None else per_class
        if self.per_class < 1:
            raise ValueError(f'SyntheticDigits: `per_class` must be 1 or more, not {per_class}')
        self.seed = seed
        self.digits = len(str(num_classes - 1))
        self.glyphs = _fonts() if mnist_root is None else _mnist(str(mnist_root), split)
        names = tuple(str(k).zfill(self.digits) for k in range(num_classes))
        super().__init__(ann_file='', metainfo=dict(classes=names), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Draws all images."""
        return [dict(gt_label=i % self.num_classes, img=self.draw(i)) for i in range(self.num_classes * self.per_class)]

    def draw(self, index: int) -> np.ndarray:
        """Draws an image.

        Args:
            index: Which one.

        Returns:
            ``[32, 32]``, uint8.
        """
        random = np.random.RandomState(derive_seed('digits', self.seed, self.split, index))
        text = str(index % self.num_classes).zfill(self.digits)
        small = cv2.resize(np.hstack([self._glyph(int(digit), random) for digit in text]), (SIDE, SIDE),
                           interpolation=cv2.INTER_AREA)
        paper, ink = random.uniform(0, 60), random.uniform(150, 255)
        image = paper + small * ((ink - paper) / 255) + random.uniform(0, 10) * random.randn(SIDE, SIDE)
        return np.minimum(np.maximum(image, 0), 255).astype(np.uint8)

    def _glyph(self, digit: int, random: np.random.RandomState) -> np.ndarray:
        """A digit in its cell, white on black."""
        glyph = self.glyphs[digit][random.randint(len(self.glyphs[digit]))]
        angle, shear = random.uniform(-0.2, 0.2), random.uniform(-0.2, 0.2)
        across, down = random.uniform(0.8, 1.1, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.array([[across, shear], [0, down]])
        centre = np.array([glyph.shape[1], glyph.shape[0]]) / 2
        place = _CELL / 2 + random.uniform(-5, 5, 2)
        if glyph.shape[0] != _CELL:
            matrix = matrix * (0.9 * _CELL / glyph.shape[0])
        matrix = np.concatenate([matrix, (place - matrix @ centre)[:, None]], axis=1)
        return cv2.warpAffine(glyph, matrix, (_CELL, _CELL), flags=cv2.INTER_LINEAR)


@lru_cache(maxsize=1)
def _fonts() -> list[list[np.ndarray]]:
    """The glyphs of each digit."""
    return [[_draw(str(digit), font, thickness) for font in _FONTS for thickness in (3, 5, 7)] for digit in range(10)]


def _draw(text: str, font: int, thickness: int) -> np.ndarray:
    # As high as three quarters of the cell, in the middle of it.
    (_, height), _ = cv2.getTextSize(text, font, 10, thickness)
    scale = 10 * 0.7 * _CELL / height
    (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
    glyph = np.zeros((_CELL, _CELL), np.uint8)
    cv2.putText(glyph, text, ((_CELL - width) // 2, (_CELL + height) // 2), font, scale, 255, thickness, cv2.LINE_AA)
    return glyph


@lru_cache(maxsize=2)
def _mnist(root: str, split: str) -> list[np.ndarray]:
    """The glyphs of each digit, from MNIST's files."""
    paths = [Path(root) / f'{_MNIST[split]}-{name}-ubyte' for name in ('images-idx3', 'labels-idx1')]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f'SyntheticDigits: there is no file {str(path)!r} (`mnist_root`); it takes the '
                                    'files of MNIST, unpacked')
    images, labels = read_image_file(str(paths[0])).numpy(), read_label_file(str(paths[1])).numpy()
    return [images[labels == digit] for digit in range(10)]
