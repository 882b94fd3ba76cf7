"""Placeholders: what replaces the outputs of modules that the rest of a network does not read."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from skd_mm.utils.pytree import tree_leaves, tree_map


def needed_outputs(run: Callable[[Mapping[str, Any]], Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Find which outputs of a replayed prefix the rest of the network reads.

    Most are not read, because the modules that read them are replayed, too. For any network, those that are read are
    the ones that get a gradient.

    Args:
        run: Runs the network, in a mode that leaves no trace in it, on the replayed outputs, and returns all that is
            compared or trained on: tensors in any nesting.
        outputs: The outputs of the modules of the prefix for a batch, by name.

    Returns:
        For every name the output if it is needed, else a :func:`placeholder`.
    """
    leaves = tree_map(lambda tensor: tensor.detach().clone().requires_grad_(tensor.is_floating_point()), outputs)
    flat = [(name, leaf) for name, output in leaves.items() for leaf in tree_leaves(output) if leaf.requires_grad]
    if not flat:
        return dict(outputs)
    with torch.enable_grad():
        # A leaf itself must not be changed in place by what reads it.
        whole = run(tree_map(torch.clone, leaves))
        reached = [tensor for tensor in tree_leaves(whole) if tensor.requires_grad]
        gradients = torch.autograd.grad(reached, [leaf for _, leaf in flat],
                                        [torch.ones_like(tensor) for tensor in reached], allow_unused=True)
    needed = {name for (name, _), gradient in zip(flat, gradients, strict=True) if gradient is not None}
    needed |= outputs.keys() - {name for name, _ in flat}
    kept = {name: output if name in needed else placeholder(output) for name, output in outputs.items()}
    # Outputs that are read without a gradient (after a detach, by an argmax) are found here.
    try:
        again = tree_leaves(run(tree_map(lambda tensor: tensor if 0 in tensor.stride() else tensor.clone(), kept)))
        if all(torch.equal(one, other) for one, other in zip(tree_leaves(whole), again, strict=True)):
            return kept
    except RuntimeError:  # a placeholder cannot be written to
        pass
    return dict(outputs)


def placeholder(output: Any) -> Any:
    """Return what replaces an output that nothing reads: it takes no memory, and is NaN for whatever reads it.

    Args:
        output: ``[B, ...]``, or lists and tuples of such.

    Returns:
        The same shapes, all NaN (zero if the type has no NaN).
    """

    def expand(tensor: Tensor) -> Tensor:
        value = float('nan') if tensor.is_floating_point() else 0
        return tensor.new_full((), value).expand(tensor.shape)

    return tree_map(expand, output)


def resized(output: Any, batch: int, probed: int = 2) -> Any:
    """Return a placeholder for another number of images.

    Args:
        output: The result of :func:`placeholder`.
        batch: The number of images.
        probed: The number of images that ``output`` is for.

    Returns:
        ``[batch, ...]`` for what is ``[probed, ...]``, or a multiple of both (windows); anything else is unchanged.
    """

    def resize(tensor: Tensor) -> Tensor:
        if not tensor.dim() or len(tensor) % probed:
            return tensor
        return tensor[:1].expand(len(tensor) // probed * batch, *tensor.shape[1:])

    return tree_map(resize, output)
