"""What is compared: losses between a student's and a teacher's feature, one family a file."""

from .base import SpotLoss
from .hint import MSELoss

__all__ = ['MSELoss', 'SpotLoss']
