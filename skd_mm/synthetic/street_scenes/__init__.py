"""Synthetic street scenes in CamVid's layout and classes: realistic enough to train on, generated in seconds.

A scene is a street seen from a car: a ground plane with a road and pavements, facades, fences and hedges along both
sides, a building at the end of the street, the sky, and cars, people, trees, poles and signs standing on the ground.
The ground and the facades are ray-cast. Everything else is painted from far to near, so objects occlude each other
correctly.

No colour belongs to a single class: walls, roads, pavements, clouds and cars share their greys, clothes and cars have
arbitrary colours, trees turn brown, and light, haze, shadows and camera change with every image. Texture, shape and
context distinguish the classes, so a network that uses them is needed.

All lengths are in metres unless noted otherwise.
"""

from .scene import street_scene
from .writer import make_street_scenes

__all__ = ['make_street_scenes', 'street_scene']
