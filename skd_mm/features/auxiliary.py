"""Calling a model so that hooks at all of its heads run, in any mode."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from skd_mm.tasks import task_of

from .paths import is_within

AUXILIARY_HEAD = 'auxiliary_head'


def call_model(model: nn.Module, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor',
               names: Collection[str] = ()) -> Any:
    """Call a model in one of MMEngine's modes so that the hooks of all heads that are needed run.

    mmsegmentation's models call their auxiliary heads in ``'loss'`` mode only. Here those with a named module are
    called on the backbone's features in ``'tensor'`` mode, before the decode head. In that mode, the models of
    mmsegmentation and mmdetection also call ``forward`` of their head directly, which runs no hooks; a named head is
    called as a module instead.

    Args:
        model: The model.
        inputs: ``[B, C, H, W]``.
        data_samples: One per image. In ``'tensor'`` mode, models that need the sizes of the images get data samples
            without labels if there are none.
        mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
        names: Names of the modules whose features are needed.

    Returns:
        What the model returns in that mode.
    """
    if mode != 'tensor':
        return model(inputs, data_samples, mode=mode)
    task = task_of(model)
    if data_samples is None:
        data_samples = task.forward_samples(inputs)
    with task.heads_with_samples(model, inputs), _head_called(model, names):
        return _call_with_auxiliary(model, inputs, data_samples, _needed_heads(model, names))


def _call_with_auxiliary(model: nn.Module, inputs: Tensor, data_samples: Sequence[Any] | None,
                         heads: Sequence[nn.Module]) -> Any:
    if not heads:
        return model(inputs, data_samples, mode='tensor')
    segmentor: Any = model
    features = segmentor.extract_feat(inputs)
    for head in heads:
        head.forward(features)  # as the model calls it
    # The model's own code calls the decode head: there may be several. It gets the features that are there.
    known: dict[str, Callable] = dict(extract_feat=lambda *args, **kwargs: features)
    model.__dict__.update(known)
    try:
        return model(inputs, data_samples, mode='tensor')
    finally:
        for name in known:
            model.__dict__.pop(name)


def _needed_heads(model: nn.Module, names: Collection[str]) -> list[nn.Module]:
    head = getattr(model, AUXILIARY_HEAD, None)
    if not isinstance(head, nn.Module) or not any(is_within(name, [AUXILIARY_HEAD]) for name in names):
        return []
    if not isinstance(head, nn.ModuleList):
        return [head]
    return [one for i, one in enumerate(head) if any(is_within(name, [f'{AUXILIARY_HEAD}.{i}']) for name in names)]


@contextmanager
def _head_called(model: nn.Module, names: Collection[str]) -> Iterator[None]:
    """Call the head as a module where the model calls its ``forward``, if its outputs are needed."""
    name = task_of(model).head
    head = getattr(model, name, None) if name in {needed.partition('[')[0] for needed in names} else None
    if not isinstance(head, nn.Module) or isinstance(head, nn.ModuleList):
        yield
        return
    forward, own = head.forward, {key: value for key, value in head.__dict__.items() if key == 'forward'}
    running: list[bool] = []
    before = head.register_forward_pre_hook(lambda module, inputs: running.append(True))

    def call(*args: Any, **kwargs: Any) -> Any:
        if not running:
            return head(*args, **kwargs)
        running.clear()
        return forward(*args, **kwargs)

    head.__dict__['forward'] = call
    try:
        yield
    finally:
        before.remove()
        head.__dict__.pop('forward', None)
        head.__dict__.update(own)
