"""Random numbers, colours and noise of a scene."""

from collections.abc import Sequence

import cv2
import numpy as np

Colour = np.ndarray
"""``[3]`` float32, RGB, 0-255."""


class Sampler:
    """Source of all random choices of a scene.

    Args:
        rng: The random generator.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def uniform(self, low: float, high: float) -> float:
        """Return a number in ``[low, high)``."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self.rng.random() < probability)

    def colour_near(self, colours: Sequence, spread: float = 14) -> Colour:
        """Return one of several colours, slightly changed.

        Args:
            colours: The colours to choose from, each of three values, RGB.
            spread: Standard deviation of the change. Defaults to 14.
        """
        colour = np.asarray(colours[int(self.rng.integers(len(colours)))], np.float32)
        return np.clip(colour * self.uniform(0.75, 1.25) + self.rng.normal(0, spread, 3), 8, 247).astype(np.float32)

    def any_colour(self) -> Colour:
        """Return a colour of paint or clothes; every second one is a grey."""
        if self.chance(0.5):
            return np.full(3, self.uniform(25, 225), np.float32) + self.rng.normal(0, 6, 3).astype(np.float32)
        return self.rng.uniform(20, 220, 3).astype(np.float32)

    def noise(self, shape: tuple[int, int], grain: float) -> np.ndarray:
        """Return smooth noise of unit standard deviation.

        Args:
            shape: Height and width in pixels.
            grain: Size of its features in pixels.

        Returns:
            ``[height, width]`` float32.
        """
        coarse = (max(2, int(shape[0] / grain) + 1), max(2, int(shape[1] / grain) + 1))
        noise = self.rng.standard_normal(coarse, dtype=np.float32)
        if coarse == shape:
            return noise
        return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)
