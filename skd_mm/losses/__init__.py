"""What is compared: losses between a student's and a teacher's feature, one family a file."""

from .af_dcd import AfDCDLoss
from .attention import ATLoss
from .base import Feature, RelationalLoss, SpotLoss
from .bpkd import BPKDLoss
from .cirkd import CIRKDLoss, CIRKDMemoryLoss
from .contrastive import CRDLoss
from .cwd import CWDLoss
from .dense_scores import SigmoidKDLoss
from .dist import DISTLoss
from .factor import FTLoss
from .fsp import FSPLoss
from .hint import MSELoss
from .ifvd import IFVDLoss
from .logits import DKDLoss, KDLoss
from .nst import NSTLoss
from .pairwise import SKDSPairwiseLoss
from .pkd import PKDLoss
from .queue import QueueKDLoss
from .similarity import CCLoss, PKTLoss, RKDLoss, SPLoss
from .vid import VIDLoss

__all__ = [
    'ATLoss',
    'AfDCDLoss',
    'BPKDLoss',
    'CCLoss',
    'CIRKDLoss',
    'CIRKDMemoryLoss',
    'CRDLoss',
    'CWDLoss',
    'DISTLoss',
    'DKDLoss',
    'FSPLoss',
    'FTLoss',
    'Feature',
    'IFVDLoss',
    'KDLoss',
    'MSELoss',
    'NSTLoss',
    'PKDLoss',
    'PKTLoss',
    'QueueKDLoss',
    'RKDLoss',
    'RelationalLoss',
    'SKDSPairwiseLoss',
    'SPLoss',
    'SigmoidKDLoss',
    'SpotLoss',
    'VIDLoss',
]
