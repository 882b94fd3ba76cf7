"""Dependencies of the features of a network, from the graph that autograd builds."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.utils import tree_leaves

from .extractor import FeatureExtractor
from .temporary_modes import preserve_buffers, preserve_modes, trainable_parameters, without_recomputation


@dataclass(frozen=True)
class Call:
    """One call of a module.

    Attributes:
        path: The path of the module.
        nodes: The nodes of autograd's graph that made its outputs.
    """

    path: str
    nodes: tuple[Any, ...]


@dataclass(frozen=True)
class Dataflow:
    """Dependencies of the features of a network.

    Attributes:
        calls: The calls of all modules, in the order in which they finished.
        features: The features by name, without a graph, in the order in which their modules first finished.
        positions: The index in ``calls`` of the first call of each feature's module.
        parameters: The names of the parameters that each feature depends on.
        nodes: The nodes of autograd's graph that each feature depends on.
        alive: The names of the parameters that the output of the network or any feature depends on.
        graph: The nodes of autograd's graph that the output of the network or any feature depends on.
    """

    calls: tuple[Call, ...]
    features: dict[str, Tensor]
    positions: dict[str, int]
    parameters: dict[str, frozenset[str]]
    nodes: dict[str, frozenset[Any]]
    alive: frozenset[str]
    graph: frozenset[Any]


def trace_dataflow(network: FeatureExtractor, call: Callable[[], Any], names: Collection[str]) -> Dataflow:
    """Run a network once and find what the named features depend on, and which of them are changed in place later.

    Nothing is computed backwards: the graph is only walked. So a parameter counts as reached if a gradient would flow
    to it, whatever its value.

    Args:
        network: The network.
        call: Runs it once; it should be cheap and leave no trace (eval mode, a small input).
        names: Names of features, see :class:`FeatureExtractor`.

    Returns:
        The dataflow.

    Raises:
        KeyError: A name is no module of the network, or its output is no tensor.
        RuntimeError: A module is not called.
    """
    flow = _trace(network, call, names)
    called = {made.path for made in flow.calls}
    detached = [name for name, _ in network.model.named_parameters()
                if name not in flow.alive and name.rpartition('.')[0] in called]
    if detached:
        # In eval mode, some modules read a copy of their weights that they made before (the attention of LeViT).
        flow = _with_training_mode(network, call, names, flow)
    return flow


def _with_training_mode(network: FeatureExtractor, call: Callable[[], Any], names: Collection[str],
                        flow: Dataflow) -> Dataflow:
    """Add what the features depend on in training mode; unchanged if the network does not run in it."""
    model = network.model
    try:
        with preserve_modes(model), preserve_buffers(model):
            model.train()
            for module in model.modules():
                if isinstance(module, _BatchNorm):  # it refuses a single value per channel in training mode
                    module.eval()
            trained = _trace(network, call, names)
    except (KeyError, RuntimeError, ValueError):  # outputs of another kind
        return flow
    return replace(flow, alive=flow.alive | trained.alive, parameters={
        name: reached | trained.parameters[name] for name, reached in flow.parameters.items()})


def _trace(network: FeatureExtractor, call: Callable[[], Any], names: Collection[str]) -> Dataflow:
    paths = {name: network.module_path(name) for name in names}
    calls: list[Call] = []
    outputs: dict[str, Any] = {}
    positions: dict[str, int] = {}
    roots: dict[str, tuple[Any, ...]] = {}
    versions: dict[str, int] = {}

    def record(path: str, output: Any) -> None:
        for name, (owner, indices) in paths.items():
            if owner == path and name not in outputs:
                feature = network.pick(name, output, indices)
                outputs[name], positions[name] = feature.detach(), len(calls)
                roots[name] = _nodes(feature)
                versions[name] = feature._version
        calls.append(Call(path, _nodes(output)))

    model = network.model
    with torch.enable_grad(), trainable_parameters(model, True), without_recomputation(model):
        result = network.watch(call, record)
        parameters = {id(parameter): name for name, parameter in model.named_parameters()}
        network.copied.update(name for name, version in versions.items() if outputs[name]._version != version)
        missing = [name for name in names if name not in outputs]
        if missing:
            raise RuntimeError(f'the {network.role} was run, but these modules were not: {missing}. Name a module '
                               'that is called, like the one around it')
        nodes = {name: _reached(found) for name, found in roots.items()}
        reached = {name: _parameters(found, parameters) for name, found in nodes.items()}
        graph = _reached(_nodes(result)).union(*nodes.values())
        alive = _parameters(graph, parameters)
    order = sorted(outputs, key=lambda name: (positions[name], paths[name][1]))
    return Dataflow(tuple(calls), {name: outputs[name] for name in order}, positions, reached, nodes, alive,
                    graph)


def reached_parameters(model: nn.Module, output: Any) -> frozenset[str]:
    """Return the names of the parameters that an output depends on.

    Args:
        model: The model.
        output: Tensors in any nesting, with their graph.

    Returns:
        Names as in ``model.named_parameters()``.
    """
    return _parameters(_reached(_nodes(output)), {id(parameter): name for name, parameter in model.named_parameters()})


def _nodes(output: Any) -> tuple[Any, ...]:
    return tuple(tensor.grad_fn for tensor in tree_leaves(output) if tensor.grad_fn is not None)


def _reached(roots: Collection[Any]) -> frozenset[Any]:
    """Return all nodes of the graph from which the roots are computed."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                stack.append(node)
    return frozenset(seen)


def _parameters(nodes: Collection[Any], names: dict[int, str]) -> frozenset[str]:
    variables = (getattr(node, 'variable', None) for node in nodes)
    return frozenset(names[id(variable)] for variable in variables if variable is not None and id(variable) in names)
