"""Objects that stand on the ground.

Each public function draws one object ``depth`` ahead of the camera and ``across`` to the right of it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .canvas import Canvas, box, draw_ellipse, draw_line, trapezoid
from .labels import Label
from .sampler import Colour
from .street import OVERSAMPLING, Foot
from .textures import leaves

DrawFn = Callable[[Canvas, float, float], None]

SKIN = [(220, 180, 155), (170, 120, 90), (100, 70, 55)]
BARK = [(85, 70, 55), (70, 65, 60), (110, 100, 90)]
STEEL = [(110, 110, 112), (60, 62, 65), (165, 165, 160), (90, 75, 60), (60, 75, 62)]
SIGN_RIMS = [(190, 40, 40), (40, 70, 160), (210, 210, 205), (40, 40, 40)]
TRAFFIC_LIGHTS = [(220, 50, 40), (225, 170, 50), (60, 200, 110)]
CAR_LIGHTS = [(215, 40, 35), (235, 230, 210)]


class _Car(NamedTuple):
    """Where a car stands and how large it is; lengths in pixels, ``waist`` as a fraction of the height."""

    foot: Foot
    depth: float
    width: float
    height: float
    waist: float
    paint: Colour


def draw_car(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a car or a van, seen from the side or from one end."""
    sampler = canvas.sampler
    foot = canvas.street.foot(depth, across)
    x, y, metre = foot
    large = sampler.chance(0.15)
    end_on = abs(across) < 2.2 or sampler.chance(0.4)
    width = sampler.uniform(1.6, 1.9) if end_on else sampler.uniform(3.0, 4.4)
    height = sampler.uniform(1.35, 1.75)
    if large:
        width, height = width * 1.25, sampler.uniform(2.3, 3.2)
    width, height = width * metre, height * metre
    paint = sampler.any_colour()
    glass = sampler.colour_near([(40, 44, 50), (25, 25, 28), tuple(canvas.air)], 6)
    canvas.shadow(foot, width)
    slope, waist = 0.03, 0.45
    if not large:
        slope, waist = sampler.uniform(0.1, 0.22), sampler.uniform(0.5, 0.6)

    cabin = trapezoid(x, y - height, (0.5 - slope) * width, y - waist * height, 0.48 * width)
    panes = trapezoid(x, y - 0.93 * height, (0.46 - slope) * width, y - (waist + 0.02) * height, 0.4 * width)
    body = trapezoid(x, y - waist * height, 0.5 * width, y - 0.12 * height, 0.49 * width)
    wheel = 0.32 * metre
    spread, wheel_width = (0.4, 0.35 * wheel) if end_on else (0.32, wheel)
    canvas.polygon(cabin, Label.CAR, paint * 0.9, depth)
    canvas.polygon(panes, Label.CAR, glass, depth)
    for place in (-spread, spread):
        canvas.ellipse(x + place * width, y - wheel, wheel_width, wheel, Label.CAR, _grey(28), depth)
    canvas.polygon(body, Label.CAR, paint, depth, shade=0.25)
    car = _Car(foot, depth, width, height, waist, paint)
    if end_on:
        _draw_car_end(canvas, car)
    else:
        _draw_car_side(canvas, car)


def _draw_car_side(canvas: Canvas, car: _Car) -> None:
    """Draw the wheels and the pillar between the doors."""
    x, y, metre = car.foot
    wheel = 0.32 * metre
    for place in (-0.32, 0.32):
        centre = x + place * car.width
        canvas.ellipse(centre, y - wheel, wheel, wheel, Label.CAR, _grey(26), car.depth)
        canvas.ellipse(centre, y - wheel, 0.5 * wheel, 0.5 * wheel, Label.CAR, _grey(120), car.depth)
    half = 0.02 * car.width
    pillar = trapezoid(x, y - 0.95 * car.height, half, y - car.waist * car.height, half)
    canvas.polygon(pillar, Label.CAR, car.paint * 0.8, car.depth)


