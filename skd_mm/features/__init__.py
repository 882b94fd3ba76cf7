"""The one way to run a network: stages, capture at a spot, stop behind the last one needed, replay what is known."""

from .backbones import backbone_stages, match_stages
from .cache import FeatureCache, needed_outputs, stand_in, tensors
from .network import Network
from .stages import Stage, split_stages

__all__ = ['FeatureCache', 'Network', 'Stage', 'backbone_stages', 'match_stages', 'needed_outputs', 'split_stages',
           'stand_in', 'tensors']
