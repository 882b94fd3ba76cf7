"""Hooks of a run with phases."""

from .broadcast_buffers_hook import BroadcastBuffersHook
from .due_validation_hook import DueValidationHook
from .keep_rate_hook import KeepRateHook
from .phase_checkpoint_hook import PhaseCheckpointHook
from .phase_hook import PhaseHook

__all__ = ['BroadcastBuffersHook', 'DueValidationHook', 'KeepRateHook', 'PhaseCheckpointHook', 'PhaseHook']
