"""Running networks: divide them into stages, capture features, stop after the last one, replay known outputs."""

from .auxiliary import call_model
from .backbones import backbone_stages
from .cache import FeatureCache, FeatureFiles, fingerprint, samples_of, structure_of
from .execution import Execution
from .extractor import FeatureExtractor
from .head import head_feature
from .matching import match_stages
from .network_pair import ForwardPlan, ImageSizes, NetworkPair, PairOutputs, TeacherForcing
from .partial_forward import (
    StageEntry,
    find_stage_entries,
    recorded_paths,
    replayed_outputs,
    run_from_stage,
)
from .placeholders import needed_outputs, placeholder
from .stages import TASK_HEAD, Stage, StageSplit, split_stages
from .temporary_modes import constant, constant_statistics, preserve_modes, side_effect_free

__all__ = [
    'TASK_HEAD',
    'Execution',
    'FeatureCache',
    'FeatureExtractor',
    'FeatureFiles',
    'ForwardPlan',
    'ImageSizes',
    'NetworkPair',
    'PairOutputs',
    'Stage',
    'StageEntry',
    'StageSplit',
    'TeacherForcing',
    'backbone_stages',
    'call_model',
    'constant',
    'constant_statistics',
    'find_stage_entries',
    'fingerprint',
    'head_feature',
    'match_stages',
    'needed_outputs',
    'placeholder',
    'preserve_modes',
    'recorded_paths',
    'replayed_outputs',
    'run_from_stage',
    'samples_of',
    'side_effect_free',
    'split_stages',
    'structure_of',
]
