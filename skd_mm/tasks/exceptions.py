"""Settings of single models that distillation needs, with the reasons."""

from torch import nn

SWITCHES = {
    # RevViT: features inside its own autograd function have no gradient, and DDP does not see that of its layers.
    'no_custom_backward': True,
}
"""Attributes of modules, and the values that they must have. The models return the same with either value."""

TRAINING_OUTPUTS = {
    # Their heads have auxiliary losses on outputs that the backbones return in training mode only.
    'DDRNet': 'mmseg',
    'PIDNet': 'mmseg',
}
"""Classes whose forward pass returns more in training mode, and their libraries. It computes the same otherwise."""


def apply_switches(model: nn.Module) -> None:
    """Set the attributes of a model's modules that :data:`SWITCHES` lists.

    Args:
        model: The model.
    """
    for module in model.modules():
        for name, value in SWITCHES.items():
            if hasattr(module, name):
                setattr(module, name, value)


def eval_mode(module: nn.Module) -> None:
    """Put a frozen module into eval mode, but keep the outputs that a loss of the model needs.

    Modules in :data:`TRAINING_OUTPUTS` stay in training mode themselves, without what is inside them.

    Args:
        module: The module, in training mode.
    """
    kept = [part for part in module.modules() if _has_training_outputs(part)]
    module.eval()
    for part in kept:
        part.train()
        for child in part.children():
            child.eval()


def _has_training_outputs(module: nn.Module) -> bool:
    library = TRAINING_OUTPUTS.get(type(module).__name__)
    return library is not None and type(module).__module__.startswith(f'{library}.')
