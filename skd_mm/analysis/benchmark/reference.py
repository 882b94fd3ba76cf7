"""The reference: a phase's mathematics in a plain PyTorch loop."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.distillers import Distiller
from skd_mm.distillers.samples import sample_keys
from skd_mm.distillers.spot import select_features
from skd_mm.utils import tree_map


class _Stop(Exception):
    """Ends a forward pass after its last needed feature."""


class ReferenceLoop:
    """A phase's mathematics without a framework: two networks, a loss, an optimizer.

    Forward hooks that are registered once end the forward passes; cached features are in a dict. The learning rate is
    constant. Images of one size are stacked and normalised in three lines; others need the data preprocessor.

    Args:
        distiller: A distiller with the phase activated. A copy is made, of which only networks and losses are used.
        optimizer: The optimizer of the phase, whose class and settings are used.
        cached: Read what does not change in the phase from memory.
    """

    def __init__(self, distiller: Distiller, optimizer: torch.optim.Optimizer, cached: bool) -> None:
        self.distiller = copy.deepcopy(distiller)
        self.active = self.distiller.active
        self.student, self.teacher = self.distiller.student, self.distiller.teacher
        known = inspect.signature(type(optimizer)).parameters  # `defaults` has more: AdamW's decoupled_weight_decay
        settings = {key: value for key, value in optimizer.defaults.items() if key in known}
        self.optimizer = type(optimizer)(self.distiller.trainable().values(), **settings)
        self.memory: dict[Any, dict[str, Any]] | None = {} if cached else None
        self.values: dict[str, Any] = {}
        self.seen: dict[str, dict[str, Tensor]] = dict(student={}, teacher={})
        self._watch('student')
        if cached:
            self._replay_prefix()

    @staticmethod
    def supports(distiller: Distiller) -> bool:
        """Return whether the loop has the mathematics of the active phase: networks, spots and task, and no more.

        Args:
            distiller: A distiller with the phase activated.

        Returns:
            True or False.
        """
        active = distiller.active
        return not (active.discriminators or active.routed or any(spot.needs for spot, _ in active.spots))

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hook the teacher, which other variants share, for a while."""
        with ExitStack() as stack:
            if self.teacher is not None:
                for handle in self._watch('teacher'):
                    stack.callback(handle.remove)
            yield

    def _watch(self, side: str) -> list[Any]:
        """Register hooks that keep the features of a network, and stop it after the last of them."""
        network: Any = getattr(self.distiller, f'{side}_network')
        names, seen = getattr(self.active.plan, side), self.seen[side]
        stops = side == 'teacher' or not self.active.task
        handles = []
        for name in names:
            path, indices = network.module_path(name)

            def hook(module: nn.Module, inputs: Any, output: Any, name: str = name,
                     indices: tuple[int, ...] = indices) -> None:
                seen[name] = network.pick(name, output, indices)
                if stops and len(seen) == len(names):
                    raise _Stop

            handles.append(network.model.get_submodule(path).register_forward_hook(hook))
        return handles

    def _replay_prefix(self) -> None:
        """Replace the frozen modules of the student's copy by what they returned."""
        for path in self.active.plan.frozen_prefix:
            module = self.student.get_submodule(path)
            module.forward = lambda *args, path=path, **kwargs: self.values[path]  # type: ignore[method-assign]

    def remember(self, batch: Mapping[str, Any], distiller: Distiller) -> None:
        """Put the features of a batch into memory.

        Args:
            batch: The batch. It is not changed.
            distiller: A distiller whose cache has its features.
        """
        assert self.memory is not None and distiller.cache is not None
        data: Any = distiller.data_preprocessor(copy.deepcopy(batch), True)
        inputs, samples = data['inputs'], data['data_samples']
        keys = sample_keys(samples, inputs.shape[1:]) or []
        stored = distiller.cache.get(keys) or {}
        for i, key in enumerate(keys):
            self.memory[key] = tree_map(lambda feature, i=i: feature[i].clone(), stored)
        self.values.update(distiller.pair.unread_outputs(inputs, 'loss' if self.active.task else 'tensor'))

    def step(self, batch: Mapping[str, Any]) -> None:
        """Train one iteration.

        Args:
            batch: A batch of the data loader; it is not changed.
        """
        images, samples = self._prepare(batch)
        self.seen['student'].clear()
        targets = self._targets(images, samples) if self.memory is None else self._read(images, samples)
        task = self.active.task
        loss: Any = 0.
        outputs: Mapping[str, Any] = {}
        try:
            outputs = self.student(images, samples, mode='loss' if task else 'tensor')
        except _Stop:
            pass
        if task:
            loss = task * sum(
                sum(value) if isinstance(value, list) else value for name, value in outputs.items() if 'loss' in name)
        for spot, weight in self.active.spots:
            value = spot(select_features(self.seen['student'], spot.student), select_features(targets, spot.teacher))
            loss = loss + weight * value.mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _prepare(self, batch: Mapping[str, Any]) -> tuple[Tensor, list[Any]]:
        preprocessor: Any = self.distiller.data_preprocessor
        images = list(batch['inputs'])
        if _needs_padding(images, preprocessor):
            data = preprocessor(copy.deepcopy(dict(batch)), True)
            return data['inputs'], data['data_samples']
        stacked = torch.stack(images).to(preprocessor.mean.device)
        flips = ('to_rgb', '_channel_conversion', 'channel_conversion')
        if any(getattr(preprocessor, name, False) for name in flips):
            stacked = stacked.flip(1)
        mean, std = preprocessor.mean.view(-1, 1, 1), preprocessor.std.view(-1, 1, 1)
        return (stacked.float() - mean) / std, [sample.to(stacked.device) for sample in batch['data_samples']]

    def _targets(self, images: Tensor, samples: list[Any]) -> dict[str, Tensor]:
        """Run the teacher as far as needed."""
        if not self.active.needs_teacher:
            return {}
        assert self.teacher is not None and self.distiller.teacher_input is not None
        self.seen['teacher'].clear()
        try:
            with torch.no_grad():
                self.teacher(self.distiller.teacher_input(images, samples), samples, mode='tensor')
        except _Stop:
            pass
        return self.seen['teacher']

    def _read(self, images: Tensor, samples: list[Any]) -> dict[str, Tensor]:
        """Read the features of a batch from memory."""
        assert self.memory is not None
        stored = [self.memory[key] for key in sample_keys(samples, images.shape[1:]) or ()]
        targets = {}
        for name in stored[0]:
            value = tree_map(lambda *parts: torch.stack(parts), *(one[name] for one in stored))
            side, _, path = name.partition(':')
            if side == 'teacher':
                targets[path] = value
            else:
                self.values[path] = value
        return targets


def _needs_padding(images: list[Tensor], preprocessor: Any) -> bool:
    """Whether images have to be padded to be stacked, or to have the size that a preprocessor gives them."""
    sizes = {tuple(image.shape[-2:]) for image in images}
    if len(sizes) > 1:
        return True
    size, = sizes
    fixed = getattr(preprocessor, 'size', None)
    divisor = getattr(preprocessor, 'size_divisor', None) or getattr(preprocessor, 'pad_size_divisor', None) or 1
    return (fixed is not None and tuple(fixed) != size) or any(side % divisor for side in size)
