"""The step: teacher + student + spots -> losses."""

from .distiller import Distiller
from .networks import build_network, load_weights
from .spot import Spot

__all__ = ['Distiller', 'Spot', 'build_network', 'load_weights']
