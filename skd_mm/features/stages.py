"""Cutting a network into stages, by what the gradient of the feature at each stage's end reaches."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from .dataflow import Dataflow, trace_dataflow
from .extractor import FeatureExtractor
from .paths import ancestors, is_within, join

TASK_HEAD = 'task_head'


@dataclass(frozen=True)
class Stage:
    """A slice of a network that can be trained on its own.

    Attributes:
        name: The name of the feature at its end, or ``'task_head'`` for what no feature depends on.
        modules: The paths of its modules, as coarse as possible.
        shared: The paths of those of its modules with parameters that a later stage calls again.
        own: The paths of parameters and buffers that it has besides, whose modules have parts in several stages (the
            class token and position embedding of a transformer).
    """

    name: str
    modules: tuple[str, ...]
    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all its parts, modules and tensors."""
        return self.modules + self.own


class StageSplit(NamedTuple):
    """A network in stages.

    Attributes:
        stages: The stages in the order of the forward pass, the task head last.
        features: Examples of the features by name, ``[1, ...]``.
        reached: The names of the parameters that each feature depends on.
        alive: The names of the parameters that the output of the network or any feature depends on.
    """

    stages: list[Stage]
    features: dict[str, Tensor]
    reached: dict[str, frozenset[str]]
    alive: frozenset[str]


def split_stages(network: FeatureExtractor, call: Callable[[], Any], cuts: Sequence[str],
                 features: Collection[str] = ()) -> StageSplit:
    """Cut a network at the named features.

    A stage owns the parameters that the gradient of the feature at its end reaches and that of no earlier feature
    does. The task head owns what no feature depends on, such as an auxiliary head, which only the loss calls. The
    order of execution decides nothing but the order of the stages.

    A module without parameters belongs to the stage that its output is part of: one ReLU that serves several stages
    to the last of them.

    Args:
        network: The network.
        call: Runs it once; it should be cheap and leave no trace (eval mode, a small input).
        cuts: Names of the features at the ends of stages, in any order.
        features: Names of further features that are of interest.

    Returns:
        The stages, and the features at the cuts and of ``features``.

    Raises:
        KeyError: A name is no module of the network.
        RuntimeError: A module is not called.
    """
    flow = trace_dataflow(network, call, list(dict.fromkeys([*cuts, *features])))
    ends = [name for name in flow.features if name in cuts]
    owners = _Owners(network.model, flow, ends)
    stages = [Stage(name, *owners.parts(k)) for k, name in enumerate([*ends, TASK_HEAD])]
    return StageSplit(stages, flow.features, flow.parameters, flow.alive)


@dataclass
class _Owners:
    """The stage, as a number, of everything in a model."""

    model: nn.Module
    flow: Dataflow
    ends: Sequence[str]
    tensors: dict[str, int] = field(default_factory=dict)
    leaves: dict[str, int] = field(default_factory=dict)
    below: dict[str, set[int]] = field(default_factory=dict)
    shared: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Assign every parameter, buffer and module without children to a stage."""
        calls = self._stages_of_calls()
        self._called = frozenset(calls)
        canonical = {id(parameter): name for name, parameter in self.model.named_parameters()}
        for path, module in self.model.named_modules():
            found = calls.get(path, [len(self.ends)])
            weights = {name: self._owner(canonical[id(parameter)]) for name, parameter in module._parameters.items()
                       if parameter is not None}
            # Statistics go with the weights next to them, or else with the first call.
            first = min(weights.values(), default=found[0])
            for name, stage in (*weights.items(), *((name, first) for name, buffer in module._buffers.items()
                                                    if buffer is not None)):
                self._add(path, join(path, name), stage)
            if any(module.children()):
                continue
            if not (weights or module._buffers):
                # In training mode with its stage, like a dropout; the last one if it serves several.
                self.leaves[path] = found[-1]
                self._add(path, None, found[-1])
            elif weights and path in calls and found[-1] > first:
                # The module around it may use its weights without a call (the attention of PyTorch). One with nothing
                # but buffers may run again (the rotary embedding that all layers of EVA-02 share).
                self.shared.setdefault(first, []).append(path)

    def _add(self, path: str, tensor: str | None, stage: int) -> None:
        if tensor is not None:
            self.tensors[tensor] = stage
        for outer in ancestors(path):
            self.below.setdefault(outer, set()).add(stage)

    def _owner(self, parameter: str) -> int:
        for k, name in enumerate(self.ends):
            if parameter in self.flow.parameters[name]:
                return k
        return len(self.ends)

    def _stages_of_calls(self) -> dict[str, list[int]]:
        """Return the stages in which each module is called, in order."""
        node_stage: dict[Any, int] = {}
        for k, name in reversed(list(enumerate(self.ends))):
            node_stage.update(dict.fromkeys(self.flow.nodes[name], k))
        positions = [self.flow.positions[name] for name in self.ends]
        found: dict[str, list[int]] = {}
        weighted = {path for path, module in self.model.named_modules() if module._parameters}
        for i, call in enumerate(self.flow.calls):
            executed = next((k for k, end in enumerate(positions) if i <= end), len(positions))
            # What makes no node of its own (dropout in eval mode) goes with the order of execution. So does a layer
            # whose node is replaced by an in-place operation on a view (the ReLU after a linear layer in Swin V2).
            made = [node_stage.get(node, len(self.ends)) for node in call.nodes
                    if call.path not in weighted or node in self.flow.graph]
            found.setdefault(call.path, []).append(max([executed, *made[:1]]) if made else executed)
        return {path: sorted(stages) for path, stages in found.items()}

    def _can_be_replayed(self, path: str) -> bool:
        """Return whether a module is called as a whole, or nothing in it is; a list of modules is not called itself."""
        return path in self._called or not any(is_within(called, [path]) for called in self._called)

    def parts(self, k: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return the modules of a stage, as coarse as possible, those that are shared, and other tensors."""
        own: list[str] = []
        modules = tuple(self._walk('', self.model, k, own))
        return modules, tuple(self.shared.get(k, ())), tuple(own)

    def _walk(self, path: str, module: nn.Module, k: int, own: list[str]) -> list[str]:
        """Return the largest modules of stage ``k`` in a module; ``own`` is extended by its other tensors."""
        stages = self.below.get(path, set())
        if stages == {k} and path and (k == len(self.ends) or self._can_be_replayed(path)):
            return [path]
        if k not in stages:
            return []
        names = (join(path, name) for name in (*module._parameters, *module._buffers))
        own.extend(name for name in names if self.tensors.get(name) == k)
        return [found for name, child in module.named_children()
                for found in self._walk(join(path, name), child, k, own)]
