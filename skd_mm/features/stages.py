"""Cutting a network into stages: consecutive slices of its forward, one behind each spot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from .extractor import FeatureExtractor

TASK_HEAD = 'task_head'


@dataclass(frozen=True)
class Stage:
    """A consecutive slice of a network.

    Attributes:
        name: The name of the spot at its end, or ``'task_head'`` for what lies behind the last one.
        modules: The paths of the modules that it consists of, as coarse as possible.
        shared: The paths of those modules with parameters that a later stage runs again.
        own: The paths of the parameters and buffers that it has beside them: those that a module holds itself whose
            children lie in several stages (a transformer's class token and position embedding).
    """

    name: str
    modules: tuple[str, ...]
    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all that it consists of, modules and tensors."""
        return self.modules + self.own


def split_stages(network: FeatureExtractor, call: Callable[[], Any],
                 cuts: Sequence[str]) -> tuple[list[Stage], dict[str, Any]]:
    """Cuts a network behind each of the named modules, in the order of its forward.

    Every module that has parameters, buffers or no children belongs to exactly one stage: the one in which it is first
    run, or last run if it has nothing to learn (one ReLU may serve many stages). What the forward does not reach (an
    auxiliary head, which only the loss calls) belongs to the task head.

    Args:
        network: The network.
        call: What runs it once; it should be cheap and leave no trace (eval mode, a small input).
        cuts: Names of modules, in any order.

    Returns:
        The stages in the order of the forward, the task head last, and the features at the cuts by name.

    Raises:
        KeyError: A cut is not a module of the network.
        RuntimeError: A cut is not reached, or two cuts have nothing between them to train.
    """
    paths = {cut: network.module_path(cut) for cut in cuts}
    finished = network.trace(call)
    order = [path for path, _ in finished]
    missing = [cut for cut, (path, _) in paths.items() if path not in order]
    if missing:
        raise RuntimeError(f'the {network.role} was run, but these modules were not: {missing}. Name a module that '
                           'is called, like the one around it')
    outputs = dict(reversed(finished))
    features = {}
    for cut, (path, index) in paths.items():
        features[cut] = network.pick(cut, outputs[path], index)
    ends = sorted(cuts, key=lambda cut: (order.index(paths[cut][0]), paths[cut][1] or 0))
    positions = [order.index(paths[cut][0]) for cut in ends]

    def stage_at(position: int) -> int:
        return next((k for k, end in enumerate(positions) if position <= end), len(ends))

    # When a module or one inside it was first and last run.
    reached: dict[str, tuple[int, int]] = {}
    for i, run in enumerate(order):
        for path in _ancestors(run):
            reached[path] = reached.get(path, (i, i))[0], i
    stage_of: dict[str, int] = {}
    shared: dict[int, list[str]] = {}
    for path, module in network.model.named_modules():
        # A module without parameters has its place too: a dropout is in training mode with its stage.
        if not (module._parameters or module._buffers) and any(module.children()):
            continue
        # A module that owns parameters beside its children (a class token, a position embedding) is reached at the
        # latest with the first of its children, not when it ends.
        first, last = map(stage_at, reached.get(path, (len(order), len(order))))
        learns = bool(module._parameters or module._buffers)
        stage_of[path] = first if learns else last
        if learns and last > first and not any(module.children()):
            shared.setdefault(first, []).append(path)

    stages: list[Stage] = []
    stages_in: dict[str, set[int]] = {}
    for path, stage in stage_of.items():
        for outer in _ancestors(path):
            stages_in.setdefault(outer, set()).add(stage)
    for k, name in enumerate([*ends, TASK_HEAD]):
        modules, own = _coarsest(network.model, stage_of, stages_in, k)
        stages.append(Stage(name, modules, tuple(shared.get(k, ())), own))
    return stages, features


def _ancestors(path: str) -> list[str]:
    """The modules in which one lies: the model first, itself last."""
    parts = path.split('.')
    return ['.'.join(parts[:k]) for k in range(len(parts) + 1)]


def _coarsest(model: nn.Module, stage_of: Mapping[str, int], stages_in: Mapping[str, set[int]],
              k: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The largest modules that lie in stage ``k`` as a whole, and the tensors of others that lie in it."""
    own: list[str] = []

    def walk(path: str, module: nn.Module) -> list[str]:
        prefix, inside = f'{path}.' if path else '', stages_in.get(path, set())
        if inside == {k} and path:
            return [path]
        if k not in inside:
            return []
        if stage_of.get(path) == k:
            own.extend(prefix + name for name, tensor in (*module._parameters.items(), *module._buffers.items())
                       if tensor is not None)
        return [found for name, child in module.named_children() for found in walk(prefix + name, child)]

    return tuple(walk('', model)), tuple(own)
