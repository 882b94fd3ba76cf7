"""Running a network from any of its stages, with features that may come partly from another network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .extractor import FeatureExtractor, with_feature
from .placeholders import placeholder
from .stages import split_stages


@dataclass(frozen=True)
class StageEntry:
    """Modules to skip when a network is run from the end of one of its stages.

    Attributes:
        end: Name of the module at the stage's end, whose output is given instead.
        modules: Paths of the stage's modules, all of which the forward pass calls.
    """

    end: str
    modules: tuple[str, ...]


def find_stage_entries(network: FeatureExtractor, call: Callable[[], Any], ends: Sequence[str]) -> list[StageEntry]:
    """Find how to enter a network after each of the named modules, and test it.

    Args:
        network: The network.
        call: Runs it once, in eval mode, on an input that is not constant; it returns the output of the last end.
        ends: Names of modules, in the order of the forward pass.

    Returns:
        One entry per stage.

    Raises:
        ValueError: The order is another one, the last end is not the network's output, or a stage reads more of the
            network than the ends of those before it.
    """
    stages = split_stages(network, call, ends).stages
    found = [stage.name for stage in stages[:-1]]
    if found != list(ends):
        raise ValueError(f'the {network.role} runs its modules in the order {found}, not {list(ends)}')
    called = {path for path, _ in network.trace(call)}
    entries = [StageEntry(stage.name, tuple(part for path in stage.modules
                                       for part in _parts(network, path, network.module_path(stage.name)[0], called)))
               for stage in stages[:-1]]
    recorded: dict[str, Any] = dict.fromkeys(recorded_paths(entries))
    with torch.no_grad():
        result, features = network.run(call, capture=ends, record=recorded, record_fn=placeholder)
        given: list[Tensor] = []
        for end in ends:
            try:
                again = run_from_stage(network, call, entries, given, recorded)
            except RuntimeError:  # a placeholder cannot be written to
                again = torch.empty(0)
            if not torch.equal(again, features[end]):
                raise ValueError(
                    f'the {network.role} ({type(network.model).__name__}) cannot be run from before {end!r}: what '
                    f'leads there reads more than the features at {list(ends[:len(given)])}. Networks that can are '
                    "those whose stages hand on nothing else: mmpretrain's and mmsegmentation's ResNets, VGG, "
                    'MobileNetV2 and MixVisionTransformer at the ends of their stages, and the backbones of '
                    'skd_mm.models')
            given.append(again)
    if not isinstance(result, Tensor) or not torch.equal(result, features[ends[-1]]):
        raise ValueError(f'the {network.role}: {ends[-1]!r} does not give the logits; the last spot must stand at the '
                         'module that does (`head.fc` of a linear classifier, `decode_head.conv_seg`)')
    return entries


def run_from_stage(network: FeatureExtractor, call: Callable[[], Any], entries: Sequence[StageEntry],
                   given: Sequence[Tensor], recorded: Mapping[str, Any]) -> Tensor:
    """Run one stage.

    Args:
        network: The network.
        call: Runs it.
        entries: The result of :func:`find_stage_entries`.
        given: The features at the ends of all stages before it.
        recorded: Placeholders for the outputs of all modules of :func:`recorded_paths`, see :func:`placeholder`.

    Returns:
        The feature at the end of stage ``len(given)``.
    """
    end = entries[len(given)].end
    replay = replayed_outputs(network, entries, given, recorded)
    _, features = network.run(call, capture=[end], stop=True, replay=replay)
    return features[end]


def replayed_outputs(network: FeatureExtractor, entries: Sequence[StageEntry], given: Sequence[Tensor],
             recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs to replay in :meth:`FeatureExtractor.run` to skip the first ``len(given)`` stages."""
    outputs: dict[str, Any] = {}
    for entry, feature in zip(entries, given, strict=False):
        outputs.update({path: recorded[path] for path in entry.modules})
        path, indices = network.module_path(entry.end)
        outputs[path] = with_feature(recorded.get(path), indices, feature)
    return outputs


def recorded_paths(entries: Sequence[StageEntry]) -> list[str]:
    """Return the paths of all modules whose outputs are replayed."""
    return [path for entry in entries for path in entry.modules]


def _parts(network: FeatureExtractor, path: str, end: str, called: set[str]) -> list[str]:
    """Return the largest modules in a module that the forward pass calls, including the stage's end."""
    if path == end or (path in called and not end.startswith(f'{path}.')):
        return [path]
    return [part for name, _ in network.model.get_submodule(path).named_children()
            for part in _parts(network, f'{path}.{name}', end, called)]
