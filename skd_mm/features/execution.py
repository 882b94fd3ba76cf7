"""How the modules of a network are run: compiled, or with their activations computed anew in the backward."""

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

from .modes import constant_statistics

Forward = Callable[..., Any]
# A network in phases compiles each of its parts for training, for validation, and for what learns in it.
_RECOMPILES = 512


class Execution:
    """A way to run the modules of networks, which changes what they cost and not what they give.

    It holds no network: which modules it is about is found anew for each that it is asked for, and whatever is looked
    into in a phase, by a capture or a replay, is run as it is.

    Args:
        compile: ``torch.compile`` the largest modules that nothing looks into; a dict has its arguments. What a phase
            captures stands between two compiled parts, so that no hook is inside of one.
        gradient_checkpointing: Keep only the inputs of blocks (the elements of ``nn.Sequential`` and ``nn.ModuleList``
            that have modules of their own), and compute what lies between anew in the backward. The statistics of BN
            are moved once.

    Raises:
        ValueError: Both at once, of which the first would undo the second; or an argument ``torch.compile`` has not.
    """

    def __init__(self, compile: bool | Mapping[str, Any] = False, gradient_checkpointing: bool = False) -> None:
        if compile and gradient_checkpointing:
            raise ValueError('model: `compile` and `gradient_checkpointing` do not go together; choose one')
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
        """What takes the place of the forwards of a network's modules.

        Args:
            model: The network.
            hooked: Paths of modules that are captured, recorded or replayed.

        Returns:
            Modules, and what is called instead of their own forward.
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
        """Refuse a network in which there is nothing to do.

        Args:
            model: The network.
            role: What messages call it.

        Raises:
            ValueError: Activations are to be computed anew, and it has no blocks.
        """
        if self.recomputes and not self.forwards(model, ()):
            raise ValueError(f'model.gradient_checkpointing: the {role} ({type(model).__name__}) has no blocks in an '
                             'nn.Sequential or nn.ModuleList whose activations could be computed anew')

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
    # What is frozen, or constant for a while, is in eval mode, and may be in another one in the backward.
    if not (torch.is_grad_enabled() and module.training):
        return forward(module, *args, **kwargs)
    return checkpoint(forward, module, *args, use_reentrant=False,
                      context_fn=lambda: (nullcontext(), constant_statistics(module)), **kwargs)


def _largest(path: str, module: nn.Module, hooked: frozenset) -> Iterator[str]:
    """The largest modules with modules of their own that can be called, and that nothing looks into."""
    if path and not _is_container(module) and any(module.children()) and not _has_hooked_descendant(path, hooked):
        yield path
        return
    for name, child in module.named_children():
        yield from _largest(f'{path}.{name}' if path else name, child, hooked)


def _blocks(path: str, module: nn.Module, hooked: frozenset) -> Iterator[str]:
    """The elements of containers that have modules of their own, and that nothing looks into."""
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
