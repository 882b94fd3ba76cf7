"""Configs: reading them as the tools do, and checks of their names and values before anything is built."""

from .check import ConfigError, check_config
from .loading import follow_schedule, load_config
from .options import merge_options, parse_options

__all__ = ['ConfigError', 'check_config', 'follow_schedule', 'load_config', 'merge_options', 'parse_options']
