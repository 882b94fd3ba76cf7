"""Geometry of a street, and the camera that looks along it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .sampler import Sampler

CAMERA_HEIGHT = 1.5
OVERSAMPLING = 2
"""A scene is drawn this many times larger than the image, then shrunk, for smooth edges."""

LEFT, RIGHT = 0, 1
SIGNS = (-1, 1)
"""Direction of each side of the street: negative is left."""


class Foot(NamedTuple):
    """Point of the canvas where an object meets the ground.

    Attributes:
        x: Column.
        y: Row.
        metre: Pixels per metre at this distance.
    """

    x: float
    y: float
    metre: float


@dataclass(frozen=True)
class Street:
    """A straight street with the camera at the origin, looking along it.

    Attributes:
        height: Height of the canvas in pixels.
        width: Width of the canvas in pixels.
        focal: Focal length in pixels.
        horizon: Row of the horizon.
        vanishing: Column of the vanishing point.
        road: Positions of the left and the right kerb, relative to the camera.
        walls: Positions of the left and the right row of houses.
        end: Distance to the end of the street.
        sun: Lit side, -1 or 1.
        haze: Extinction per metre.
    """

    height: int
    width: int
    focal: float
    horizon: float
    vanishing: float
    road: tuple[float, float]
    walls: tuple[float, float]
    end: float
    sun: np.int64  # with a Python integer, NumPy would compute the shading in float32
    haze: float

    @classmethod
    def sample(cls, size: tuple[int, int], sampler: Sampler) -> 'Street':
        """Return a random street.

        Args:
            size: Height and width of the image.
            sampler: Source of the random choices.
        """
        height, width = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
        focal = sampler.uniform(0.65, 1.05) * width
        horizon = sampler.uniform(0.3, 0.55) * height
        vanishing = sampler.uniform(0.25, 0.75) * width
        road = (sampler.uniform(-5.0, -1.5), sampler.uniform(1.5, 5.0))
        walls = (road[LEFT] - sampler.uniform(0.8, 5.5), road[RIGHT] + sampler.uniform(0.8, 5.5))
        end = sampler.uniform(25, 120)
        sun = sampler.rng.choice(SIGNS)
        haze = sampler.rng.choice((0.0, 0.002, 0.006, 0.02))
        return cls(height, width, focal, horizon, vanishing, road, walls, end, sun, haze)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the canvas in pixels."""
        return self.height, self.width

    def foot(self, depth: float, across: float) -> Foot:
        """Project a point of the ground.

        Args:
            depth: Distance from the camera along the street.
            across: Distance to the right of the camera.
        """
        metre = self.focal / depth
        return Foot(self.vanishing + across * metre, self.horizon + CAMERA_HEIGHT * metre, metre)
