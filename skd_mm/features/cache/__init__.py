"""Cache of features that do not change within a phase: in memory and on disk."""

from .feature_cache import FeatureCache
from .files import FeatureFiles
from .fingerprint import fingerprint, samples_of, structure_of

__all__ = ['FeatureCache', 'FeatureFiles', 'fingerprint', 'samples_of', 'structure_of']
