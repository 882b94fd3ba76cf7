"""Ways to run the modules of a network: compiled, or with activations recomputed in the backward pass."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from skd_mm.utils import did_you_mean

from .temporary_modes import constant_statistics

Forward = Callable[..., Any]
# With phases, each part of a network is compiled for training, for validation, and for its trained parameters.
_RECOMPILES = 512


class Execution:
    """A way to run the modules of networks that changes their cost and not their results.

    It holds no network. The modules that it applies to are determined for each network and set of hooked modules;
    modules with a capture or a replay inside them run as they are.

    Args:
        compile: ``torch.compile`` the largest modules that contain no hooked module; a dict has its arguments. Captured
            modules are between two compiled parts, so that compiled code contains no hook.
        gradient_checkpointing: Keep only the inputs of blocks (the elements of ``nn.Sequential`` and ``nn.ModuleList``
            that have submodules), and recompute the activations between them in the backward pass. BN statistics are
            updated once.

    Raises:
        ValueError: Both are set, although the first would undo the second, or ``torch.compile`` has no such argument.
    """

    def __init__(self, compile: bool | Mapping[str, Any] = False, gradient_checkpointing: bool = False) -> None:
        if compile and gradient_checkpointing:
            raise ValueError('model: `compile` is incompatible with `gradient_checkpointing`; choose one')
        self._options = dict(compile) if isinstance(compile, Mapping) else {}
        known = list(inspect.signature(torch.compile).parameters)[1:]
        for key in self._options:
            if key not in known:
                raise ValueError(f'model.compile: torch.compile takes no {key!r}{did_you_mean(key, known)}')
        self.compiles = bool(compile) or isinstance(compile, Mapping)
        self.recomputes = gradient_checkpointing
        self._compiled: dict[type, Forward] = {}
        self._paths: WeakKeyDictionary[nn.Module, dict[frozenset, list[str]]] = WeakKeyDictionary()

    def __deepcopy__(self, memo: dict) -> 'Execution':
        return self

    def forwards(self, model: nn.Module, hooked: Collection[str]) -> list[tuple[nn.Module, Forward]]:
        """Return the functions that replace the forward methods of a network's modules.

        Args:
            model: The network.
            hooked: Paths of modules that are captured, recorded or replayed.

        Returns:
            Modules, and the functions to call instead of their own forward methods.
        """
        if not (self.compiles or self.recomputes):
            return []
        known = self._paths.setdefault(model, {})
        key = frozenset(hooked)
        if key not in known:
            known[key] = list((_largest if self.compiles else _blocks)('', model, key))
        run = self._run_compiled if self.compiles else _recompute
        return [(module, partial(run, module)) for module in map(model.get_submodule, known[key])]

    def check(self, model: nn.Module, role: str) -> None:
        """Refuse a network that has nothing to recompute.

        Args:
            model: The network.
            role: Its name in messages.

        Raises:
            ValueError: Activations are to be recomputed, and it has no blocks.
        """
        if self.recomputes and not self.forwards(model, ()):
            raise ValueError(f'model.gradient_checkpointing: the {role} ({type(model).__name__}) has no blocks in an '
                             'nn.Sequential or nn.ModuleList whose activations could be recomputed')

    def _run_compiled(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        kind = type(module)
        if kind not in self._compiled:
            config: Any = torch._dynamo.config
            config.recompile_limit = max(config.recompile_limit, _RECOMPILES)
            config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, _RECOMPILES)
            # The class's forward with the module as an argument: a copy of a network runs its own modules.
            self._compiled[kind] = torch.compile(kind.forward, **self._options)
        return self._compiled[kind](module, *args, **kwargs)


def _recompute(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    forward = type(module).forward
    # Frozen and temporarily constant modules are in eval mode, and may be in another mode in the backward pass.
    if not (torch.is_grad_enabled() and module.training):
        return forward(module, *args, **kwargs)
    return checkpoint(forward, module, *args, use_reentrant=False,
                      context_fn=lambda: (nullcontext(), constant_statistics(module)), **kwargs)


def _largest(path: str, module: nn.Module, hooked: frozenset) -> Iterator[str]:
    """Yield the largest callable modules with submodules that contain no hooked module."""
    if path and not _is_container(module) and any(module.children()) and not _has_hooked_descendant(path, hooked):
        yield path
        return
    for name, child in module.named_children():
        yield from _largest(f'{path}.{name}' if path else name, child, hooked)


def _blocks(path: str, module: nn.Module, hooked: frozenset) -> Iterator[str]:
    """Yield the elements of containers that have submodules and contain no hooked module."""
    for name, child in module.named_children():
        below = f'{path}.{name}' if path else name
        if (isinstance(module, nn.Sequential | nn.ModuleList) and any(child.children())
                and not isinstance(child, nn.Sequential) and not _is_container(child)
                and not _has_hooked_descendant(below, hooked)):
            yield below
        else:
            yield from _blocks(below, child, hooked)


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList | nn.ModuleDict)


def _has_hooked_descendant(path: str, names: frozenset) -> bool:
    return any(name.startswith(f'{path}.') for name in names)
