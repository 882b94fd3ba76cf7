"""Spot-adaptive distillation: gates, policy and router, which decide which samples are distilled at which spot."""

from .gates import GATES, gated
from .policy import Policy
from .router import Router

__all__ = ['GATES', 'Policy', 'Router', 'gated']
