"""The stages of a backbone, by dataflow."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from torch import Tensor, nn

from .extractor import FeatureExtractor
from .units import BackboneTrace, ModuleCall, Point, nearest, trace_backbone

Outputs = list[tuple[str, Tensor]]

# Attributes in which OpenMMLab's backbones list their stages: names, or a container of modules.
_LISTS = ('res_layers', 'layers', 'stages')
_MOST_NAMED = 6
# Convolutions and linear layers: fewer are a stem, which belongs to the stage after it, or a lateral connection.
_FEWEST_WEIGHTS = 4
_SMALLEST_STEM = 0.1
_SMALLEST_SHARE = 0.05
# Blocks of one kind in a row, in a backbone of one resolution, and the stages that they are cut into.
_FEWEST_BLOCKS = 8
_STAGES = 4


def backbone_stages(network: FeatureExtractor, call: Callable[[], Any]) -> Outputs:
    """Find the stages of ``model.backbone``.

    A stage ends where one of the backbone's outputs is made, or where the resolution decreases next, see
    :mod:`skd_mm.features.units` for the modules at which it can end. Fewer than four convolutions or linear layers are
    no stage: a stem belongs to the stage after it. Final norms, also of the pooled feature, do not count: the stage
    ends before them, if that feature is what the next stage reads. A backbone of one resolution and one output, such as
    a vision transformer, is cut into four.

    If the backbone lists its stages under one of the usual names, and all these ends are among theirs, then its own
    list is returned.

    Args:
        network: A model with a ``backbone``.
        call: Runs it once; it should be cheap and leave no trace (eval mode, a small input).

    Returns:
        For each stage the name of the feature at its end and an example of it, in the order of the forward pass.

    Raises:
        ValueError: The model has no backbone, or the backbone returns no feature.
    """
    backbone = getattr(network.model, 'backbone', None)
    if backbone is None:
        raise ValueError(f'the {network.role} ({type(network.model).__name__}) has no backbone: name the spots '
                         'one by one')
    trace = trace_backbone(network.model, 'backbone', call)
    ends = _Stages(trace).ends()
    if not ends:
        raise ValueError(f'the backbone of the {network.role} ({type(backbone).__name__}) has no module that returns '
                         'a map or tokens which depend on its parameters: name the spots one by one')
    return [(point.name, point.tensor) for point in _as_named(backbone, ends, trace.units)]


class _Stages:
    """The ends of a backbone's stages."""

    def __init__(self, trace: BackboneTrace) -> None:
        self.trace = trace
        self.units = {unit.path: unit for unit in trace.units}
        self.readers: dict[Any, list[ModuleCall]] = {}
        for unit in trace.units:
            for point in trace.producers[unit.path]:
                self.readers.setdefault(point.node, []).append(unit)

    def ends(self) -> list[Point]:
        """Return the features at the ends of the stages, in order."""
        changes = [point for unit in self.trace.units for point in self._before_new_resolution(unit)]
        outputs = self._outputs(changes)
        ends = self._large_enough(self._ordered([*changes, *outputs]), outputs)
        if len(ends) == 1:
            blocks = self._blocks(ends[0])
            cuts = [blocks[len(blocks) * k // _STAGES - 1] for k in range(1, _STAGES)] if blocks else []
            ends = self._ordered([*cuts, *ends])
        return ends

    def _ordered(self, points: Sequence[Point]) -> list[Point]:
        unique = {point.node: point for point in points}.values()
        return sorted(unique, key=lambda point: (self.units[point.path].order, point.index or 0))

    def _before_new_resolution(self, unit: ModuleCall) -> list[Point]:
        """Return the first feature of a unit from which one of a lower resolution than all of the unit's is made."""
        for point in unit.points:
            for reader in self.readers.get(point.node, ()):
                if any(level > point.level for level in reader.levels - unit.levels):
                    return [point]
        return []

    def _outputs(self, changes: Sequence[Point]) -> list[Point]:
        """Return the features from which the backbone's outputs are made."""
        found = []
        norms = any(self._is_norm(point) for point in changes)
        for node, level in self.trace.outputs:
            made = nearest([node], self.trace.points)
            if not made:
                continue
            alike = [point for point in made if point.level == level] or made
            point = max(alike, key=lambda point: self.units[point.path].order)
            found.append(point if norms else self._before_norm(point))
        return found

    def _is_norm(self, point: Point) -> bool:
        return all(parameter.dim() < 2 for parameter in self.units[point.path].module.parameters())

    def _before_norm(self, point: Point) -> Point:
        """Return the feature that the norm reads which made a feature; the feature itself if no norm made it."""
        read = self.trace.producers[point.path]
        return read[0] if self._is_norm(point) and len(read) == 1 else point

    def _large_enough(self, points: Sequence[Point], outputs: Sequence[Point]) -> list[Point]:
        """Leave out ends of stages that have few weights, and outputs that depend on no parameter of their own."""
        kept: list[Point] = []
        seen: set[Any] = set()
        total = sum(map(_is_weight, _walk([point.node for point in points], set())))
        for point in points:
            own = _walk([point.node], seen)
            only = not kept and point is points[-1]
            if only or self._is_stage(own, total, first=not kept, output=point in outputs):
                kept.append(point)
                seen |= own
        return kept

    @staticmethod
    def _is_stage(own: set[Any], total: int, first: bool, output: bool) -> bool:
        """Return whether what a feature depends on, and no earlier one does, is a stage."""
        if not any(hasattr(node, 'variable') for node in own):
            return False
        count = sum(map(_is_weight, own))
        if count >= _FEWEST_WEIGHTS:
            return True
        if first:
            return output and count >= _SMALLEST_STEM * total
        return output or count >= _SMALLEST_SHARE * total

    def _blocks(self, end: Point) -> list[Point]:
        """Return the ends of the longest row of equal blocks up to a feature; nothing if there are few."""
        before = [unit for unit in self.trace.units if unit.order <= self.units[end.path].order]
        rows = [list(row) for _, row in groupby(before, lambda unit: (unit.path.rpartition('.')[0], type(unit.module)))]
        row = max(rows, key=len)
        return [unit.points[-1] for unit in row] if len(row) >= _FEWEST_BLOCKS else []


def _walk(roots: Sequence[Any], seen: set[Any]) -> set[Any]:
    """Return the nodes of autograd's graph from which the roots are computed, without those seen before."""
    found = {root for root in roots if root not in seen}
    stack = list(found)
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None and node not in seen and node not in found:
                found.add(node)
                stack.append(node)
    return found


def _is_weight(node: Any) -> bool:
    variable = getattr(node, 'variable', None)
    return variable is not None and variable.dim() > 1


def _as_named(backbone: nn.Module, ends: list[Point], units: Sequence[ModuleCall]) -> list[Point]:
    """Return the stages as the backbone lists them, if all the given ends are among theirs; else the given ends."""
    points = {unit.path: unit.points[0] for unit in units if len(unit.points) == 1}
    for attribute in _LISTS:
        paths = [f'backbone.{name}' for name in _names(backbone, attribute)]
        named = [points[path] for path in paths if path in points]
        if len(named) == len(paths) <= _MOST_NAMED and set(ends) <= set(named):
            return named
    return ends


def _names(backbone: nn.Module, attribute: str) -> list[str]:
    """Names below the backbone of the stages in a list of attribute names or a container of modules."""
    value = getattr(backbone, attribute, None)
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return list(value)
    if isinstance(value, nn.ModuleList | nn.Sequential):
        return [f'{attribute}.{name}' for name, _ in value.named_children()]
    return []
