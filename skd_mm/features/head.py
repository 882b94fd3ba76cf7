"""The last feature of a head."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from .extractor import FeatureExtractor
from .paths import is_within


def head_feature(network: FeatureExtractor, classifier: str, call: Callable[[], Any]) -> str:
    """Find the last feature of a head: what its classifier reads, before dropout.

    Args:
        network: The network.
        classifier: The path of the head's classifier, such as ``'decode_head.conv_seg'``.
        call: Runs the network once in eval mode; it should be cheap and leave no trace.

    Returns:
        The name of the feature, such as ``'decode_head.bottleneck'``. It is the outermost module that returns it.

    Raises:
        ValueError: The head has no such classifier or does not run it, or no module of the head returns what the
            classifier reads.
    """
    where = f'the head of the {network.role} ({type(network.model).__name__})'
    if not classifier:
        raise ValueError(f'model.spots: `head_feature` is for segmentation, and {where} is none of that task: name the '
                         'modules in `student` and `teacher`')
    parent, _, name = classifier.rpartition('.')
    head = dict(network.model.named_modules()).get(parent)
    module = getattr(head, name, None)
    if not isinstance(module, nn.Module):
        raise ValueError(f'model.spots: `head_feature`: {where} has no classifier {classifier!r}: name the modules in '
                         '`student` and `teacher`')
    finished: list[tuple[str, Tensor]] = []
    read: list[Tensor] = []

    def record(path: str, output: Any) -> None:
        if isinstance(output, Tensor) and is_within(path, [parent]):
            finished.append((path, output))

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        read[:] = inputs[:1]

    handle = module.register_forward_pre_hook(keep)
    try:
        network.watch(call, record)
    finally:
        handle.remove()
    for path, output in reversed(finished):
        is_dropout = isinstance(network.model.get_submodule(path), _DropoutNd)
        if read and output is read[0] and not is_dropout:
            return path
    raise ValueError(f'model.spots: `head_feature`: no module of {where} returns what {classifier!r} reads: name the '
                     'modules in `student` and `teacher`')
