"""The training step: teacher, student and spots to losses."""

from .distiller import Distiller
from .networks import build_network, load_weights
from .spot import Spot

__all__ = ['Distiller', 'Spot', 'build_network', 'load_weights']
