"""Running a network as far as it is needed, and reading or replacing what its modules give."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.utils import did_you_mean
from skd_mm.utils.pytree import tree_map

from .execution import Execution

_INDEX = re.compile(r'^(?P<module>.*)\[(?P<index>-?\d+)\]$')


def copied(output: Any) -> Any:
    """A copy of an output, which a later in-place operation does not change."""
    return tree_map(torch.clone, output)


class _Stop(Exception):
    """Everything that was asked for has been captured: the rest of the forward is not needed."""


class FeatureExtractor:
    """A view of a model that captures features at named modules and runs no further than the last of them.

    The model itself is not changed: it is not copied, not re-registered, and keeps no reference to the features.

    A name is the path of a submodule (``backbone.layer1``), with an index behind it where the module returns a tuple
    (``backbone[2]``). ``<backbone>.stem`` is an alias for backbones with a conv1–norm–ReLU stem that is not a module
    of its own: the output of that ReLU, before pooling.

    Args:
        model: Any model of mmsegmentation or mmpretrain.
        role: How messages call it, ``'student'`` or ``'teacher'``.
        execution: How its modules are run; as they are by default.

    Raises:
        KeyError: From :meth:`module_path`, where a name is not a module of the model; the closest names are given.
    """

    def __init__(self, model: nn.Module, role: str = 'model', execution: Execution | None = None) -> None:
        self.model = model
        self.role = role
        self.execution = execution or Execution()

    def module_path(self, name: str, others: Sequence[str] = ()) -> tuple[str, int | None]:
        """Finds the module behind a name.

        Args:
            name: A spot's module name.
            others: What else could have been meant, for the message.

        Returns:
            The path of the module, and the index into its output or None.

        Raises:
            KeyError: The model has no such module.
        """
        match = _INDEX.match(name)
        path, index = (match['module'], int(match['index'])) if match else (name, None)
        if self._has(path):
            return path, index
        parent, _, leaf = path.rpartition('.')
        if leaf == 'stem' and all(self._has(f'{parent}.{part}' if parent else part) for part in ('conv1', 'relu')):
            return f'{parent}.relu' if parent else 'relu', index
        choices = [*others, *(choice for choice, _ in self.model.named_modules() if choice)]
        raise KeyError(f'the {self.role} ({type(self.model).__name__}) has no module {name!r}'
                       f'{did_you_mean(path, choices, count=5)}')

    def _has(self, path: str) -> bool:
        # A walk over all modules takes longer than everything else that is done here in an iteration.
        try:
            self.model.get_submodule(path)
        except AttributeError:
            return False
        return True

    def run(self,
            call: Callable[[], Any],
            capture: Collection[str] = (),
            stop: bool = False,
            record: dict[str, Any] | None = None,
            replay: Mapping[str, Any] | None = None,
            record_fn: Callable[[Any], Any] = copied) -> tuple[Any, dict[str, Tensor]]:
        """Calls the model and hands out the features at the named modules.

        Args:
            call: What runs the model, for example ``lambda: model(inputs, mode='tensor')``.
            capture: Names whose outputs are wanted.
            stop: End the forward as soon as all of ``capture`` are there; the first result is then None.
            record: Its keys are paths of modules; filled with what each of them returned, of whatever type.
            replay: Outputs by module name: these modules are not run, they return the given value. With what stands
                before it replayed, a network is re-entered at any stage.
            record_fn: What is recorded of an output; a copy of it by default.

        Returns:
            What ``call`` returned, and the features by name, in the order in which they appeared. A module that is
            run several times gives its last output, or its first with ``stop``.

        Raises:
            KeyError: A name's output is no tensor.
            RuntimeError: A name was not reached, or its tensor was changed in place by a later module.
        """
        if stop and not capture:
            return None, {}
        features: dict[str, Tensor] = {}
        hooked = {self.module_path(name)[0] for name in [*capture, *(record or ()), *(replay or ())]}
        with self._shadowing(self.execution.forwards(self.model, hooked)), self._replaying(replay or {}), \
                self._recording(record, record_fn), self._capturing(capture, features, stop):
            try:
                result = call()
            except _Stop:
                result = None
        missing = [name for name in capture if name not in features]
        if missing:
            raise RuntimeError(f'the {self.role} was run, but these modules were not: {missing}. A module that is '
                               "used only inside another one's code (not called) cannot be a spot; name the module "
                               'around it')
        return result, features

    def pick(self, name: str, output: Any, index: int | None) -> Tensor:
        """The feature that a name means, out of what its module returned.

        Args:
            name: The name, for messages.
            output: What the module returned.
            index: Which element of it; None for the output itself.

        Returns:
            The feature.

        Raises:
            KeyError: The output has no such element, or is not a tensor.
        """
        where = f'the output of {name!r} in the {self.role} ({type(self.model).__name__})'
        if index is None:
            if isinstance(output, Tensor):
                return output
            raise KeyError(f'{where} is a {type(output).__name__}, not a tensor'
                           + (f"; choose one of its {len(output)} elements, like '{name}[-1]'"
                              if isinstance(output, list | tuple) else ''))
        if not isinstance(output, list | tuple) or not -len(output) <= index < len(output):
            raise KeyError(f'{where} has no element {index}: it is a {type(output).__name__}'
                           + (f' of {len(output)}' if isinstance(output, list | tuple) else ', without an index'))
        if not isinstance(output[index], Tensor):
            raise KeyError(f'{where} is a {type(output[index]).__name__}, not a tensor')
        return output[index]

    @contextmanager
    def _capturing(self, names: Collection[str], features: dict[str, Tensor], stop: bool) -> Iterator[None]:
        versions: dict[str, int] = {}
        handles = []
        for name, (path, index) in {name: self.module_path(name) for name in names}.items():

            def hook(module: nn.Module, inputs: Any, output: Any, name: str = name, index: int | None = index) -> None:
                feature = features[name] = self.pick(name, output, index)
                versions[name] = feature._version
                if stop and len(features) == len(names):
                    raise _Stop

            handles.append(self.model.get_submodule(path).register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        for name, feature in features.items():
            if feature._version != versions[name]:
                raise RuntimeError(f'the feature at {name!r} of the {self.role} was changed in place by a later '
                                   'module (an in-place ReLU?); name that module instead')

    @contextmanager
    def _recording(self, outputs: dict[str, Any] | None, record_fn: Callable[[Any], Any]) -> Iterator[None]:
        handles = []
        for path, module in {path: self.model.get_submodule(path) for path in outputs or ()}.items():

            def hook(module: nn.Module, inputs: Any, output: Any, path: str = path) -> None:
                assert outputs is not None
                outputs[path] = record_fn(output)

            handles.append(module.register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _replaying(self, outputs: Mapping[str, Any]) -> Iterator[None]:
        forwards: list[tuple[nn.Module, Callable]] = []
        for name, value in outputs.items():
            path, index = (name, None) if self._has(name) else self.module_path(name)
            if index is not None:
                raise ValueError(f'{name!r}: one element of an output cannot be replayed by itself')
            forwards.append((self.model.get_submodule(path), lambda *args, value=value, **kwargs: value))
        with self._shadowing(forwards):
            yield

    @staticmethod
    @contextmanager
    def _shadowing(forwards: Sequence[tuple[nn.Module, Callable]]) -> Iterator[None]:
        replaced: list[tuple[nn.Module, dict[str, Any]]] = []
        try:
            for module, forward in forwards:
                # An instance attribute shadows the class's forward for the time of this call only, so that the
                # module's own hooks (captures, above all) still see the output.
                own = {key: module.__dict__[key] for key in ('forward',) if key in module.__dict__}
                module.__dict__['forward'] = forward
                replaced.append((module, own))
            yield
        finally:
            for module, own in reversed(replaced):
                module.__dict__.pop('forward', None)
                module.__dict__.update(own)

    @torch.no_grad()
    def trace(self, call: Callable[[], Any]) -> list[tuple[str, Any]]:
        """Runs the model once and records every module as it finishes.

        Args:
            call: What runs the model.

        Returns:
            ``(path, output)`` in the order in which the modules finished; a module used twice appears twice.
        """
        finished: list[tuple[str, Any]] = []
        handles = [
            module.register_forward_hook(lambda module, inputs, output, path=path: finished.append((path, output)))
            for path, module in self.model.named_modules() if path
        ]
        try:
            call()
        finally:
            for handle in handles:
                handle.remove()
        return finished
