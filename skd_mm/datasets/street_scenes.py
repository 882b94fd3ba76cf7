"""Synthetic street scenes in CamVid's layout and classes: real enough to learn from, and made in seconds.

A scene is a street seen from a car: a ground plane with road and pavements, facades, fences and hedges along both
sides, something at the end of the street, the sky, and cars, people, trees, poles and signs standing on the ground.
Ground and facades are cast ray by ray, the rest is painted from far to near, so things occlude each other as they do.

No colour belongs to one class: walls, roads, pavements, clouds and cars share their greys, clothes and cars have any
colour, trees turn brown, and light, haze, shadows and camera change with every picture. What tells the classes apart is
texture, shape and context, so a network that sees them is needed.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from .camvid import CLASSES, UNLABELLED

SPLITS = ('train', 'val', 'test')
MARKER = 'street_scenes.json'
"""The file that says that a set is whole, and how it was made."""

_VERSION = 1  # of what the pictures look like: raise it with any change to them, and existing sets are made anew
_OVERSAMPLING = 2  # drawn this much larger, then shrunk, for smooth edges
_CAMERA_HEIGHT = 1.5  # metres, as all lengths below
_ID = {name: i for i, name in enumerate(CLASSES)}

_Colour = np.ndarray
_WALLS = [(150, 80, 60), (170, 150, 120), (120, 118, 115), (205, 200, 190), (110, 95, 80), (140, 150, 165),
          (95, 70, 55), (190, 170, 110), (85, 85, 90), (105, 115, 85)]
_GROUNDS = [(105, 103, 105), (80, 80, 84), (125, 118, 108), (140, 138, 136), (95, 88, 84)]
_SLABS = [(130, 128, 125), (165, 158, 148), (110, 105, 105), (150, 110, 95), (105, 110, 120), (120, 120, 100)]
_LEAVES = [(60, 90, 40), (85, 110, 50), (45, 65, 45), (120, 105, 50), (140, 90, 45), (95, 80, 65), (100, 125, 85)]
_SKIES = [((205, 208, 212), (225, 225, 225)), ((95, 140, 205), (190, 210, 230)), ((150, 160, 175), (170, 172, 175)),
          ((110, 120, 160), (235, 180, 140)), ((120, 122, 125), (150, 148, 145)), ((70, 80, 110), (150, 130, 130))]
_SKIN = [(220, 180, 155), (170, 120, 90), (100, 70, 55)]


def make_street_scenes(root: str | os.PathLike,
                       train: int = 120,
                       val: int = 24,
                       test: int = 48,
                       size: tuple[int, int] = (96, 128),
                       seed: int = 0) -> Path:
    """Makes a set of street scenes that ``CamVidDataset`` reads.

    ``root`` appears whole or not at all. A set that is there already is kept when it is whole and was made with the
    same arguments, and made anew otherwise. A picture depends on the seed, its split, its number and the size alone, so
    a larger set contains the smaller one.

    Args:
        root: The folder to make: ``{train,val,test}/scene_NNNN.png`` beside ``{train,val,test}annot/scene_NNNN.png``.
        train: How many training images. Defaults to 120.
        val: How many validation images. Defaults to 24.
        test: How many test images. Defaults to 48.
        size: Height and width of the images. Defaults to (96, 128).
        seed: Which scenes. Defaults to 0.

    Returns:
        ``root``.

    Raises:
        ValueError: A count is negative, or the size is less than 32 on a side.
        FileExistsError: ``root`` is there and holds something else, which is left alone.
    """
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    for split, count in counts.items():
        if count < 0:
            raise ValueError(f'{split} must not be negative, but is {count}')
    if min(size) < 32:
        raise ValueError(f'size must be at least 32 on each side, but is {tuple(size)}')
    root = Path(root)
    made_with = {'version': _VERSION, 'counts': counts, 'size': list(size), 'seed': seed}
    if _is_whole(root, made_with):
        return root
    _refuse_anything_else(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    tmp = Path(tempfile.mkdtemp(prefix=f'.{root.name}-', dir=root.parent))
    try:
        for number, (split, count) in enumerate(counts.items()):
            (tmp / split).mkdir()
            (tmp / f'{split}annot').mkdir()
            for i in range(count):
                image, label = street_scene(size, (seed, number, i))
                _write(tmp / split / _file(i), image[..., ::-1])
                _write(tmp / f'{split}annot' / _file(i), label)
        (tmp / MARKER).write_text(json.dumps(made_with) + '\n')
        tmp.chmod(0o755)
        if root.exists():
            shutil.rmtree(root)
        tmp.rename(root)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return root


def street_scene(size: tuple[int, int] = (96, 128), seed: int | tuple[int, ...] = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws one scene.

    Args:
        size: Height H and width W. Defaults to (96, 128).
        seed: Which scene.

    Returns:
        The image, (H, W, 3) uint8 in RGB, and the label, (H, W) uint8: CamVid's ids, 11 for clutter.
    """
    scene = _Scene(size, np.random.default_rng(seed))
    scene.draw()
    return scene.shot()


