"""A whole scene: the street, its background, its objects and the photograph."""

from typing import NamedTuple

import numpy as np

from . import objects
from .background import draw_background
from .camera import photograph
from .canvas import Canvas
from .sampler import Sampler
from .street import LEFT, RIGHT, Street

Interval = tuple[float, float]


def street_scene(size: tuple[int, int] = (96, 128), seed: int | tuple[int, ...] = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene.

    Args:
        size: Height H and width W of the image. Defaults to (96, 128).
        seed: Seed of the scene. Defaults to 0.

    Returns:
        The image, ``[H, W, 3]`` uint8 in RGB, and the label, ``[H, W]`` uint8: CamVid's ids, 11 for clutter.
    """
    return street_scene_with_objects(size, seed)[:2]


def street_scene_with_objects(size: tuple[int, int] = (96, 128),
                              seed: int | tuple[int, ...] = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one scene, and mark its objects.

    Args:
        size: Height H and width W of the image. Defaults to (96, 128).
        seed: Seed of the scene. Defaults to 0.

    Returns:
        The image and the label of :func:`street_scene`, and the number of the object at each pixel, ``[H, W]`` uint16;
        0 for the background. A sign and its pole have the same number.
    """
    sampler = Sampler(np.random.default_rng(seed))
    canvas = Canvas(Street.sample(size, sampler), sampler)
    draw_background(canvas)
    draw_objects(canvas)
    return photograph(canvas, size)


class ObjectGroup(NamedTuple):
    """Objects of one kind.

    Attributes:
        draw: Draws one object.
        fewest: Smallest number of objects.
        most: Largest number of objects.
        intervals: Where across the street they stand.
        nearest: Smallest distance from the camera.
    """

    draw: objects.DrawFn
    fewest: int
    most: int
    intervals: list[Interval]
    nearest: float


def object_groups(street: Street) -> list[ObjectGroup]:
    """Return what may stand on a street."""
    road = street.road
    left, right = (street.walls[LEFT], road[LEFT]), (road[RIGHT], street.walls[RIGHT])
    pavements = [left, right]
    kerbs = [(road[LEFT] - 0.5, road[LEFT] + 1.2), (road[RIGHT] - 1.2, road[RIGHT] + 0.5)]
    lanes = (road[LEFT] + 1, road[RIGHT] - 1)
    roadsides = [(road[LEFT] - 0.8, road[LEFT]), (road[RIGHT], road[RIGHT] + 0.8)]
    return [
        ObjectGroup(objects.draw_car, 0, 6, [*kerbs, lanes], 5),
        ObjectGroup(objects.draw_tree, 0, 7, pavements, 5),
        ObjectGroup(objects.draw_pedestrian, 0, 5, [*pavements, *pavements, road], 3),
        ObjectGroup(objects.draw_bicyclist, 0, 2, [*kerbs, road], 4),
        ObjectGroup(objects.draw_pole, 1, 5, roadsides, 4),
        ObjectGroup(objects.draw_sign, 0, 4, roadsides, 5),
        ObjectGroup(objects.draw_clutter, 0, 3, pavements, 4),
    ]


def draw_objects(canvas: Canvas) -> None:
    """Draw everything that stands on the ground, from far to near."""
    street, sampler = canvas.street, canvas.sampler
    placed: list[tuple[float, float, objects.DrawFn]] = []
    for group in object_groups(street):
        for _ in range(sampler.rng.integers(group.fewest, group.most + 1)):
            low, high = group.intervals[sampler.rng.integers(len(group.intervals))]
            # uniform in 1 / depth, so that the image shows as many near objects as distant ones
            depth = 1 / sampler.uniform(1 / min(60, street.end), 1 / group.nearest)
            placed.append((depth, sampler.uniform(low, high), group.draw))
    for number, (depth, across, draw) in enumerate(sorted(placed, key=lambda item: -item[0]), start=1):
        canvas.instance = number
        draw(canvas, depth, across)
