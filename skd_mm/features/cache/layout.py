"""Layout of the features of a sample in the cache."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skd_mm.utils.pytree import tree_leaves, tree_map


@dataclass(frozen=True)
class Leaf:
    """One tensor of a sample.

    Attributes:
        shape: Its shape as it is stored: ``(H, W, C)`` for ``channels_last``.
        dtype: Its data type.
        channels_last: Whether ``[B, C, H, W]`` tensors have their channels last in memory.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    channels_last: bool

    @property
    def nbytes(self) -> int:
        """Bytes per sample."""
        return math.prod(self.shape) * self.dtype.itemsize


class Layout:
    """Turns the features of a batch into a list of tensors to store, and back.

    Args:
        features: Features by name: ``[B, ...]``, or trees of such.
        encoded: Names of the features that an encoding has to decode.
    """

    def __init__(self, features: Mapping[str, Any], encoded: Sequence[str] = ()) -> None:
        tree = tree_map(lambda tensor: torch.empty(0, dtype=tensor.dtype, device='cpu'), dict(features))
        self._build(tree, [_leaf(tensor) for tensor in tree_leaves(dict(features))], encoded)

    def _build(self, tree: dict[str, Any], leaves: list[Leaf], encoded: Sequence[str]) -> None:
        self._tree = tree
        self.leaves = leaves
        self.encoded = tuple(encoded)
        self.nbytes = sum(leaf.nbytes for leaf in leaves)
        self.key = repr((tree_map(lambda tensor: str(tensor.dtype), tree), leaves, self.encoded))

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        return list(self._tree)

    def split(self, features: Mapping[str, Any]) -> list[Tensor]:
        """Return the tensors of a batch as they are stored.

        Args:
            features: Features of this layout.

        Returns:
            For each leaf ``[B, *leaf.shape]``, without a graph; views, if their memory format permits.
        """
        tensors = [tensor.detach() for tensor in tree_leaves(dict(features))]
        return [tensor.permute(0, 2, 3, 1) if leaf.channels_last else tensor
                for tensor, leaf in zip(tensors, self.leaves, strict=True)]

    def join(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """Return the features of a batch.

        Args:
            tensors: For each leaf ``[B, *leaf.shape]``.

        Returns:
            Features by name.
        """
        rest = iter(tensor.permute(0, 3, 1, 2) if leaf.channels_last else tensor
                    for tensor, leaf in zip(tensors, self.leaves, strict=True))
        return tree_map(lambda _: next(rest), self._tree)

    def state_dict(self) -> dict[str, Any]:
        """Return what :meth:`load` needs, of types that ``torch.load(weights_only=True)`` reads."""
        return dict(tree=self._tree, encoded=list(self.encoded),
                    leaves=[[list(leaf.shape), leaf.dtype, leaf.channels_last] for leaf in self.leaves])

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> 'Layout':
        """Build a layout from its state.

        Args:
            state: See :meth:`state_dict`.

        Returns:
            The layout.
        """
        layout = cls.__new__(cls)
        leaves = [Leaf(tuple(shape), dtype, channels_last) for shape, dtype, channels_last in state['leaves']]
        layout._build(state['tree'], leaves, state['encoded'])
        return layout


def _leaf(tensor: Tensor) -> Leaf:
    channels_last = tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(
        memory_format=torch.channels_last)
    shape = tuple(tensor.shape[1:])
    return Leaf((*shape[1:], shape[0]) if channels_last else shape, tensor.dtype, channels_last)


@dataclass(eq=False)
class Block:
    """Features of several samples that were stored together.

    Attributes:
        layout: Their layout.
        tensors: For each leaf of the layout ``[N, *leaf.shape]``; none if nothing is to be stored of a sample.
        count: N.
        tier: Where they are: ``'device'``, ``'host'`` or ``'disk'``.
    """

    layout: Layout
    tensors: list[Tensor]
    count: int
    tier: str

    def __len__(self) -> int:
        return self.count

    @property
    def nbytes(self) -> int:
        """Bytes of all samples."""
        return sum(tensor.nbytes for tensor in self.tensors)
