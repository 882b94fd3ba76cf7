"""Necks."""

from .concat_pooling import ConcatPooling

__all__ = ['ConcatPooling']
