"""Layouts of features: vectors, tokens, and maps with their channels first or last."""

import math
from typing import NamedTuple

from torch import Tensor

ImageSize = tuple[int, int]
"""Height and width of the images of a network, in pixels."""

_MAX_EXTRA = 16
"""Class, distillation and register tokens that are looked for; DINOv3 has 5."""


class Layout(NamedTuple):
    """The layout of a feature.

    Attributes:
        kind: ``'vector'`` ``[B, C]``, ``'tokens'`` ``[B, N, C]``, ``'map'`` ``[B, C, H, W]``, ``'channels_last'``
            ``[B, H, W, C]``, or ``'other'``.
        channels: The number of channels, ``C``.
        grid: ``(H, W)``: the positions of a map, or of the tokens that belong to a position.
        extra_tokens: The number of tokens that belong to no position: class and register tokens.
    """

    kind: str
    channels: int
    grid: tuple[int, int] = (1, 1)
    extra_tokens: int = 0


def find_layout(feature: Tensor, image: ImageSize | None = None) -> Layout:
    """Find the layout of a feature from its shape and the size of the image that it was computed from.

    A map has the aspect ratio of its image, at a stride of a whole number of pixels. Tokens that do not fill such a
    grid are counted as extra tokens. If a map can be read in both ways, its channels come first.

    Args:
        feature: ``[B, C]``, ``[B, N, C]``, ``[B, C, H, W]`` or ``[B, H, W, C]``.
        image: The size of the images; None assumes square images.

    Returns:
        The layout.
    """
    shape = tuple(feature.shape)
    if len(shape) == 2:
        return Layout('vector', shape[1])
    if len(shape) == 3:
        grid, extra = _split_tokens(shape[1], image)
        return Layout('tokens', shape[2], grid, extra)
    if len(shape) != 4:
        return Layout('other', shape[1] if len(shape) > 1 else 0)
    first, last = (shape[2], shape[3]), (shape[1], shape[2])
    if image is not None and not _covers(first, image) and _covers(last, image):
        return Layout('channels_last', shape[3], last)
    return Layout('map', shape[1], first)


def token_grid(count: int, image: ImageSize | None = None) -> tuple[int, int]:
    """Return the grid of a number of tokens.

    Args:
        count: The number of tokens that belong to a position.
        image: The size of the image, whose aspect ratio the grid has; None for a square.

    Returns:
        ``(H, W)`` with ``H · W = count``: of all such grids, that with the most similar aspect ratio.
    """
    ratio = math.log(image[0] / image[1]) if image is not None else 0.0
    heights = [height for height in range(1, count + 1) if count % height == 0]
    height = min(heights, key=lambda height: abs(math.log(height * height / count) - ratio))
    return height, count // height


def _split_tokens(count: int, image: ImageSize | None) -> tuple[tuple[int, int], int]:
    """Return the grid of tokens, and how many of them are not in it."""
    if image is None:
        side = math.isqrt(count)
        extra = count - side * side
        return ((side, side), extra) if extra <= _MAX_EXTRA else (token_grid(count), 0)
    common = math.gcd(*image)
    for stride in range(1, common + 1):
        grid = (image[0] // stride, image[1] // stride)
        extra = count - grid[0] * grid[1]
        if common % stride == 0 and 0 <= extra <= _MAX_EXTRA:
            return grid, extra
    return token_grid(count, image), 0


def _covers(grid: tuple[int, int], image: ImageSize) -> bool:
    """Return whether a grid has one stride, of a whole number of pixels, along both sides of an image."""
    return image[0] % grid[0] == 0 and image[1] % grid[1] == 0 and image[0] * grid[1] == image[1] * grid[0]
