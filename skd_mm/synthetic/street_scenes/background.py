"""Everything that objects stand in front of: the sky, the skyline, the ground and both sides of the street."""

import numpy as np

from . import textures
from .canvas import Canvas
from .labels import Label
from .street import CAMERA_HEIGHT, LEFT, OVERSAMPLING, RIGHT, SIGNS

SKIES = [((205, 208, 212), (225, 225, 225)), ((95, 140, 205), (190, 210, 230)), ((150, 160, 175), (170, 172, 175)),
         ((110, 120, 160), (235, 180, 140)), ((120, 122, 125), (150, 148, 145)), ((70, 80, 110), (150, 130, 130))]
"""Colours at the top and at the horizon."""

STRETCHES = {Label.BUILDING: (3.5, 16), Label.FENCE: (1.0, 2.2), Label.TREE: (1.0, 6.0)}
"""Smallest and largest height of what stands along a street."""


def draw_background(canvas: Canvas) -> None:
    """Draw the background of a scene on an empty canvas."""
    draw_sky(canvas)
    draw_skyline(canvas)
    draw_end(canvas)
    draw_ground(canvas)
    for side in (LEFT, RIGHT):
        draw_side(canvas, side)


def draw_sky(canvas: Canvas) -> None:
    """Draw the sky over the whole canvas, and set the colour of the haze."""
    street, sampler = canvas.street, canvas.sampler
    top, bottom = (sampler.colour_near([colour], 8) for colour in SKIES[sampler.rng.integers(len(SKIES))])
    height = np.linspace(0, 1, street.height, dtype=np.float32)[:, None, None]
    clouds = sampler.noise(street.shape, street.width / 5) + 0.5 * sampler.noise(street.shape, street.width / 14)
    canvas.image[:] = top + (bottom - top) * height + sampler.uniform(0, 16) * clouds[..., None]
    canvas.label[:] = Label.SKY
    canvas.air = bottom


