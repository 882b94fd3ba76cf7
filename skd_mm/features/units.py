"""The units of a backbone: the largest modules that keep to one resolution, and which of them read each other."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.utils import tree_leaves

from .temporary_modes import trainable_parameters, without_recomputation


@dataclass(frozen=True, eq=False)
class Point:
    """A feature: a map or tokens that a module returned.

    Attributes:
        path: The path of the module.
        index: The index of the feature in the module's output; None for the output itself.
        tensor: The feature, ``[1, C, H, W]`` or ``[1, N, C]``.
        node: The node of autograd's graph that made it.
        level: Its resolution: the logarithm to base 2 of its stride, rounded.
    """

    path: str
    index: int | None
    tensor: Tensor
    node: Any
    level: int

    @property
    def name(self) -> str:
        """The name of the feature, see :class:`FeatureExtractor`."""
        return self.path if self.index is None else f'{self.path}[{self.index}]'


@dataclass(eq=False)
class ModuleCall:
    """One call of a module.

    Attributes:
        path: The path of the module.
        module: The module.
        order: The position among all calls, by the time at which they finished.
        levels_in: The resolutions of the features that it read.
        points: The features that it returned.
        children: The calls in it of other modules, in order.
    """

    path: str
    module: nn.Module
    order: int = 0
    levels_in: frozenset[int] = frozenset()
    points: list[Point] = field(default_factory=list)
    children: list['ModuleCall'] = field(default_factory=list)

    @property
    def levels(self) -> frozenset[int]:
        """The resolutions of the features that it returned."""
        return frozenset(point.level for point in self.points)


@dataclass(frozen=True)
class BackboneTrace:
    """A run of a backbone.

    Attributes:
        units: The calls of its units, in the order in which they finished.
        producers: For each unit, those features of other units that it reads with nothing but operations and modules
            without parameters between.
        outputs: Nodes of autograd's graph and resolutions (None for a vector) of the tensors that leave the backbone.
        points: The features of all units by node.
    """

    units: list[ModuleCall]
    producers: dict[str, list[Point]]
    outputs: list[tuple[Any, int | None]]
    points: dict[Any, Point]


def trace_backbone(model: nn.Module, path: str, call: Callable[[], Any]) -> BackboneTrace:
    """Run a model once and return the units of its backbone.

    Args:
        model: The model.
        path: The path of its backbone.
        call: Runs it once; it should be cheap and leave no trace (eval mode, a small input).

    Returns:
        The units, without any if the backbone is not called, or returns nothing that depends on a parameter.
    """
    recorder = _Recorder(model, path)
    with torch.enable_grad(), trainable_parameters(model, True), without_recomputation(model), recorder.hooked():
        call()
    calls = [made for made in recorder.root.children if made.path == path]
    if not calls:
        return BackboneTrace([], {}, [], {})
    units = sorted(_units(calls[0], recorder.counts) or calls[:1], key=lambda unit: unit.order)
    points = {point.node: point for unit in units for point in unit.points}
    producers = {unit.path: nearest((point.node for point in unit.points), points, unit.path) for unit in units}
    return BackboneTrace(units, producers, recorder.outputs, points)


def nearest(nodes: Iterable[Any], points: dict[Any, Point], own: str = '') -> list[Point]:
    """Return the features from which something is computed directly.

    Args:
        nodes: The nodes of autograd's graph that made it.
        points: The features of all units by node.
        own: The path of the unit whose features ``nodes`` are; they do not count.

    Returns:
        The features, each once.
    """
    found: dict[Any, Point] = {}
    stack = list(nodes)
    seen = set(stack)
    while stack:
        node = stack.pop()
        point = points.get(node)
        if point is not None and point.path != own:
            found[node] = point
            continue
        for before, _ in node.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                stack.append(before)
    return list(found.values())


def _units(call: ModuleCall, counts: Mapping[str, int]) -> list[ModuleCall]:
    """Return the units in a call: modules with parameters that are called once and return a feature."""
    found: list[ModuleCall] = []
    for child in call.children:
        if next(child.module.parameters(), None) is None:
            continue
        if child.points and counts[child.path] == 1 and not _spans_stages(child):
            found.append(child)
        else:
            found += _units(child, counts)
    return found


def _spans_stages(call: ModuleCall) -> bool:
    """Return whether features of several stages are made in a call, so that its parts are units."""
    parts = [child for child in call.children
             if child.points and next(child.module.parameters(), None) is not None]
    if not parts or not call.levels_in:
        return False
    first, last = max(call.levels_in), max(call.levels)
    # A resolution between that of its input and that of its output: a stem of several strides, a whole backbone.
    if any(first < level < last for part in parts for level in part.levels):
        return True
    # The last part changes the resolution (the patch merging at the end of a Swin stage).
    before = [max(part.levels) for part in parts[:-1]]
    if before and max(before) <= first < max(parts[-1].levels) and any(map(_weights, parts[:-1])):
        return True
    # It returns features of several resolutions, and a new one is among them.
    return len(call.levels) > 1 and not call.levels <= call.levels_in


def _weights(call: ModuleCall) -> bool:
    """Return whether a module has several weights that are no vectors: more than a convolution and its norm."""
    return sum(parameter.dim() > 1 for parameter in call.module.parameters()) > 1


class _Recorder:
    """Record of the calls of a backbone and the modules in it."""

    def __init__(self, model: nn.Module, path: str) -> None:
        self.root = ModuleCall('', model)
        self.outputs: list[tuple[Any, int | None]] = []
        self.counts: Counter[str] = Counter()
        self._path = path
        self._area = 0
        self._finished = 0
        self._stack = [self.root]

    def hooked(self) -> ExitStack:
        """Return a context in which calls are recorded."""
        stack = ExitStack()
        backbone = self.root.module.get_submodule(self._path)
        for name, module in backbone.named_modules(prefix=self._path):
            for handle in (module.register_forward_pre_hook(self._begin(name)),
                           module.register_forward_hook(self._end)):
                stack.callback(handle.remove)
        return stack

    def _begin(self, path: str) -> Callable:
        def hook(module: nn.Module, inputs: Any) -> None:
            if path == self._path and not self._area:
                images = [tensor for tensor in tree_leaves(inputs) if tensor.dim() == 4]
                self._area = math.prod(images[0].shape[2:]) if images else 1
            self.counts[path] += 1
            levels = [self._level(tensor) for tensor in tree_leaves(inputs)]
            made = ModuleCall(path, module, levels_in=frozenset(level for level in levels if level is not None))
            self._stack[-1].children.append(made)
            self._stack.append(made)

        return hook

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        made = self._stack.pop()
        made.order = self._finished = self._finished + 1
        if isinstance(output, Tensor):
            made.points = self._points(made.path, [(None, output)])
        elif isinstance(output, list | tuple):
            made.points = self._points(made.path, enumerate(output))
        if made.path == self._path and not self.outputs:
            self.outputs = [(tensor.grad_fn, self._level(tensor)) for tensor in tree_leaves(output)
                            if tensor.grad_fn is not None]

    def _points(self, path: str, elements: Iterable[tuple[int | None, Any]]) -> list[Point]:
        found = []
        for index, tensor in elements:
            level = self._level(tensor) if isinstance(tensor, Tensor) else None
            if level is not None and tensor.grad_fn is not None:
                found.append(Point(path, index, tensor.detach(), tensor.grad_fn, level))
        return found

    def _level(self, tensor: Tensor) -> int | None:
        """Return the resolution of a map or of tokens; None for anything else, such as a window or a vector."""
        if tensor.dim() not in (3, 4) or len(tensor) != 1 or not tensor.is_floating_point():
            return None
        shape = tensor.shape[1:]
        if len(shape) == 2:
            positions = shape[0]
        elif shape[0] == shape[1] != shape[2]:  # channels last
            positions = shape[0] * shape[1]
        else:
            positions = shape[1] * shape[2]
        return round(math.log2(max(self._area / positions, 1e-9)) / 2) if positions else None
