"""The one way to run a network: stages, capture at a spot, stop behind the last one needed, replay what is known."""

from .backbones import backbone_stages, match_stages
from .cache import FeatureCache, FeatureFiles, fingerprint, samples_of, structure_of
from .execution import Execution
from .extractor import FeatureExtractor
from .partial_forward import (
    StageEntry,
    constant,
    find_stage_entries,
    recorded_paths,
    replayed_outputs,
    run_from_stage,
)
from .placeholders import needed_outputs, placeholder
from .stages import Stage, split_stages

__all__ = [
    'Execution', 'FeatureCache', 'FeatureExtractor', 'FeatureFiles', 'Stage', 'StageEntry', 'backbone_stages',
    'constant', 'find_stage_entries', 'fingerprint', 'match_stages', 'needed_outputs', 'placeholder',
    'recorded_paths', 'replayed_outputs', 'run_from_stage', 'samples_of', 'split_stages', 'structure_of',
]