def _file(number: int) -> str:
    return f'scene_{number:04d}.png'


def _write(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f'could not write {path}')


def _is_whole(root: Path, made_with: dict) -> bool:
    try:
        if json.loads((root / MARKER).read_text()) != made_with:
            return False
    except (OSError, ValueError):
        return False
    return all(
        {file.name for file in (root / folder).glob('*')} == {_file(i) for i in range(count)}
        for split, count in made_with['counts'].items() for folder in (split, f'{split}annot'))


def _refuse_anything_else(root: Path) -> None:
    """What is about to be replaced must be an earlier set or the rest of one, and not somebody's CamVid."""
    ours = re.compile(rf'({"|".join(SPLITS)})(annot)?(/scene_\d+\.png)?|{re.escape(MARKER)}')
    if root.is_symlink() or root.exists():
        others = [root] if not root.is_dir() else [
            path for path in root.rglob('*') if not ours.fullmatch(path.relative_to(root).as_posix())]
        if others or root.is_symlink():
            raise FileExistsError(f'{root} holds something else than street scenes ({(others or [root])[0]}); give '
                                  'another folder, or remove it')


class _Scene:
    """One picture in the making: ``image`` (h, w, 3) float32 in RGB, 0-255, and ``label`` (h, w) uint8."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.h, self.w = h, w = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
        self.image = np.zeros((h, w, 3), np.float32)
        self.label = np.full((h, w), UNLABELLED, np.uint8)
        self.focal = self.uniform(0.65, 1.05) * w
        self.horizon = self.uniform(0.3, 0.55) * h
        self.vanishing = self.uniform(0.25, 0.75) * w
        self.road = (self.uniform(-5.0, -1.5), self.uniform(1.5, 5.0))  # left and right kerb, seen from the camera
        self.walls = tuple(kerb + side * self.uniform(0.8, 5.5) for kerb, side in zip(self.road, (-1, 1), strict=True))
        self.end = self.uniform(25, 120)
        self.sun = self.rng.choice((-1, 1))  # which side is lit
        self.haze = self.rng.choice((0.0, 0.002, 0.006, 0.02))  # a metre

    # Chance

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def near(self, colours: list, spread: float = 14) -> _Colour:
        """One of the colours, changed a little."""
        colour = np.asarray(colours[self.rng.integers(len(colours))], np.float32)
        return np.clip(colour * self.uniform(0.75, 1.25) + self.rng.normal(0, spread, 3), 8, 247).astype(np.float32)

    def any_colour(self) -> _Colour:
        """What paint and clothes have: grey as often as not."""
        if self.chance(0.5):
            return np.full(3, self.uniform(25, 225), np.float32) + self.rng.normal(0, 6, 3).astype(np.float32)
        return self.rng.uniform(20, 220, 3).astype(np.float32)

    def noise(self, shape: tuple[int, int], grain: float) -> np.ndarray:
        """Smooth noise of unit deviation, ``grain`` pixels wide, of the shape (h, w)."""
        small = (max(2, int(shape[0] / grain) + 1), max(2, int(shape[1] / grain) + 1))
        field = self.rng.standard_normal(small, dtype=np.float32)
        return field if small == shape else cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)

    # The parts of a scene, from far to near

    def draw(self) -> None:
        self._sky()
        self._far()
        self._ground()
        for side in (0, 1):
            self._side(side)
        self._things()

    def _sky(self) -> None:
        top, bottom = (self.near([colour], 8) for colour in _SKIES[self.rng.integers(len(_SKIES))])
        height = np.linspace(0, 1, self.h, dtype=np.float32)[:, None, None]
        clouds = self.noise((self.h, self.w), self.w / 5) + 0.5 * self.noise((self.h, self.w), self.w / 14)
        self.image[:] = top + (bottom - top) * height + self.uniform(0, 16) * clouds[..., None]
        self.label[:] = _ID['sky']
        self.air = bottom

    def _far(self) -> None:
        """Roofs and tree tops behind the street, and what stands at its end."""
        top = int(max(0, self.horizon - self.focal * 22 / self.end))
        at = (slice(top, int(self.horizon) + 3), slice(None))
        above = self.horizon - np.arange(self.h, dtype=np.float32)[at[0], None]
        shape = (above.shape[0], self.w)
        for _ in range(self.rng.integers(0, 3)):
            skyline = self.focal * self.uniform(4, 14) / self.end * (1 + 0.3 * self.noise((1, self.w), self.w / 8)[0])
            if self.chance(0.5):
                skyline = skyline + 1.5 * _OVERSAMPLING * self.noise((1, self.w), 3)[0]
                self._fill(above < skyline, 'tree', self._leaves(shape), self.end, at)
            else:
                width = max(4, int(self.w * self.uniform(0.04, 0.12)))
                roofs = skyline[np.arange(self.w) // width * width]
                self._fill(above < roofs, 'building', self._plaster(self.near(_WALLS), shape), self.end, at)
        if self.chance(0.45):
            scale = self.end / self.focal
            left, right = self.uniform(-30, 0), self.uniform(2, 30)
            along = np.broadcast_to((np.arange(self.w, dtype=np.float32) - self.vanishing) * scale - left, shape)
            up = np.broadcast_to(above * scale, shape)
            inside = (along > 0) & (along < right - left) & (up < self.uniform(5, 14))
            self._fill(inside, 'building', self._facade(along, up), self.end, at)

    def _ground(self) -> None:
        y, x = np.mgrid[:self.h, :self.w].astype(np.float32)
        depth = self.focal * _CAMERA_HEIGHT / np.maximum(y - self.horizon, 0.3)
        across = (x - self.vanishing) * depth / self.focal
        below = y > self.horizon + self.focal * _CAMERA_HEIGHT / 400
        road = (across > self.road[0]) & (across < self.road[1])
        detail = np.clip(12 / depth, 0, 1)  # fine texture fades with distance, as it does in a photograph

        asphalt = self.near(_GROUNDS, 6) + np.zeros_like(self.image)
        asphalt += (self.uniform(3, 9) * self.noise((self.h, self.w), 1) * detail)[..., None]
        asphalt += (self.uniform(2, 9) * self.noise((self.h, self.w), self.w / 10))[..., None]
        for place in (0.5 * (self.road[0] + self.road[1]), self.road[0] + 0.4, self.road[1] - 0.4):
            if self.chance(0.6):
                dashes = np.mod(depth + self.uniform(0, 9), 9) < (4 if self.chance(0.7) else 9)
                asphalt[(np.abs(across - place) < self.uniform(0.06, 0.12)) & dashes] += self.uniform(40, 110)
        if self.chance(0.3):  # a zebra crossing
            start = self.uniform(4, 15)
            asphalt[(depth > start) & (depth < start + 3) & (np.mod(across, 1.0) < 0.5)] += self.uniform(50, 100)

        slab = self.uniform(0.4, 1.2)
        joints = (np.mod(across, slab) < 0.05) | (np.mod(depth, slab * self.uniform(0.7, 2)) < 0.06)
        paving = self.near(_SLABS, 8) + np.zeros_like(self.image)
        paving -= (self.uniform(10, 40) * joints * detail)[..., None]
        paving += (self.uniform(2, 7) * self.noise((self.h, self.w), 2) * detail)[..., None]
        kerb = np.minimum(np.abs(across - self.road[0]), np.abs(across - self.road[1])) < 0.12
        paving[kerb] += self.uniform(-25, 45)

        shade = np.ones((self.h, self.w), np.float32)
        if self.chance(0.6):  # shadows of houses and trees
            edge = self.walls[0 if self.sun > 0 else 1] * self.uniform(0.1, 1.0)
            ragged = edge + 0.8 * self.noise((self.h, self.w), self.w / 12)
            shade[(across - ragged) * self.sun < 0] = self.uniform(0.5, 0.8)
        if self.chance(0.25):  # a wet road mirrors the sky
            asphalt += self.uniform(0.2, 0.5) * (self.air - asphalt)
        self._fill(below & ~road, 'pavement', paving * shade[..., None], depth)
        self._fill(below & road, 'road', asphalt * shade[..., None], depth)

    def _side(self, side: int) -> None:
        """Houses, fences and hedges along one side, cast column by column on the plane ``x = walls[side]``."""
        sign, wall = (-1, 1)[side], self.walls[side]
        lit = 1.0 if sign != self.sun else self.uniform(0.5, 0.85)
        columns = np.arange(self.w, dtype=np.float32)
        ahead = (columns - self.vanishing) * sign > 0.5
        for layer in (1, 0):  # a second row, further off, shows through the gaps of the first
            plane = wall + sign * layer * self.uniform(4, 12)
            depths = np.where(ahead, plane * self.focal / np.where(ahead, columns - self.vanishing, 1), np.inf)
            start = self.uniform(-6, 3)
            while start < self.end:
                length = self.uniform(4, 20)
                kind = str(self.rng.choice(['building', 'building', 'building', 'fence', 'tree', 'nothing']))
                seen = np.flatnonzero((depths > max(start, 0.5)) & (depths < start + length))
                if seen.size and kind != 'nothing':
                    self._stretch(kind, slice(seen[0], seen[-1] + 1), depths, start, lit)
                start += length + (self.uniform(0, 6) if self.chance(0.3) else 0)

    def _stretch(self, kind: str, columns: slice, depths: np.ndarray, start: float, lit: float) -> None:
        """One house, fence or hedge on the columns of the picture that it covers."""
        tallest = self.uniform(*{'building': (3.5, 16), 'fence': (1.0, 2.2), 'tree': (1.0, 6.0)}[kind])
        nearest = float(depths[columns].min())
        top = self.horizon - (tallest + 1 - _CAMERA_HEIGHT) * self.focal / nearest
        bottom = self.horizon + _CAMERA_HEIGHT * self.focal / nearest
        at = (slice(int(np.clip(top, 0, self.h - 1)), int(np.clip(bottom + 1, 1, self.h))), columns)
        depth = np.broadcast_to(depths[columns], self.image[at].shape[:2])
        rows = np.arange(self.h, dtype=np.float32)[at[0], None]
        height = _CAMERA_HEIGHT - (rows - self.horizon) * depth / self.focal
        if kind == 'building':
            surface = self._facade(depth - start, height)
        elif kind == 'fence':
            surface = self._slats(depth, height)
        else:
            surface = self._leaves(height.shape)
            height = height - 0.4 * self.noise(height.shape, 6) * (height > 1)
        self._fill((height > 0) & (height < tallest), kind, surface * lit, depth, at)

    def _things(self) -> None:
        """Everything that stands on the ground, in the order of its distance."""
        things: list[tuple[float, Callable[[float, float], None], float]] = []

        def put(count: int, draw: Callable[[float, float], None], places: list[tuple[float, float]],
                nearest: float = 4) -> None:
            for _ in range(count):
                low, high = places[self.rng.integers(len(places))]
                # even in 1 / depth, so that as many stand near as far on the picture
                depth = 1 / self.uniform(1 / min(60, self.end), 1 / nearest)
                things.append((depth, draw, self.uniform(low, high)))

        left, right = (self.walls[0], self.road[0]), (self.road[1], self.walls[1])
        kerbs = [(self.road[0] - 0.5, self.road[0] + 1.2), (self.road[1] - 1.2, self.road[1] + 0.5)]
        put(int(self.rng.integers(0, 7)), self._car, [*kerbs, (self.road[0] + 1, self.road[1] - 1)], 5)
        put(int(self.rng.integers(0, 8)), self._tree, [left, right], 5)
        put(int(self.rng.integers(0, 6)), self._pedestrian, [left, right, left, right, self.road], 3)
        put(int(self.rng.integers(0, 3)), self._bicyclist, [*kerbs, self.road], 4)
        put(int(self.rng.integers(1, 6)), self._pole, [(left[1] - 0.8, left[1]), (right[0], right[0] + 0.8)], 4)
        put(int(self.rng.integers(0, 5)), self._sign, [(left[1] - 0.8, left[1]), (right[0], right[0] + 0.8)], 5)
        put(int(self.rng.integers(0, 4)), self._clutter, [left, right], 4)
        for depth, draw, across in sorted(things, key=lambda thing: -thing[0]):
            draw(depth, across)

    # Surfaces: (height, width, 3) of the part of the picture they are for

    def _plaster(self, colour: _Colour, shape: tuple[int, int]) -> np.ndarray:
        return colour + (self.uniform(2, 8) * self.noise(shape, 1.5))[..., None]

    def _leaves(self, shape: tuple[int, int]) -> np.ndarray:
        clumps = self.noise(shape, 2) + self.noise(shape, self.w / 40)
        colour = self.near(_LEAVES)
        return colour + (self.uniform(0.18, 0.34) * colour.mean() * clumps)[..., None]

    def _facade(self, along: np.ndarray, up: np.ndarray) -> np.ndarray:
        """A wall with rows of windows; ``along`` and ``up`` are metres on it."""
        surface = self._plaster(self.near(_WALLS), up.shape)
        if self.chance(0.5):  # courses of brick or cladding
            surface -= (self.uniform(5, 22) * (np.mod(up, self.uniform(0.25, 0.6)) < 0.1))[..., None]
        storey, bay = self.uniform(2.5, 3.6), self.uniform(1.4, 3.2)
        width, top, sill = self.uniform(0.35, 0.75), self.uniform(0.7, 0.92), self.uniform(0.2, 0.42)
        column, row = np.mod(along / bay, 1), np.mod(up / storey, 1)
        windows = (np.abs(column - 0.5) < width / 2) & (row > sill) & (row < top)
        frames = (np.abs(column - 0.5) < width / 2 + 0.05) & (row > sill - 0.03) & (row < top + 0.03)
        surface[frames] += self.uniform(-40, 50)
        glass = self.near([(50, 55, 62), (35, 32, 30), tuple(self.air)], 8)
        surface[windows] = glass + (10 * self.noise(up.shape, 4))[windows][:, None]
        if self.chance(0.35):  # shops
            shops = (up < storey) & (np.mod(along / (bay * 2), 1) < 0.8)
            surface[shops & (up < 0.75 * storey)] = self.near([(60, 60, 65), (110, 100, 90)])
            surface[shops & (up >= 0.75 * storey)] = self.any_colour()
        return surface

    def _slats(self, along: np.ndarray, up: np.ndarray) -> np.ndarray:
        pitch = self.uniform(0.12, 0.5)
        surface = self._plaster(self.near([(120, 95, 70), (90, 90, 92), (60, 75, 60), (170, 168, 160)]), up.shape)
        surface -= (self.uniform(30, 70) * (np.mod(along, pitch) < 0.35 * pitch))[..., None]
        surface += (self.uniform(0, 35) * (np.mod(up, 0.8) < 0.1))[..., None]
        return surface

    # Things: each stands at ``depth`` metres ahead and ``across`` metres to the right

    def _foot(self, depth: float, across: float) -> tuple[float, float, float]:
        """Where it meets the ground on the picture (x, y), and how many pixels a metre has there."""
        metre = self.focal / depth
        return self.vanishing + across * metre, self.horizon + _CAMERA_HEIGHT * metre, metre

    def _shadow(self, x: float, y: float, width: float, metre: float) -> None:
        mask = np.zeros((self.h, self.w), np.uint8)
        _ellipse(mask, x - self.sun * 0.3 * width, y, 0.6 * width, 0.12 * metre)
        self.image[mask > 0] *= self.uniform(0.5, 0.75)

    def _car(self, depth: float, across: float) -> None:
        x, y, metre = self._foot(depth, across)
        large = self.chance(0.15)
        end_on = abs(across) < 2.2 or self.chance(0.4)
        width = self.uniform(1.6, 1.9) if end_on else self.uniform(3.0, 4.4)
        height = self.uniform(1.35, 1.75)
        if large:
            width, height = width * 1.25, self.uniform(2.3, 3.2)
        width, height = width * metre, height * metre
        paint = self.any_colour()
        glass = self.near([(40, 44, 50), (25, 25, 28), tuple(self.air)], 6)
        self._shadow(x, y, width, metre)
        slope = self.uniform(0.1, 0.22) if not large else 0.03
        waist = self.uniform(0.5, 0.6) if not large else 0.45
        body = [(x - 0.5 * width, y - waist * height), (x + 0.5 * width, y - waist * height),
                (x + 0.49 * width, y - 0.12 * height), (x - 0.49 * width, y - 0.12 * height)]
        cabin = [(x - (0.5 - slope) * width, y - height), (x + (0.5 - slope) * width, y - height),
                 (x + 0.48 * width, y - waist * height), (x - 0.48 * width, y - waist * height)]
        panes = [(x - (0.46 - slope) * width, y - 0.93 * height), (x + (0.46 - slope) * width, y - 0.93 * height),
                 (x + 0.4 * width, y - (waist + 0.02) * height), (x - 0.4 * width, y - (waist + 0.02) * height)]
        self._polygon(cabin, 'car', paint * 0.9, depth)
        self._polygon(panes, 'car', glass, depth)
        wheel = 0.32 * metre
        for place in (-0.4, 0.4) if end_on else (-0.32, 0.32):
            self._ellipse(x + place * width, y - wheel, (0.35 if end_on else 1) * wheel, wheel, 'car',
                          np.full(3, 28, np.float32), depth)
        self._polygon(body, 'car', paint, depth, shade=0.25)
        if not end_on:
            for place in (-0.32, 0.32):
                self._ellipse(x + place * width, y - wheel, wheel, wheel, 'car', np.full(3, 26, np.float32), depth)
                self._ellipse(x + place * width, y - wheel, 0.5 * wheel, 0.5 * wheel, 'car',
                              np.full(3, 120, np.float32), depth)
            self._polygon([(x - 0.02 * width, y - 0.95 * height), (x + 0.02 * width, y - 0.95 * height),
                           (x + 0.02 * width, y - waist * height), (x - 0.02 * width, y - waist * height)], 'car',
                          paint * 0.8, depth)
        else:
            lamp = np.array([(215, 40, 35), (235, 230, 210)][self.rng.integers(2)], np.float32)
            for place in (-0.41, 0.41):
                self._ellipse(x + place * width, y - 0.45 * height, 0.06 * width, 0.05 * height, 'car', lamp, depth)
            self._polygon([(x - 0.14 * width, y - 0.3 * height), (x + 0.14 * width, y - 0.3 * height),
                           (x + 0.14 * width, y - 0.2 * height), (x - 0.14 * width, y - 0.2 * height)], 'car',
                          np.full(3, 200, np.float32), depth)

    def _tree(self, depth: float, across: float) -> None:
        x, y, metre = self._foot(depth, across)
        height, crown = self.uniform(3.5, 9) * metre, self.uniform(1.2, 2.8) * metre
        bark = self.near([(85, 70, 55), (70, 65, 60), (110, 100, 90)])
        trunk = max(1.0, self.uniform(0.1, 0.22) * metre)
        self._shadow(x, y, crown, metre)
        self._polygon([(x - trunk, y), (x + trunk, y), (x + 0.6 * trunk, y - 0.7 * height),
                       (x - 0.6 * trunk, y - 0.7 * height)], 'tree', bark, depth)
        left, right = int(max(0, x - 1.5 * crown)), int(min(self.w, x + 1.5 * crown))
        top, bottom = int(max(0, y - 1.3 * height)), int(min(self.h, y - 0.25 * height))
        if right - left < 2 or bottom - top < 2:
            return
        rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
        shape = (bottom - top, right - left)
        reach = ((columns - x) / crown)**2 + ((rows - y + 0.68 * height) / (0.38 * height))**2
        ragged = 0.28 * self.noise(shape, max(2.0, crown / 4)) + 0.22 * self.noise(shape, 2)
        inside = reach + ragged < (0.9 if self.chance(0.8) else 0.5)
        self._fill(inside, 'tree', self._leaves(shape), depth, (slice(top, bottom), slice(left, right)))

    def _person(self, x: float, y: float, metre: float, kind: str, depth: float) -> None:
        height = self.uniform(1.5, 1.9) * metre
        coat, legs, skin = self.any_colour(), self.any_colour() * 0.7, self.near(_SKIN)
        width = 0.13 * height * self.uniform(0.8, 1.3)
        step = self.uniform(0, 0.12) * height
        for foot in (-1, 1):
            self._polygon([(x - 0.06 * height, y - 0.5 * height), (x + 0.06 * height, y - 0.5 * height),
                           (x + foot * step + 0.04 * height, y), (x + foot * step - 0.04 * height, y)], kind, legs,
                          depth)
        self._polygon([(x - width, y - 0.84 * height), (x + width, y - 0.84 * height),
                       (x + 0.8 * width, y - 0.42 * height), (x - 0.8 * width, y - 0.42 * height)], kind, coat, depth,
                      shade=0.2)
        self._ellipse(x, y - 0.92 * height, 0.065 * height, 0.085 * height, kind, skin, depth)
        self._ellipse(x, y - 0.96 * height, 0.065 * height, 0.05 * height, kind, self.any_colour() * 0.5, depth)

    def _pedestrian(self, depth: float, across: float) -> None:
        x, y, metre = self._foot(depth, across)
        self._shadow(x, y, 0.6 * metre, metre)
        self._person(x, y, metre, 'pedestrian', depth)

    def _bicyclist(self, depth: float, across: float) -> None:
        x, y, metre = self._foot(depth, across)
        frame = self.any_colour() * 0.6
        self._shadow(x, y, metre, metre)
        gauge = self.uniform(0.1, 0.55) * metre
        thickness = max(1, int(0.09 * metre))
        radius = 0.34 * metre
        narrow = radius * min(1, 0.3 + gauge / (0.55 * metre))  # a wheel seen from behind is narrow

        def wheels(mask: np.ndarray) -> None:
            for place in (x - gauge, x + gauge):
                _ellipse(mask, place, y - radius, narrow, radius, thickness)

        self._stroke(wheels, 'bicyclist', frame, depth)
        self._polygon([(x - gauge, y - 0.4 * metre), (x + gauge, y - 0.4 * metre), (x + 0.3 * gauge, y - 0.75 * metre),
                       (x - 0.3 * gauge, y - 0.75 * metre)], 'bicyclist', frame, depth)
        self._person(x, y - 0.25 * metre, 0.95 * metre, 'bicyclist', depth)

    def _post(self, x: float, y: float, height: float, metre: float, depth: float) -> None:
        radius = max(0.5 * _OVERSAMPLING, self.uniform(0.05, 0.11) * metre)
        steel = self.near([(110, 110, 112), (60, 62, 65), (165, 165, 160), (90, 75, 60), (60, 75, 62)])
        self._polygon([(x - radius, y), (x + radius, y), (x + 0.8 * radius, y - height),
                       (x - 0.8 * radius, y - height)], 'pole', steel, depth, shade=0.3)

    def _pole(self, depth: float, across: float) -> None:
        x, y, metre = self._foot(depth, across)
        height = self.uniform(3, 8) * metre if self.chance(0.75) else self.uniform(0.8, 1.2) * metre  # or a bollard
        self._post(x, y, height, metre, depth)
        if self.chance(0.4):
            arm = self.uniform(-1.6, 1.6) * metre
            thickness = max(1, int(0.1 * metre))
            self._stroke(lambda mask: _line(mask, (x, y - height), (x + arm, y - 1.05 * height), thickness), 'pole',
                         np.full(3, 95, np.float32), depth)

    def _sign(self, depth: float, across: float) -> None:
        x, y, metre = self._foot(depth, across)
        height, size = self.uniform(2.2, 3.4) * metre, self.uniform(0.3, 0.55) * metre
        self._post(x, y, height, metre, depth)
        face, rim = self.any_colour(), self.near([(190, 40, 40), (40, 70, 160), (210, 210, 205), (40, 40, 40)])
        if self.chance(0.3):  # traffic lights
            self._polygon(_box(x, y - height, 0.5 * size, 1.2 * size), 'signsymbol', np.full(3, 32, np.float32), depth)
            lamps = [(220, 50, 40), (225, 170, 50), (60, 200, 110)]
            self._ellipse(x, y - height + 0.7 * size * self.rng.integers(-1, 2), 0.3 * size, 0.3 * size, 'signsymbol',
                          np.array(lamps[self.rng.integers(3)], np.float32), depth)
        elif self.chance(0.5):
            self._ellipse(x, y - height, size, size, 'signsymbol', rim, depth)
            self._ellipse(x, y - height, 0.7 * size, 0.7 * size, 'signsymbol', face, depth)
        else:
            width = size * self.uniform(0.8, 2)
            self._polygon(_box(x, y - height, width, size), 'signsymbol', rim, depth)
            self._polygon(_box(x, y - height, 0.85 * width, 0.3 * size), 'signsymbol', face, depth)

    def _clutter(self, depth: float, across: float) -> None:
        """Bins, boxes and what else has no class."""
        x, y, metre = self._foot(depth, across)
        width, height = self.uniform(0.25, 0.6) * metre, self.uniform(0.5, 1.2) * metre
        self._shadow(x, y, width, metre)
        self._polygon([(x - width, y), (x + width, y), (x + 0.9 * width, y - height), (x - 0.9 * width, y - height)],
                      None, self.any_colour(), depth, shade=0.2)

    # Paint

    def _fill(self, mask: np.ndarray, kind: str | None, surface: np.ndarray, depth: float | np.ndarray,
              at: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        """Paints where ``mask`` is.

        Args:
            mask: (height, width) bool, of the part ``at`` of the picture, as are the others.
            kind: The class, or None for unlabelled.
            surface: (height, width, 3), the colours there.
            depth: Metres, one or (height, width).
            at: Rows and columns. Defaults to the whole picture.
        """
        clear = np.exp(np.float32(-self.haze) * (depth[mask] if isinstance(depth, np.ndarray) else np.float32(depth)))
        self.image[at][mask] = self.air + (surface[mask] - self.air) * np.reshape(clear, (-1, 1))
        self.label[at][mask] = UNLABELLED if kind is None else _ID[kind]

    def _stroke(self, draw: Callable[[np.ndarray], object], kind: str | None, colour: _Colour, depth: float,
                shade: float = 0.0) -> None:
        mask = np.zeros((self.h, self.w), np.uint8)
        draw(mask)
        x0, y0, width, height = cv2.boundingRect(mask)
        if not width:
            return
        part = mask[y0:y0 + height, x0:x0 + width] > 0
        # round bodies are lighter on the side of the sun
        light = 1 + shade * self.sun * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
        grain = 3 * self.rng.standard_normal((height, width, 1), dtype=np.float32)
        surface = self.air + (colour * light + grain - self.air) * np.float32(np.exp(-self.haze * depth))
        self.image[y0:y0 + height, x0:x0 + width][part] = surface[part]
        self.label[y0:y0 + height, x0:x0 + width][part] = UNLABELLED if kind is None else _ID[kind]

    def _polygon(self, points: list[tuple[float, float]], kind: str | None, colour: _Colour, depth: float,
                 shade: float = 0.0) -> None:
        corners = np.round(points).astype(np.int32)
        self._stroke(lambda mask: cv2.fillPoly(mask, [corners], 255), kind, colour, depth, shade)

    def _ellipse(self, x: float, y: float, a: float, b: float, kind: str | None, colour: _Colour, depth: float) -> None:
        self._stroke(lambda mask: _ellipse(mask, x, y, a, b), kind, colour, depth, 0.15)

    # The camera

    def shot(self) -> tuple[np.ndarray, np.ndarray]:
        """Tilts, lights, blurs and shrinks the scene to what a camera gives."""
        h, w = self.h, self.w
        tilt = cv2.getRotationMatrix2D((w / 2, h / 2), self.uniform(-3.5, 3.5), 1.06)
        image = cv2.warpAffine(self.image, tilt, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        label = cv2.warpAffine(self.label, tilt, (w, h), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA)
        label = np.ascontiguousarray(label[_OVERSAMPLING // 2::_OVERSAMPLING, _OVERSAMPLING // 2::_OVERSAMPLING])
        if self.chance(0.25):
            image = cv2.GaussianBlur(image, (3, 3), self.uniform(0.3, 0.8))
        if self.chance(0.12):  # rain
            streaks = np.zeros(self.size, np.float32)
            for _ in range(self.size[1] // 2):
                x, y = self.uniform(0, self.size[1]), self.uniform(0, self.size[0])
                _line(streaks, (x, y), (x + 1, y + 0.06 * self.size[0]), 1, 1.0)
            image = image + (self.uniform(15, 40) * streaks)[..., None]
        warmth = self.uniform(-0.12, 0.12)
        image = image * np.array([1 + warmth, 1, 1 - warmth], np.float32) * self.uniform(0.65, 1.2)
        image = 255 * (np.clip(image, 0, 255) / 255)**self.uniform(0.8, 1.3)
        image = image + self.uniform(1, 6) * self.rng.standard_normal(image.shape, dtype=np.float32)
        return np.clip(np.round(image), 0, 255).astype(np.uint8), label


def _box(x: float, y: float, half_width: float, half_height: float) -> list[tuple[float, float]]:
    return [(x - half_width, y - half_height), (x + half_width, y - half_height), (x + half_width, y + half_height),
            (x - half_width, y + half_height)]


def _ellipse(mask: np.ndarray, x: float, y: float, a: float, b: float, thickness: int = -1) -> None:
    axes = (max(1, round(a)), max(1, round(b)))
    cv2.ellipse(mask, (round(x), round(y)), axes, 0, 0, 360, 255, thickness)


def _line(mask: np.ndarray, start: tuple[float, float], end: tuple[float, float], thickness: int,
          value: float = 255) -> None:
    cv2.line(mask, (round(start[0]), round(start[1])), (round(end[0]), round(end[1])), value, thickness)
