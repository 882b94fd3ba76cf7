"""Cache of features that do not change within a phase: on the device, in memory of the host, and on disk."""

from .feature_cache import FeatureCache
from .files import FeatureFiles
from .fingerprint import fingerprint, samples_of, structure_of
from .out_of_memory import is_out_of_memory, restorer, retry_after_release

__all__ = [
    'FeatureCache', 'FeatureFiles', 'fingerprint', 'is_out_of_memory', 'restorer', 'retry_after_release', 'samples_of',
    'structure_of',
]
