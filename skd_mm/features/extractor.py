"""Running a network as far as it is needed, and reading or replacing what its modules give."""

import copy
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.utils import ImageSize, did_you_mean
from skd_mm.utils.pytree import tree_map

from .execution import Execution

_INDEXED = re.compile(r'^(?P<module>.*?)(?P<indices>(?:\[-?\d+\])+)$')


def _unchanged(image: ImageSize) -> ImageSize:
    return image


def copied(output: Any) -> Any:
    """Return a copy of an output, which later in-place operations do not change."""
    return tree_map(torch.clone, output)


def with_feature(output: Any, indices: Sequence[int], feature: Tensor) -> Any:
    """Return an output with another feature at an element.

    Args:
        output: The output of a module.
        indices: Which element of it, and which element of that one; none for the output itself.
        feature: What is there instead.

    Returns:
        The feature, or a copy of the nested output.
    """
    if not indices:
        return feature
    parts = list(output)
    parts[indices[0]] = with_feature(parts[indices[0]], indices[1:], feature)
    return type(output)(parts)


class _Stop(Exception):
    """Everything requested has been captured: the rest of the forward pass is not needed."""


class FeatureExtractor:
    """A view of a model that captures features at named modules and runs no further than the last of them.

    The model itself is not changed: it is not copied, not re-registered, and keeps no reference to the features.

    A name is the path of a submodule (``backbone.layer1``), followed by an index if the module returns a tuple
    (``backbone[2]``), or by several if it returns nested tuples or lists (``bbox_head[0][2]``). ``<backbone>.stem`` is
    an alias for backbones with a conv1–norm–ReLU stem that is not a module of its own: the output of that ReLU, before
    pooling.

    Args:
        model: Any model of mmsegmentation or mmpretrain.
        role: Its name in messages, ``'student'`` or ``'teacher'``.
        execution: How its modules are run; unchanged by default.
        shared: Copies of an owner share it instead of copying the model: a frozen teacher is in no EMA copy.

    Attributes:
        image_size: Returns the size of the images that the model is given, from that of the batch.
        copied: Names of features that a later module changes in place (:func:`trace_dataflow` finds them). They are
            captured as copies.

    Raises:
        KeyError: From :meth:`module_path`, if a name is not a module of the model; the closest names are given.
    """

    def __init__(self, model: nn.Module, role: str = 'model', execution: Execution | None = None,
                 shared: bool = False) -> None:
        self.model = model
        self.shared = shared
        self.role = role
        self.execution = execution or Execution()
        self.image_size: Callable[[ImageSize], ImageSize] = _unchanged
        self.copied: set[str] = set()

    def __deepcopy__(self, memo: dict) -> 'FeatureExtractor':
        if self.shared:
            return self
        found = FeatureExtractor(copy.deepcopy(self.model, memo), self.role, copy.deepcopy(self.execution, memo))
        found.copied = set(self.copied)
        return found

    def module_path(self, name: str, others: Sequence[str] = ()) -> tuple[str, tuple[int, ...]]:
        """Find the module of a name.

        Args:
            name: A spot's module name.
            others: Other names that could have been meant, for the message.

        Returns:
            The path of the module, and the indices into its output; none for the output itself.

        Raises:
            KeyError: The model has no such module.
        """
        match = _INDEXED.match(name)
        path, found = (match['module'], match['indices'][1:-1].split('][')) if match else (name, [])
        indices = tuple(int(index) for index in found)
        if self._has(path):
            return path, indices
        parent, _, leaf = path.rpartition('.')
        if leaf == 'stem' and all(self._has(f'{parent}.{part}' if parent else part) for part in ('conv1', 'relu')):
            return f'{parent}.relu' if parent else 'relu', indices
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
            record_fn: Callable[[Any], Any] = copied,
            replace: Mapping[str, Callable[[Tensor], Tensor]] | None = None) -> tuple[Any, dict[str, Tensor]]:
        """Call the model and return the features at the named modules.

        Args:
            call: Runs the model, for example ``lambda: model(inputs, mode='tensor')``.
            capture: Names of the features to return.
            stop: Stop the forward pass as soon as all of ``capture`` and ``record`` are there; the first result is then
                None.
            record: Its keys are paths of modules. Filled with their outputs, of any type.
            replay: Outputs by module name. These modules do not run and return the given values. If everything before a
                stage is replayed, the network continues from there.
            record_fn: Returns what is recorded of an output; by default a copy.
            replace: Functions by the names of features. Each gets the feature and returns what the modules after it
                get instead, of the same shape; ``capture`` and ``record`` give the feature itself.

        Returns:
            The result of ``call``, and the features by name, in the order of the forward pass. Of a module that runs
            several times, it is the last output, or the first one with ``stop``.

        Raises:
            KeyError: A name's output is no tensor.
            RuntimeError: A name was not reached, or its tensor was changed in place by a later module.
        """
        if stop and not capture and not record:
            return None, {}
        features: dict[str, Tensor] = {}
        hooked = {self.module_path(name)[0] for name in [*capture, *(record or ()), *(replay or ()), *(replace or ())]}
        with self._shadowing(self.execution.forwards(self.model, hooked)), self._replaying(replay or {}), \
                self._watching(capture, features, record or {}, record_fn, stop), self._replacing(replace or {}):
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

    def pick(self, name: str, output: Any, indices: Sequence[int]) -> Tensor:
        """Return the feature of a name from the output of its module.

        Args:
            name: The name, for messages.
            output: The module's output.
            indices: Which element of it, and which element of that one; none for the output itself.

        Returns:
            The feature.

        Raises:
            KeyError: The output has no such element, or is not a tensor.
        """
        where = f'the output of {name!r} in the {self.role} ({type(self.model).__name__})'
        for index in indices:
            is_sequence = isinstance(output, list | tuple)
            if not is_sequence or not -len(output) <= index < len(output):
                raise KeyError(f'{where} has no element {index}: it is a {type(output).__name__}'
                               + (f' of {len(output)}' if is_sequence else ', without an index'))
            output = output[index]
        if isinstance(output, Tensor):
            return output
        raise KeyError(f'{where} is a {type(output).__name__}, not a tensor'
                       + (f"; choose one of its {len(output)} elements, like '{name}[-1]'"
                          if isinstance(output, list | tuple) else ''))

    @contextmanager
    def _watching(self, capture: Collection[str], features: dict[str, Tensor], record: dict[str, Any],
                  record_fn: Callable[[Any], Any], stop: bool) -> Iterator[None]:
        """Fill ``features`` and ``record`` while the model runs; stop it when both are complete."""
        versions: dict[str, int] = {}
        waiting = {*capture, *(('record', path) for path in record)}

        def done(what: Any) -> None:
            waiting.discard(what)
            if stop and not waiting:
                raise _Stop

        def recorder(path: str) -> Callable:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                record[path] = record_fn(output)
                done(('record', path))

            return hook

        def capturer(name: str, indices: Sequence[int]) -> Callable:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                feature = self.pick(name, output, indices)
                if name in self.copied:
                    feature = feature.clone()
                features[name] = feature
                versions[name] = feature._version
                done(name)

            return hook

        # Outputs are recorded before a capture at the same module stops the forward pass.
        handles = [self.model.get_submodule(path).register_forward_hook(recorder(path)) for path in record]
        for name in capture:
            path, indices = self.module_path(name)
            handles.append(self.model.get_submodule(path).register_forward_hook(capturer(name, indices)))
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
    def _replacing(self, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:

        def replacer(name: str, indices: Sequence[int]) -> Callable:
            def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
                return with_feature(output, indices, functions[name](self.pick(name, output, indices)))

            return hook

        handles = []
        for name in functions:
            path, indices = self.module_path(name)
            handles.append(self.model.get_submodule(path).register_forward_hook(replacer(name, indices)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _replaying(self, outputs: Mapping[str, Any]) -> Iterator[None]:
        forwards: list[tuple[nn.Module, Callable]] = []
        for name, value in outputs.items():
            path, indices = (name, ()) if self._has(name) else self.module_path(name)
            if indices:
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

    def watch(self, call: Callable[[], Any], record: Callable[[str, Any], None]) -> Any:
        """Run the model once and hand out what every module returns.

        Args:
            call: Runs the model.
            record: Gets the path and the output of each module as it finishes; a module that is called twice appears
                twice. The model itself is not among them.

        Returns:
            What ``call`` returned.
        """
        handles = [
            module.register_forward_hook(lambda module, inputs, output, path=path: record(path, output))
            for path, module in self.model.named_modules() if path
        ]
        try:
            return call()
        finally:
            for handle in handles:
                handle.remove()

    def trace(self, call: Callable[[], Any]) -> list[tuple[str, Any]]:
        """Run the model once and return what every module returned.

        Args:
            call: Runs the model.

        Returns:
            ``(path, output)`` in the order in which the modules finished.
        """
        finished: list[tuple[str, Any]] = []
        with torch.no_grad():
            self.watch(call, lambda path, output: finished.append((path, output)))
        return finished