def _draw_car_end(canvas: Canvas, car: _Car) -> None:
    """Draw two lights and the number plate."""
    x, y, _ = car.foot
    light = np.array(CAR_LIGHTS[canvas.sampler.rng.integers(2)], np.float32)
    for place in (-0.41, 0.41):
        canvas.ellipse(x + place * car.width, y - 0.45 * car.height, 0.06 * car.width, 0.05 * car.height, Label.CAR,
                       light, car.depth)
    half = 0.14 * car.width
    plate = trapezoid(x, y - 0.3 * car.height, half, y - 0.2 * car.height, half)
    canvas.polygon(plate, Label.CAR, _grey(200), car.depth)


def draw_tree(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a tree with a ragged crown."""
    street, sampler = canvas.street, canvas.sampler
    foot = street.foot(depth, across)
    x, y, metre = foot
    height, crown = sampler.uniform(3.5, 9) * metre, sampler.uniform(1.2, 2.8) * metre
    bark = sampler.colour_near(BARK)
    trunk = max(1.0, sampler.uniform(0.1, 0.22) * metre)
    canvas.shadow(foot, crown)
    canvas.polygon(trapezoid(x, y, trunk, y - 0.7 * height, 0.6 * trunk), Label.TREE, bark, depth)

    left, right = int(max(0, x - 1.5 * crown)), int(min(street.width, x + 1.5 * crown))
    top, bottom = int(max(0, y - 1.3 * height)), int(min(street.height, y - 0.25 * height))
    if right - left < 2 or bottom - top < 2:
        return
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    shape = (bottom - top, right - left)
    reach = ((columns - x) / crown)**2 + ((rows - y + 0.68 * height) / (0.38 * height))**2
    ragged = 0.28 * sampler.noise(shape, max(2.0, crown / 4)) + 0.22 * sampler.noise(shape, 2)
    inside = reach + ragged < (0.9 if sampler.chance(0.8) else 0.5)
    at = (slice(top, bottom), slice(left, right))
    canvas.fill(inside, Label.TREE, leaves(sampler, shape, street.width), depth, at)


def draw_pedestrian(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a pedestrian."""
    foot = canvas.street.foot(depth, across)
    canvas.shadow(foot, 0.6 * foot.metre)
    _draw_person(canvas, foot, Label.PEDESTRIAN, depth)


def draw_bicyclist(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a bicycle with its rider, in any direction."""
    sampler = canvas.sampler
    foot = canvas.street.foot(depth, across)
    x, y, metre = foot
    frame = sampler.any_colour() * 0.6
    canvas.shadow(foot, metre)
    gauge = sampler.uniform(0.1, 0.55) * metre
    thickness = max(1, int(0.09 * metre))
    radius = 0.34 * metre
    narrow = radius * min(1, 0.3 + gauge / (0.55 * metre))  # a wheel seen from the front or the rear is narrow

    def draw_wheels(mask: np.ndarray) -> None:
        for place in (x - gauge, x + gauge):
            draw_ellipse(mask, place, y - radius, narrow, radius, thickness)

    canvas.stroke(draw_wheels, Label.BICYCLIST, frame, depth)
    canvas.polygon(trapezoid(x, y - 0.4 * metre, gauge, y - 0.75 * metre, 0.3 * gauge), Label.BICYCLIST, frame, depth)
    _draw_person(canvas, Foot(x, y - 0.25 * metre, 0.95 * metre), Label.BICYCLIST, depth)


def _draw_person(canvas: Canvas, foot: Foot, label: Label, depth: float) -> None:
    sampler = canvas.sampler
    x, y, metre = foot
    height = sampler.uniform(1.5, 1.9) * metre
    coat, trousers, skin = sampler.any_colour(), sampler.any_colour() * 0.7, sampler.colour_near(SKIN)
    width = 0.13 * height * sampler.uniform(0.8, 1.3)
    step = sampler.uniform(0, 0.12) * height
    hip, ankle = 0.06 * height, 0.04 * height
    for side in (-1, 1):
        leg = [(x - hip, y - 0.5 * height), (x + hip, y - 0.5 * height), (x + side * step + ankle, y),
               (x + side * step - ankle, y)]
        canvas.polygon(leg, label, trousers, depth)
    torso = trapezoid(x, y - 0.84 * height, width, y - 0.42 * height, 0.8 * width)
    canvas.polygon(torso, label, coat, depth, shade=0.2)
    canvas.ellipse(x, y - 0.92 * height, 0.065 * height, 0.085 * height, label, skin, depth)
    hair = sampler.any_colour() * 0.5
    canvas.ellipse(x, y - 0.96 * height, 0.065 * height, 0.05 * height, label, hair, depth)


def draw_pole(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a lamp post, with or without an arm, or a bollard."""
    sampler = canvas.sampler
    foot = canvas.street.foot(depth, across)
    x, y, metre = foot
    tall = sampler.chance(0.75)
    height = (sampler.uniform(3, 8) if tall else sampler.uniform(0.8, 1.2)) * metre
    _draw_post(canvas, foot, height, depth)
    if sampler.chance(0.4):
        end = (x + sampler.uniform(-1.6, 1.6) * metre, y - 1.05 * height)
        thickness = max(1, int(0.1 * metre))
        canvas.stroke(lambda mask: draw_line(mask, (x, y - height), end, thickness), Label.POLE, _grey(95), depth)


def _draw_post(canvas: Canvas, foot: Foot, height: float, depth: float) -> None:
    sampler = canvas.sampler
    radius = max(0.5 * OVERSAMPLING, sampler.uniform(0.05, 0.11) * foot.metre)
    steel = sampler.colour_near(STEEL)
    post = trapezoid(foot.x, foot.y, radius, foot.y - height, 0.8 * radius)
    canvas.polygon(post, Label.POLE, steel, depth, shade=0.3)


def draw_sign(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a post with traffic lights, a round sign or a rectangular sign."""
    sampler = canvas.sampler
    foot = canvas.street.foot(depth, across)
    x, y, metre = foot
    height, size = sampler.uniform(2.2, 3.4) * metre, sampler.uniform(0.3, 0.55) * metre
    _draw_post(canvas, foot, height, depth)
    centre = y - height
    face, rim = sampler.any_colour(), sampler.colour_near(SIGN_RIMS)
    if sampler.chance(0.3):
        canvas.polygon(box(x, centre, 0.5 * size, 1.2 * size), Label.SIGNSYMBOL, _grey(32), depth)
        lamp = centre + 0.7 * size * sampler.rng.integers(-1, 2)
        light = np.array(TRAFFIC_LIGHTS[sampler.rng.integers(3)], np.float32)
        canvas.ellipse(x, lamp, 0.3 * size, 0.3 * size, Label.SIGNSYMBOL, light, depth)
    elif sampler.chance(0.5):
        canvas.ellipse(x, centre, size, size, Label.SIGNSYMBOL, rim, depth)
        canvas.ellipse(x, centre, 0.7 * size, 0.7 * size, Label.SIGNSYMBOL, face, depth)
    else:
        width = size * sampler.uniform(0.8, 2)
        canvas.polygon(box(x, centre, width, size), Label.SIGNSYMBOL, rim, depth)
        canvas.polygon(box(x, centre, 0.85 * width, 0.3 * size), Label.SIGNSYMBOL, face, depth)


def draw_clutter(canvas: Canvas, depth: float, across: float) -> None:
    """Draw a bin, a box or another object without a class."""
    sampler = canvas.sampler
    foot = canvas.street.foot(depth, across)
    x, y, metre = foot
    width, height = sampler.uniform(0.25, 0.6) * metre, sampler.uniform(0.5, 1.2) * metre
    canvas.shadow(foot, width)
    outline = trapezoid(x, y, width, y - height, 0.9 * width)
    canvas.polygon(outline, Label.UNLABELLED, sampler.any_colour(), depth, shade=0.2)


def _grey(value: float) -> Colour:
    return np.full(3, value, np.float32)
