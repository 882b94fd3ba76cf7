"""Pairing the stages of two backbones."""

import math
from collections.abc import Sequence
from functools import cache

from torch import Tensor

from skd_mm.utils import ImageSize, find_layout

Outputs = Sequence[tuple[str, Tensor]]


def match_stages(student: Outputs, teacher: Outputs,
                 images: tuple[ImageSize, ImageSize] | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    """Pair the student's stages with the teacher's.

    If both have the same number of stages, they are paired in order. Otherwise each stage of the network with fewer
    stages is paired with one of the other network. The order is kept, and the last stages are a pair. Among all such
    pairings, the one with the most similar strides is chosen; if there are several, the one with the most similar
    relative depths. A factor of two between two strides counts as one, a factor of four as two, and so on.

    Args:
        student: The ends of the student's stages and their outputs, in the order of the forward pass: maps or tokens,
            see :func:`skd_mm.features.backbone_stages`.
        teacher: The same for the teacher.
        images: The sizes of the images that they were computed from; None if both had the same square images.

    Returns:
        Pairs of names, and the names on either side that have no counterpart.
    """
    if len(student) == len(teacher):
        return [(one, other) for (one, _), (other, _) in zip(student, teacher, strict=True)], []
    sizes = images or (None, None)
    swapped = len(student) > len(teacher)
    few, many = (teacher, student) if swapped else (student, teacher)
    scales = _scales(student, sizes[0]), _scales(teacher, sizes[1])
    chosen = _assign(*(scales[::-1] if swapped else scales))
    pairs = [(few[i][0], many[j][0]) for i, j in enumerate(chosen)]
    if swapped:
        pairs = [(one, other) for other, one in pairs]
    paired = {name for pair in pairs for name in pair}
    return pairs, [name for name, _ in [*student, *teacher] if name not in paired]


def _scales(stages: Outputs, image: ImageSize | None) -> list[float]:
    """Return the binary logarithms of the stages' strides; without images, up to a constant."""
    found = []
    for _, output in stages:
        grid = find_layout(output, image).grid
        pixels = image[0] * image[1] if image is not None else 1
        found.append(math.log2(pixels / (grid[0] * grid[1])) / 2)
    return found


def _assign(few: Sequence[float], many: Sequence[float]) -> list[int]:
    """Return, for each stage of the shorter list, the index of its counterpart in the longer one."""

    @cache
    def best(i: int, j: int) -> tuple[float, float, tuple[int, ...]]:
        """Return the cost of pairing the stages up to ``i`` with some of those up to ``j``, and the indices."""
        if i < 0:
            return 0.0, 0.0, ()
        options = []
        for k in range(i, j + 1):
            strides, depths, indices = best(i - 1, k - 1)
            depth = abs((i + 1) / len(few) - (k + 1) / len(many))
            options.append((round(strides + abs(few[i] - many[k]), 6), round(depths + depth, 6), (*indices, k)))
        return min(options)

    if not few:
        return []
    last = len(many) - 1
    indices = best(len(few) - 2, last - 1)[2]
    return [*indices, last]
