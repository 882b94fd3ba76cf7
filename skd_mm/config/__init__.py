"""Checks of the names and values in a config, before anything is built."""

from .checks import check_config

__all__ = ['check_config']
