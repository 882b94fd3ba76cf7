"""The one way to run a network: its stages, capture at a spot, stop behind the last one needed, replay what is known."""

from .network import Network
from .stages import Stage, split_stages

__all__ = ['Network', 'Stage', 'split_stages']
