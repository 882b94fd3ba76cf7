"""Image, label and objects of a scene in progress, and how shapes are painted on all of them."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from .labels import Label
from .sampler import Colour, Sampler
from .street import Foot, Street

Point = tuple[float, float]


class Canvas:
    """Oversampled image, label and objects of a scene.

    Args:
        street: Geometry of the scene.
        sampler: Source of the random choices.

    Attributes:
        image: ``[height, width, 3]`` float32, RGB, 0-255.
        label: ``[height, width]`` uint8.
        instances: ``[height, width]`` uint16, the number of the object that each pixel belongs to; 0 for the
            background.
        instance: Number of the object that is being painted; 0 for the background.
        air: Colour of the haze, that of the sky at the horizon.
    """

    def __init__(self, street: Street, sampler: Sampler) -> None:
        self.street = street
        self.sampler = sampler
        self.image = np.zeros((*street.shape, 3), np.float32)
        self.label = np.full(street.shape, Label.UNLABELLED, np.uint8)
        self.instances = np.zeros(street.shape, np.uint16)
        self.instance = 0
        self.air: Colour = np.zeros(3, np.float32)

    def fill(self, mask: np.ndarray, label: Label, surface: np.ndarray, depth: float | np.ndarray,
             at: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        """Paint the pixels of a mask.

        Args:
            mask: ``[height, width]`` bool, of the region ``at``, as are the other arrays.
            label: Class of the pixels.
            surface: ``[height, width, 3]`` colours.
            depth: Distance from the camera, one number or ``[height, width]``.
            at: Rows and columns. Defaults to the whole canvas.
        """
        distances = depth[mask] if isinstance(depth, np.ndarray) else np.float32(depth)
        clear = np.exp(np.float32(-self.street.haze) * distances)
        self.image[at][mask] = self.air + (surface[mask] - self.air) * np.reshape(clear, (-1, 1))
        self.label[at][mask] = label
        self.instances[at][mask] = self.instance

    def stroke(self, draw: Callable[[np.ndarray], object], label: Label, colour: Colour, depth: float,
               shade: float = 0.0) -> None:
        """Paint what a function draws.

        Args:
            draw: Sets the pixels to paint in a mask, ``[height, width]`` uint8.
            label: Class of the pixels.
            colour: Colour of the shape.
            depth: Distance from the camera.
            shade: How much lighter the sunny side is, and how much darker the other. Defaults to 0.
        """
        mask = np.zeros(self.street.shape, np.uint8)
        draw(mask)
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            return
        at = (slice(top, top + height), slice(left, left + width))
        inside = mask[at] > 0
        light = 1 + shade * self.street.sun * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
        grain = 3 * self.sampler.rng.standard_normal((height, width, 1), dtype=np.float32)
        clear = np.float32(np.exp(-self.street.haze * depth))
        surface = self.air + (colour * light + grain - self.air) * clear
        self.image[at][inside] = surface[inside]
        self.label[at][inside] = label
        self.instances[at][inside] = self.instance

    def polygon(self, points: Sequence[Point], label: Label, colour: Colour, depth: float, shade: float = 0.0) -> None:
        """Paint a polygon; see :meth:`stroke` for the arguments."""
        corners = np.round(points).astype(np.int32)
        self.stroke(lambda mask: cv2.fillPoly(mask, [corners], 255), label, colour, depth, shade)

    def ellipse(self, x: float, y: float, a: float, b: float, label: Label, colour: Colour, depth: float) -> None:
        """Paint an ellipse with the semi-axes ``a`` (horizontal) and ``b`` (vertical)."""
        self.stroke(lambda mask: draw_ellipse(mask, x, y, a, b), label, colour, depth, 0.15)

    def shadow(self, foot: Foot, width: float) -> None:
        """Darken the ground under an object.

        Args:
            foot: Position of the object.
            width: Width of the object in pixels.
        """
        mask = np.zeros(self.street.shape, np.uint8)
        draw_ellipse(mask, foot.x - self.street.sun * 0.3 * width, foot.y, 0.6 * width, 0.12 * foot.metre)
        self.image[mask > 0] *= self.sampler.uniform(0.5, 0.75)


def trapezoid(x: float, y0: float, half_width0: float, y1: float, half_width1: float) -> list[Point]:
    """Return the corners of a symmetric trapezoid.

    Args:
        x: Column of its axis.
        y0: Row of the first of its horizontal sides.
        half_width0: Half of that side's length.
        y1: Row of the second horizontal side.
        half_width1: Half of that side's length.
    """
    return [(x - half_width0, y0), (x + half_width0, y0), (x + half_width1, y1), (x - half_width1, y1)]


def box(x: float, y: float, half_width: float, half_height: float) -> list[Point]:
    """Return the corners of a rectangle around ``(x, y)``."""
    return trapezoid(x, y - half_height, half_width, y + half_height, half_width)


def draw_ellipse(mask: np.ndarray, x: float, y: float, a: float, b: float, thickness: int = -1) -> None:
    """Draw an ellipse into a mask, filled unless a thickness is given."""
    axes = (max(1, round(a)), max(1, round(b)))
    cv2.ellipse(mask, (round(x), round(y)), axes, 0, 0, 360, 255, thickness)


def draw_line(mask: np.ndarray, start: Point, end: Point, thickness: int, value: float = 255) -> None:
    """Draw a line into a mask."""
    cv2.line(mask, (round(start[0]), round(start[1])), (round(end[0]), round(end[1])), value, thickness)
