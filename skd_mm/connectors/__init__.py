"""How unequal features are made comparable."""

from .projection import Conv1x1
from .resize import Resize

__all__ = ['Conv1x1', 'Resize']
