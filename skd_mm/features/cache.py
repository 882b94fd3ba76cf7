"""Features that are computed once a phase and read back."""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor


class FeatureCache:
    """Keeps features of single samples in memory, up to a limit.

    A sample is stored with the first batch that holds it. Beyond the limit nothing more is stored, and what is not
    there is computed each time, so the limit changes the speed and never the result.

    Args:
        max_bytes: The limit.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.full = False
        self._samples: dict[Hashable, dict[str, Any]] = {}

    def get(self, keys: Sequence[Hashable]) -> dict[str, Any] | None:
        """Reads the features of a batch.

        Args:
            keys: One key a sample.

        Returns:
            ``[B, ...]``, or lists and tuples of such, by name; None where a sample is missing.
        """
        if not all(key in self._samples for key in keys):
            return None
        samples = [self._samples[key] for key in keys]
        return {name: map_tensors(lambda *parts: torch.stack(parts), *(sample[name] for sample in samples))
                for name in samples[0]}

    def put(self, keys: Sequence[Hashable], features: Mapping[str, Any]) -> None:
        """Stores the features of a batch.

        Args:
            keys: One key a sample.
            features: ``[B, ...]``, or lists and tuples of such, by name, without a graph.
        """
        for i, key in enumerate(keys):
            if key in self._samples or self.full:
                continue
            sample = {name: map_tensors(lambda feature, i=i: feature[i].detach().clone(), feature)
                      for name, feature in features.items()}
            size = sum(tensor.nbytes for tensor in tensors(sample))
            if self.bytes + size > self.max_bytes:
                self.full = True
                print_log(f'the feature cache is full with {len(self._samples)} samples in {self.bytes / 2**30:.2f} '
                          'GiB: the other samples are computed each time they are needed', logger='current',
                          level=logging.WARNING)
                return
            self._samples[key] = sample
            self.bytes += size


def needed_outputs(run: Callable[[Mapping[str, Any]], Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Finds which outputs of a replayed prefix the rest of the network reads.

    Most do not matter: what they fed is replayed itself. Autograd tells which do, for any network: those through which
    a gradient flows.

    Args:
        run: Runs the network, in a mode that leaves no trace in it, on the replayed outputs, and returns all that is
            compared or trained on: tensors in any nesting.
        outputs: What each module of the prefix gave for a batch, by name.

    Returns:
        For every name the output if it is needed, else a stand-in (:func:`stand_in`).
    """
    leaves = map_tensors(lambda tensor: tensor.detach().clone().requires_grad_(tensor.is_floating_point()), outputs)
    flat = [(name, leaf) for name, output in leaves.items() for leaf in tensors(output) if leaf.requires_grad]
    if not flat:
        return dict(outputs)
    with torch.enable_grad():
        # A leaf itself must not be changed in place by what reads it.
        whole = run(map_tensors(torch.clone, leaves))
        reached = [tensor for tensor in tensors(whole) if tensor.requires_grad]
        gradients = torch.autograd.grad(reached, [leaf for _, leaf in flat],
                                        [torch.ones_like(tensor) for tensor in reached], allow_unused=True)
    needed = {name for (name, _), gradient in zip(flat, gradients, strict=True) if gradient is not None}
    needed |= outputs.keys() - {name for name, _ in flat}
    kept = {name: output if name in needed else stand_in(output) for name, output in outputs.items()}
    # What is read without a gradient (behind a detach, by an argmax) shows here.
    try:
        again = tensors(run(map_tensors(lambda tensor: tensor if 0 in tensor.stride() else tensor.clone(), kept)))
        if all(torch.equal(one, other) for one, other in zip(tensors(whole), again, strict=True)):
            return kept
    except RuntimeError:  # a stand-in cannot be written to
        pass
    return dict(outputs)


def stand_in(output: Any, batch: int | None = None) -> Any:
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

    return map_tensors(expand, output)


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a nest of lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def map_tensors(function: Callable[..., Any], *values: Any) -> Any:
    """Applies a function to the tensors in nests of lists, tuples and dicts that are alike.

    Args:
        function: Takes one tensor of each nest.
        *values: The nests.

    Returns:
        A nest of what it returned.
    """
    first = values[0]
    if isinstance(first, Tensor):
        return function(*values)
    if isinstance(first, Mapping):
        return {key: map_tensors(function, *(value[key] for value in values)) for key in first}
    if isinstance(first, list | tuple):
        parts = [map_tensors(function, *parts) for parts in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, '_fields') else type(first)(parts)
    return first
