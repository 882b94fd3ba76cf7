"""Classifiers."""

from .embedding import EmbeddingClassifier

__all__ = ['EmbeddingClassifier']
