"""Training loops."""

from .phase_loop import PhaseLoop

__all__ = ['PhaseLoop']
