"""Settings of single models that distillation needs, with the reasons."""

from torch import nn

SWITCHES = {
    # RevViT: features inside its own autograd function have no gradient, and DDP does not see that of its layers.
    'no_custom_backward': True,
}
"""Attributes of modules, and the values that they must have. The models return the same with either value."""


def apply_switches(model: nn.Module) -> None:
    """Set the attributes of a model's modules that :data:`SWITCHES` lists.

    Args:
        model: The model.
    """
    for module in model.modules():
        for name, value in SWITCHES.items():
            if hasattr(module, name):
                setattr(module, name, value)
