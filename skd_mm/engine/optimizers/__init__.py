"""Optimizer wrappers, and the optimization step of phases with discriminators."""

from .amp_optim_wrapper import AmpOptimWrapper

__all__ = ['AmpOptimWrapper']
