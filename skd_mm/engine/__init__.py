"""MMEngine's side: the training loop that walks the phases, and the hooks that go with it."""

from .checkpoint_hook import PhaseCheckpointHook
from .keep_rate_hook import KeepRateHook
from .log_processor import PhaseLogProcessor
from .optim_wrapper import AmpOptimWrapper
from .phase_hook import PhaseHook
from .phase_loop import PhaseLoop
from .schedulers import OneCycleMomentum

__all__ = ['AmpOptimWrapper', 'KeepRateHook', 'OneCycleMomentum', 'PhaseCheckpointHook', 'PhaseHook',
           'PhaseLogProcessor', 'PhaseLoop']
