"""Encodings in which features are stored.

An encoding turns a feature into whatever tensors it stores, ``[B, ...]`` each, and back. The rest of the cache moves
these tensors without looking into them, so another encoding (8-bit integers with a scale per sample, say) is one more
class in this file, registered under the name that ``schedule.cache.dtype`` takes.
"""

from typing import Any

import torch
from torch import Tensor

from skd_mm.registry import ENCODINGS, build
from skd_mm.utils.pytree import tree_leaves, tree_map


@ENCODINGS.register_module(name='float32')
class Encoding:
    """Features as they are.

    Attributes:
        exact: Whether features are read back bit for bit.
    """

    exact = True

    def applies(self, feature: Any) -> bool:
        """Return whether a feature is encoded at all.

        Args:
            feature: ``[B, ...]``, or a tree of such.

        Returns:
            False stores it as it is.
        """
        return False

    def encode(self, feature: Any) -> Any:
        """Encode a feature.

        Args:
            feature: ``[B, ...]``, or a tree of such, to which the encoding applies.

        Returns:
            A tree of tensors ``[B, ...]``.
        """
        return feature

    def decode(self, stored: Any) -> Any:
        """Decode what :meth:`encode` returned, for the same samples or others.

        Args:
            stored: A tree of tensors ``[B, ...]``.

        Returns:
            The feature.
        """
        return stored

    def observe(self, feature: Any, stored: Any) -> None:
        """Take note of the error of features that are stored, without waiting for the device.

        Args:
            feature: The feature.
            stored: Its encoding.
        """

    def summary(self) -> str:
        """Return the error of all observed features as a phrase for the log; empty if there is none."""
        return ''


@ENCODINGS.register_module(name='bfloat16')
class BFloat16Encoding(Encoding):
    """``float32`` features in half the memory.

    Other features are stored as they are.
    """

    exact = False

    def __init__(self) -> None:
        # Sums of squares, on the device: of the errors, and of the features.
        self._errors: Tensor | None = None
        self._features: Tensor | None = None

    def applies(self, feature: Any) -> bool:
        """See :class:`Encoding`."""
        leaves = tree_leaves(feature)
        return bool(leaves) and all(tensor.dtype == torch.float32 for tensor in leaves)

    def encode(self, feature: Any) -> Any:
        """See :class:`Encoding`."""
        return tree_map(lambda tensor: tensor.to(torch.bfloat16), feature)

    def decode(self, stored: Any) -> Any:
        """See :class:`Encoding`."""
        return tree_map(torch.Tensor.float, stored)

    def observe(self, feature: Any, stored: Any) -> None:
        """See :class:`Encoding`."""
        for tensor, short in zip(tree_leaves(feature), tree_leaves(stored), strict=True):
            errors = (tensor - short).square().sum(dtype=torch.float64)
            features = tensor.square().sum(dtype=torch.float64)
            self._errors = errors if self._errors is None else self._errors + errors.to(self._errors.device)
            self._features = features if self._features is None else self._features + features.to(self._features.device)

    def summary(self) -> str:
        """See :class:`Encoding`."""
        if self._errors is None or self._features is None or not self._features.item():
            return ''
        return f'rounded by {(self._errors / self._features).sqrt().item():.2%} of their root mean square'


def build_encoding(dtype: str | torch.dtype | None) -> Encoding:
    """Build an encoding.

    Args:
        dtype: Its name, or the data type of that name; None stores features as they are.

    Returns:
        The encoding.

    Raises:
        ValueError: There is no such encoding; the closest names are given.
    """
    name = 'float32' if dtype is None else str(dtype).removeprefix('torch.')
    return build(ENCODINGS, dict(type=name))
