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
        self._samples: dict[Hashable, dict[str, Tensor]] = {}

    def get(self, keys: Sequence[Hashable]) -> dict[str, Tensor] | None:
        """Reads the features of a batch.

        Args:
            keys: One key a sample.

        Returns:
            ``[B, ...]`` by name, or None where a sample is missing.
        """
        if not all(key in self._samples for key in keys):
            return None
        samples = [self._samples[key] for key in keys]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def put(self, keys: Sequence[Hashable], features: Mapping[str, Tensor]) -> None:
        """Stores the features of a batch.

        Args:
            keys: One key a sample.
            features: ``[B, ...]`` by name, without a graph.
        """
        for i, key in enumerate(keys):
            if key in self._samples or self.full:
                continue
            sample = {name: feature[i].detach().clone() for name, feature in features.items()}
            size = sum(feature.nbytes for feature in sample.values())
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
        run: Runs the network, in a mode that leaves no trace in it, on the replayed outputs and returns all that is compared or trained on, tensors in any nesting.
        outputs: What each module of the prefix gave for a batch, by name.

    Returns:
        For every name the output if it is needed, else a stand-in of its shape without memory of its own.
    """
    leaves = {name: output.detach().clone().requires_grad_() for name, output in outputs.items()
              if isinstance(output, Tensor) and output.is_floating_point()}
    if not leaves:
        return dict(outputs)
    with torch.enable_grad():
        reached = [tensor for tensor in _tensors(run({**outputs, **leaves})) if tensor.requires_grad]
        gradients = torch.autograd.grad(reached, list(leaves.values()), [torch.ones_like(tensor) for tensor in reached],
                                        allow_unused=True)
    unused = {name for name, gradient in zip(leaves, gradients, strict=True) if gradient is None}
    return {name: stand_in(output) if name in unused else output for name, output in outputs.items()}


def stand_in(output: Tensor, batch: int | None = None) -> Tensor:
    """A tensor of an output's shape that takes no memory, and makes NaN of whatever reads it after all.

    Args:
        output: ``[B, ...]``.
        batch: Another batch size.

    Returns:
        ``[batch, ...]``, all NaN.
    """
    shape = output.shape if batch is None else (batch, *output.shape[1:])
    return output.new_full((), float('nan')).expand(shape)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for part in value.values() for tensor in _tensors(part)]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in _tensors(part)]
    return []
