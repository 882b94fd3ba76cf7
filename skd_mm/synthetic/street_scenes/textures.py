"""Surfaces of walls, fences, plants and the ground: ``[height, width, 3]`` float32 for a region of the canvas."""

import numpy as np

from .sampler import Colour, Sampler
from .street import Street

WALLS = [(150, 80, 60), (170, 150, 120), (120, 118, 115), (205, 200, 190), (110, 95, 80), (140, 150, 165),
         (95, 70, 55), (190, 170, 110), (85, 85, 90), (105, 115, 85)]
ASPHALTS = [(105, 103, 105), (80, 80, 84), (125, 118, 108), (140, 138, 136), (95, 88, 84)]
SLABS = [(130, 128, 125), (165, 158, 148), (110, 105, 105), (150, 110, 95), (105, 110, 120), (120, 120, 100)]
SLATS = [(120, 95, 70), (90, 90, 92), (60, 75, 60), (170, 168, 160)]
LEAVES = [(60, 90, 40), (85, 110, 50), (45, 65, 45), (120, 105, 50), (140, 90, 45), (95, 80, 65), (100, 125, 85)]


def plaster(sampler: Sampler, colour: Colour, shape: tuple[int, int]) -> np.ndarray:
    """Return a plastered wall of one colour."""
    return colour + (sampler.uniform(2, 8) * sampler.noise(shape, 1.5))[..., None]


def leaves(sampler: Sampler, shape: tuple[int, int], canvas_width: int) -> np.ndarray:
    """Return the leaves of a tree or a hedge.

    Args:
        sampler: Source of the random choices.
        shape: Height and width in pixels.
        canvas_width: Width of the canvas, which the size of the clumps depends on.
    """
    clumps = sampler.noise(shape, 2) + sampler.noise(shape, canvas_width / 40)
    colour = sampler.colour_near(LEAVES)
    return colour + (sampler.uniform(0.18, 0.34) * colour.mean() * clumps)[..., None]


def facade(sampler: Sampler, along: np.ndarray, up: np.ndarray, reflection: Colour) -> np.ndarray:
    """Return a wall with rows of windows, and sometimes shops on the ground floor.

    Args:
        sampler: Source of the random choices.
        along: ``[height, width]``, horizontal position on the wall.
        up: ``[height, width]``, height above the ground.
        reflection: A colour that the windows may reflect.
    """
    surface = plaster(sampler, sampler.colour_near(WALLS), up.shape)
    if sampler.chance(0.5):  # courses of brick or cladding
        contrast = sampler.uniform(5, 22)
        surface -= (contrast * (np.mod(up, sampler.uniform(0.25, 0.6)) < 0.1))[..., None]

    storey, bay = sampler.uniform(2.5, 3.6), sampler.uniform(1.4, 3.2)
    width, top, sill = sampler.uniform(0.35, 0.75), sampler.uniform(0.7, 0.92), sampler.uniform(0.2, 0.42)
    column, row = np.mod(along / bay, 1), np.mod(up / storey, 1)
    windows = (np.abs(column - 0.5) < width / 2) & (row > sill) & (row < top)
    frames = (np.abs(column - 0.5) < width / 2 + 0.05) & (row > sill - 0.03) & (row < top + 0.03)
    surface[frames] += sampler.uniform(-40, 50)
    glass = sampler.colour_near([(50, 55, 62), (35, 32, 30), tuple(reflection)], 8)
    surface[windows] = glass + (10 * sampler.noise(up.shape, 4))[windows][:, None]

    if sampler.chance(0.35):
        shops = (up < storey) & (np.mod(along / (bay * 2), 1) < 0.8)
        surface[shops & (up < 0.75 * storey)] = sampler.colour_near([(60, 60, 65), (110, 100, 90)])
        surface[shops & (up >= 0.75 * storey)] = sampler.any_colour()
    return surface


def slats(sampler: Sampler, along: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return a fence; see :func:`facade` for the arguments."""
    pitch = sampler.uniform(0.12, 0.5)
    surface = plaster(sampler, sampler.colour_near(SLATS), up.shape)
    surface -= (sampler.uniform(30, 70) * (np.mod(along, pitch) < 0.35 * pitch))[..., None]
    surface += (sampler.uniform(0, 35) * (np.mod(up, 0.8) < 0.1))[..., None]
    return surface


def asphalt(sampler: Sampler, street: Street, depth: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the road with its markings, for the whole canvas.

    Args:
        sampler: Source of the random choices.
        street: Geometry of the scene.
        depth: ``[height, width]``, distance of the ground from the camera.
        across: ``[height, width]``, its distance to the right of the camera.
    """
    surface = sampler.colour_near(ASPHALTS, 6) + np.zeros((*street.shape, 3), np.float32)
    surface += (sampler.uniform(3, 9) * sampler.noise(street.shape, 1) * _detail(depth))[..., None]
    surface += (sampler.uniform(2, 9) * sampler.noise(street.shape, street.width / 10))[..., None]
    left, right = street.road
    for place in (0.5 * (left + right), left + 0.4, right - 0.4):
        if sampler.chance(0.6):
            position = np.mod(depth + sampler.uniform(0, 9), 9)
            painted = position < (4 if sampler.chance(0.7) else 9)  # dashes or a solid line
            line = (np.abs(across - place) < sampler.uniform(0.06, 0.12)) & painted
            surface[line] += sampler.uniform(40, 110)
    if sampler.chance(0.3):  # a zebra crossing
        start = sampler.uniform(4, 15)
        stripes = (depth > start) & (depth < start + 3) & (np.mod(across, 1.0) < 0.5)
        surface[stripes] += sampler.uniform(50, 100)
    return surface


def paving(sampler: Sampler, street: Street, depth: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the pavement with its kerbs, for the whole canvas; see :func:`asphalt` for the arguments."""
    detail = _detail(depth)
    slab = sampler.uniform(0.4, 1.2)
    joints = (np.mod(across, slab) < 0.05) | (np.mod(depth, slab * sampler.uniform(0.7, 2)) < 0.06)
    surface = sampler.colour_near(SLABS, 8) + np.zeros((*street.shape, 3), np.float32)
    surface -= (sampler.uniform(10, 40) * joints * detail)[..., None]
    surface += (sampler.uniform(2, 7) * sampler.noise(street.shape, 2) * detail)[..., None]
    left, right = street.road
    kerb = np.minimum(np.abs(across - left), np.abs(across - right)) < 0.12
    surface[kerb] += sampler.uniform(-25, 45)
    return surface


def _detail(depth: np.ndarray) -> np.ndarray:
    """Fine texture fades with distance, as it does in a photograph."""
    return np.clip(12 / depth, 0, 1)
