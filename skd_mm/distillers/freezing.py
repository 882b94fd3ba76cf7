"""What freezing a module means: no gradients, eval mode, and which BN statistics may drift all the same."""

from collections.abc import Collection, Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.tasks import eval_mode


def enable_gradients(model: nn.Module, parameters: Collection[str]) -> None:
    """Let exactly the named parameters require gradients.

    Args:
        model: The model.
        parameters: Names as in ``model.named_parameters()``.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in parameters)


def freeze_modules(model: nn.Module, paths: Iterable[str], frozen_bn: str = 'eval') -> None:
    """Put modules into eval mode.

    Args:
        model: The model, in training mode.
        paths: The paths of the modules.
        frozen_bn: ``'train'`` leaves BN in the mode that the model itself gives it, so that its statistics drift, as
            in the code of SKD's published numbers.
    """
    for module in map(model.get_submodule, paths):
        drifting = []
        if frozen_bn == 'train':
            drifting = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
        eval_mode(module)
        for norm in drifting:
            norm.train()


def freeze_untrained(parts: Iterable[nn.Module]) -> None:
    """Put those modules into eval mode that have parameters and train none of them.

    Args:
        parts: Modules, such as the connectors of a spot; one may belong to a phase of its own (a paraphraser).
    """
    for part in parts:
        parameters = list(part.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            part.eval()
