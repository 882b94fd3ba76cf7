"""Hooks of a run with phases."""

from .broadcast_buffers_hook import BroadcastBuffersHook
from .keep_rate_hook import KeepRateHook
from .phase_checkpoint_hook import PhaseCheckpointHook
from .phase_hook import PhaseHook

__all__ = ['BroadcastBuffersHook', 'KeepRateHook', 'PhaseCheckpointHook', 'PhaseHook']
