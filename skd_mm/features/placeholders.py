"""Placeholders: what replaces the outputs of modules that the rest of a network does not read."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from skd_mm.utils.pytree import tree_leaves, tree_map


def needed_outputs(run: Callable[[Mapping[str, Any]], Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Finds which outputs of a replayed prefix the rest of the network reads.

    Most do not matter: what they fed is replayed itself. Autograd tells which do, for any network: those through which
    a gradient flows.

    Args:
        run: Runs the network, in a mode that leaves no trace in it, on the replayed outputs, and returns all that is
            compared or trained on: tensors in any nesting.
        outputs: What each module of the prefix gave for a batch, by name.

    Returns:
        For every name the output if it is needed, else a stand-in (:func:`placeholder`).
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
    # What is read without a gradient (behind a detach, by an argmax) shows here.
    try:
        again = tree_leaves(run(tree_map(lambda tensor: tensor if 0 in tensor.stride() else tensor.clone(), kept)))
        if all(torch.equal(one, other) for one, other in zip(tree_leaves(whole), again, strict=True)):
            return kept
    except RuntimeError:  # a stand-in cannot be written to
        pass
    return dict(outputs)


def placeholder(output: Any, batch: int | None = None) -> Any:
    """What takes the place of an output that nothing reads: no memory, and NaN for whatever reads it after all.

    Args:
        output: ``[B, ...]``, or lists and tuples of such.
        batch: Another batch size.

    Returns:
        The same with ``[batch, ...]``, all NaN (zero where the type has none).
    """

    def expand(tensor: Tensor) -> Tensor:
        shape = tensor.shape if batch is None else (batch, *tensor.shape[1:])
        return tensor.new_full((), float('nan') if tensor.is_floating_point() else 0).expand(shape)

    return tree_map(expand, output)