def _above_horizon(canvas: Canvas) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the region of the skyline, and the distance of its rows to the horizon, ``[rows, 1]``, in pixels."""
    street = canvas.street
    top = int(max(0, street.horizon - street.focal * 22 / street.end))
    at = (slice(top, int(street.horizon) + 3), slice(None))
    return at, street.horizon - np.arange(street.height, dtype=np.float32)[at[0], None]


def draw_skyline(canvas: Canvas) -> None:
    """Draw roofs and tree tops that rise above the houses."""
    street, sampler = canvas.street, canvas.sampler
    at, above = _above_horizon(canvas)
    shape = (above.shape[0], street.width)
    for _ in range(sampler.rng.integers(0, 3)):
        height = street.focal * sampler.uniform(4, 14) / street.end
        skyline = height * (1 + 0.3 * sampler.noise((1, street.width), street.width / 8)[0])
        if sampler.chance(0.5):
            skyline = skyline + 1.5 * OVERSAMPLING * sampler.noise((1, street.width), 3)[0]
            canvas.fill(above < skyline, Label.TREE, textures.leaves(sampler, shape, street.width), street.end, at)
        else:
            width = max(4, int(street.width * sampler.uniform(0.04, 0.12)))
            roofs = skyline[np.arange(street.width) // width * width]
            surface = textures.plaster(sampler, sampler.colour_near(textures.WALLS), shape)
            canvas.fill(above < roofs, Label.BUILDING, surface, street.end, at)


def draw_end(canvas: Canvas) -> None:
    """Sometimes draw a building across the end of the street."""
    street, sampler = canvas.street, canvas.sampler
    if not sampler.chance(0.45):
        return
    at, above = _above_horizon(canvas)
    shape = (above.shape[0], street.width)
    scale = street.end / street.focal
    left, right = sampler.uniform(-30, 0), sampler.uniform(2, 30)
    columns = np.arange(street.width, dtype=np.float32)
    along = np.broadcast_to((columns - street.vanishing) * scale - left, shape)
    up = np.broadcast_to(above * scale, shape)
    inside = (along > 0) & (along < right - left) & (up < sampler.uniform(5, 14))
    canvas.fill(inside, Label.BUILDING, textures.facade(sampler, along, up, canvas.air), street.end, at)


def draw_ground(canvas: Canvas) -> None:
    """Draw the road and the pavements."""
    street, sampler = canvas.street, canvas.sampler
    y, x = np.mgrid[:street.height, :street.width].astype(np.float32)
    depth = street.focal * CAMERA_HEIGHT / np.maximum(y - street.horizon, 0.3)
    across = (x - street.vanishing) * depth / street.focal
    below = y > street.horizon + street.focal * CAMERA_HEIGHT / 400
    road = (across > street.road[LEFT]) & (across < street.road[RIGHT])
    asphalt = textures.asphalt(sampler, street, depth, across)
    paving = textures.paving(sampler, street, depth, across)
    light = np.ones(street.shape, np.float32)
    if sampler.chance(0.6):  # shadows of houses and trees
        sunny = LEFT if street.sun > 0 else RIGHT
        edge = street.walls[sunny] * sampler.uniform(0.1, 1.0)
        ragged = edge + 0.8 * sampler.noise(street.shape, street.width / 12)
        light[(across - ragged) * street.sun < 0] = sampler.uniform(0.5, 0.8)
    if sampler.chance(0.25):  # a wet road reflects the sky
        asphalt += sampler.uniform(0.2, 0.5) * (canvas.air - asphalt)
    canvas.fill(below & ~road, Label.PAVEMENT, paving * light[..., None], depth)
    canvas.fill(below & road, Label.ROAD, asphalt * light[..., None], depth)


def draw_side(canvas: Canvas, side: int) -> None:
    """Draw houses, fences and hedges along one side, ray-cast column by column onto a plane parallel to the street.

    Args:
        canvas: The canvas.
        side: ``LEFT`` or ``RIGHT``.
    """
    street, sampler = canvas.street, canvas.sampler
    sign, wall = SIGNS[side], street.walls[side]
    lit = 1.0 if sign != street.sun else sampler.uniform(0.5, 0.85)
    columns = np.arange(street.width, dtype=np.float32)
    ahead = (columns - street.vanishing) * sign > 0.5
    for row in (1, 0):  # the second row is further away and shows through the gaps of the first
        plane = wall + sign * row * sampler.uniform(4, 12)
        depths = np.where(ahead, plane * street.focal / np.where(ahead, columns - street.vanishing, 1), np.inf)
        start = sampler.uniform(-6, 3)
        while start < street.end:
            length = sampler.uniform(4, 20)
            kind = str(sampler.rng.choice(['building', 'building', 'building', 'fence', 'tree', 'nothing']))
            seen = np.flatnonzero((depths > max(start, 0.5)) & (depths < start + length))
            if seen.size and kind != 'nothing':
                _draw_stretch(canvas, Label[kind.upper()], slice(seen[0], seen[-1] + 1), depths, start, lit)
            gap = sampler.uniform(0, 6) if sampler.chance(0.3) else 0
            start += length + gap


def _draw_stretch(canvas: Canvas, label: Label, columns: slice, depths: np.ndarray, start: float, lit: float) -> None:
    """Draw one house, fence or hedge.

    Args:
        canvas: The canvas.
        label: What to draw.
        columns: Columns of the canvas that it covers.
        depths: ``[width]``, distance of the plane from the camera in every column.
        start: Distance at which it begins.
        lit: Brightness of this side of the street.
    """
    street, sampler = canvas.street, canvas.sampler
    tallest = sampler.uniform(*STRETCHES[label])
    nearest = float(depths[columns].min())
    top = street.horizon - (tallest + 1 - CAMERA_HEIGHT) * street.focal / nearest
    bottom = street.horizon + CAMERA_HEIGHT * street.focal / nearest
    at = (slice(int(np.clip(top, 0, street.height - 1)), int(np.clip(bottom + 1, 1, street.height))), columns)
    depth = np.broadcast_to(depths[columns], canvas.label[at].shape)
    rows = np.arange(street.height, dtype=np.float32)[at[0], None]
    height = CAMERA_HEIGHT - (rows - street.horizon) * depth / street.focal
    if label == Label.BUILDING:
        surface = textures.facade(sampler, depth - start, height, canvas.air)
    elif label == Label.FENCE:
        surface = textures.slats(sampler, depth, height)
    else:
        surface = textures.leaves(sampler, height.shape, street.width)
        height = height - 0.4 * sampler.noise(height.shape, 6) * (height > 1)
    canvas.fill((height > 0) & (height < tallest), label, surface * lit, depth, at)
