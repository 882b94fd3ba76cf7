"""Images of numbers, composed of randomly transformed glyphs of their digits."""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

SIDE = 32
"""Height and width of an image of a number."""

CELL = 64
"""Height and width of the cell that a digit is drawn in, before the number is shrunk."""

Glyphs = Sequence[Sequence[np.ndarray]]
"""Glyphs of the digits 0 to 9: white on black, square, uint8."""

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX,
          cv2.FONT_HERSHEY_TRIPLEX)
_SLANTS = (0, cv2.FONT_ITALIC)
_THICKNESSES = (3, 5, 7)


@lru_cache(maxsize=1)
def font_glyphs() -> Glyphs:
    """Return the glyphs of every digit in OpenCV's fonts.

    OpenCV 4 draws Hershey's strokes, 30 glyphs per digit. OpenCV 5 replaces them by one font, upright or slanted.
    """
    styles = list(itertools.product(_FONTS, _SLANTS, _THICKNESSES))
    glyphs = []
    for digit in range(10):
        glyphs.append([_render(str(digit), font | slant, thickness) for font, slant, thickness in styles])
    return glyphs


def _render(text: str, font: int, thickness: int) -> np.ndarray:
    """Render text in the middle of a cell, three quarters of the cell high."""
    (_, height), _ = cv2.getTextSize(text, font, 10, thickness)
    scale = 10 * 0.7 * CELL / height
    (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
    glyph = np.zeros((CELL, CELL), np.uint8)
    cv2.putText(glyph, text, ((CELL - width) // 2, (CELL + height) // 2), font, scale, 255, thickness, cv2.LINE_AA)
    return glyph


def draw_number(text: str, glyphs: Glyphs, rng: np.random.RandomState) -> np.ndarray:
    """Draw a number with random brightness, contrast and noise.

    Args:
        text: Digits of the number, leading zeros included.
        glyphs: Glyphs to choose from.
        rng: Source of the random choices.

    Returns:
        ``[32, 32]`` uint8.
    """
    cells = [draw_digit(glyphs[int(digit)], rng) for digit in text]
    number = cv2.resize(np.hstack(cells), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    paper, ink = rng.uniform(0, 60), rng.uniform(150, 255)
    image = paper + number * ((ink - paper) / 255) + rng.uniform(0, 10) * rng.randn(SIDE, SIDE)
    return np.minimum(np.maximum(image, 0), 255).astype(np.uint8)


def draw_digit(glyphs: Sequence[np.ndarray], rng: np.random.RandomState) -> np.ndarray:
    """Draw a digit, rotated, sheared, scaled and shifted.

    Args:
        glyphs: Glyphs of the digit to choose from.
        rng: Source of the random choices.

    Returns:
        ``[64, 64]`` uint8, white on black.
    """
    glyph = glyphs[rng.randint(len(glyphs))]
    angle, shear = rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)
    scale_x, scale_y = rng.uniform(0.8, 1.1, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[scale_x, shear], [0, scale_y]])
    centre = np.array([glyph.shape[1], glyph.shape[0]]) / 2
    position = CELL / 2 + rng.uniform(-5, 5, 2)
    if glyph.shape[0] != CELL:
        matrix = matrix * (0.9 * CELL / glyph.shape[0])
    matrix = np.concatenate([matrix, (position - matrix @ centre)[:, None]], axis=1)
    return cv2.warpAffine(glyph, matrix, (CELL, CELL), flags=cv2.INTER_LINEAR)
