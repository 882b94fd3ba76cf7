"""MMEngine's side: the training loop over the phases, and the hooks, optimizers and schedulers that it needs."""

from .hooks import BroadcastBuffersHook, KeepRateHook, PhaseCheckpointHook, PhaseHook
from .log_processor import PhaseLogProcessor
from .loops import PhaseLoop
from .optimizers import AmpOptimWrapper
from .schedulers import OneCycleMomentum

__all__ = ['AmpOptimWrapper', 'BroadcastBuffersHook', 'KeepRateHook', 'OneCycleMomentum', 'PhaseCheckpointHook',
           'PhaseHook', 'PhaseLogProcessor', 'PhaseLoop']
