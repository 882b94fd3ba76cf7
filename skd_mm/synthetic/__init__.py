"""Generators of synthetic images: street scenes in CamVid's layout, and images of numbers."""

from .street_scenes import make_street_scenes, street_scene

__all__ = ['make_street_scenes', 'street_scene']
