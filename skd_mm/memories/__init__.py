"""What is remembered of samples between batches, for losses that compare a sample with more than its batch."""

from .contrast import ContrastMemory

__all__ = ['ContrastMemory']
