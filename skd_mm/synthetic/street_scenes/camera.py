"""What a camera makes of a finished canvas."""

import cv2
import numpy as np

from .canvas import Canvas, draw_line
from .sampler import Sampler
from .street import OVERSAMPLING


def photograph(canvas: Canvas, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tilt, shrink, blur, expose and add noise to a scene.

    Args:
        canvas: The finished canvas.
        size: Height H and width W of the image.

    Returns:
        The image, ``[H, W, 3]`` uint8 in RGB, the label, ``[H, W]`` uint8, and the numbers of the objects, ``[H, W]``
        uint16.
    """
    sampler = canvas.sampler
    image, label, instances = _tilt_and_shrink(canvas, size)
    if sampler.chance(0.25):
        image = cv2.GaussianBlur(image, (3, 3), sampler.uniform(0.3, 0.8))
    if sampler.chance(0.12):
        image = image + _rain(sampler, size)
    warmth = sampler.uniform(-0.12, 0.12)
    image = image * np.array([1 + warmth, 1, 1 - warmth], np.float32) * sampler.uniform(0.65, 1.2)
    image = 255 * (np.clip(image, 0, 255) / 255)**sampler.uniform(0.8, 1.3)
    image = image + sampler.uniform(1, 6) * sampler.rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.round(image), 0, 255).astype(np.uint8), label, instances


def _tilt_and_shrink(canvas: Canvas, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = canvas.street.shape
    angle = canvas.sampler.uniform(-3.5, 3.5)
    rotation = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.06)
    image, label, instances = (
        cv2.warpAffine(array, rotation, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        for array, flags in ((canvas.image, cv2.INTER_LINEAR), (canvas.label, cv2.INTER_NEAREST),
                             (canvas.instances, cv2.INTER_NEAREST)))
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    every = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
    return image, np.ascontiguousarray(label[every, every]), np.ascontiguousarray(instances[every, every])


def _rain(sampler: Sampler, size: tuple[int, int]) -> np.ndarray:
    """Return streaks of rain, ``[H, W, 1]`` float32."""
    height, width = size
    streaks = np.zeros(size, np.float32)
    for _ in range(width // 2):
        x, y = sampler.uniform(0, width), sampler.uniform(0, height)
        draw_line(streaks, (x, y), (x + 1, y + 0.06 * height), 1, 1.0)
    return (sampler.uniform(15, 40) * streaks)[..., None]
