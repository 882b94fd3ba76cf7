"""Hooks: what happens at the events of a run with phases."""

from .keep_rate_hook import KeepRateHook
from .phase_checkpoint_hook import PhaseCheckpointHook
from .phase_hook import PhaseHook

__all__ = ['KeepRateHook', 'PhaseCheckpointHook', 'PhaseHook']
