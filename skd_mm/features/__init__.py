"""The one way to run a network: stages, capture at a spot, stop behind the last one needed, replay what is known."""

from .backbones import backbone_stages, match_stages
from .cache import FeatureCache, needed_outputs, stand_in
from .execution import Execution
from .files import FeatureFiles
from .fingerprint import fingerprint, samples_of, structure_of
from .nests import tensors
from .network import Network
from .reentry import Entry, constant, enter, find_entries, note_paths, replayed
from .stages import Stage, split_stages

__all__ = ['Entry', 'Execution', 'FeatureCache', 'FeatureFiles', 'Network', 'Stage', 'backbone_stages', 'constant',
           'enter', 'find_entries', 'fingerprint', 'match_stages', 'needed_outputs', 'note_paths', 'replayed',
           'samples_of', 'split_stages', 'stand_in', 'structure_of', 'tensors']
