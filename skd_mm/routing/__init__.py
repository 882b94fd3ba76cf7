"""Which samples are distilled at which spot: gates, and the policy that learns them (spot-adaptive distillation)."""

from .gates import GATES, gated
from .policy import Policy
from .router import Router

__all__ = ['GATES', 'Policy', 'Router', 'gated']
