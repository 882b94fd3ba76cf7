"""What is remembered of samples between batches, for losses that compare a sample with more than its batch."""

from .class_queues import ClassQueues
from .contrast import ContrastMemory
from .vector_queue import VectorQueue

__all__ = ['ClassQueues', 'ContrastMemory', 'VectorQueue']
