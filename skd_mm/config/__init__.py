"""Checks of the names and values in a config, before anything is built."""

from .check import ConfigError, check_config

__all__ = ['ConfigError', 'check_config']
