"""Settings of single models that distillation needs, with the reasons."""

from typing import Any

from torch import nn

SWITCHES = {
    # RevViT: features inside its own autograd function have no gradient, and DDP does not see that of its layers.
    'no_custom_backward': True,
}
"""Attributes of modules, and the values that they must have. The models return the same with either value."""

RECOMPUTED = ('relative_position_index', 'relative_coords_table')
"""Buffers that follow from a model's config. Swin V2 removes them from every state that it loads."""

TRAINING_OUTPUTS = {
    # Their heads have auxiliary losses on outputs that the backbones return in training mode only.
    'DDRNet': 'mmseg',
    'PIDNet': 'mmseg',
}
"""Classes whose forward pass returns more in training mode, and their libraries. It computes the same otherwise."""


def apply_switches(model: nn.Module) -> None:
    """Set the attributes of a model's modules that :data:`SWITCHES` lists.

    A state may be loaded into the model without the buffers that :data:`RECOMPUTED` lists.

    Args:
        model: The model.
    """
    for module in model.modules():
        for name, value in SWITCHES.items():
            if hasattr(module, name):
                setattr(module, name, value)
    if any(_is_recomputed(name) for name, _ in model.named_buffers()):
        model.register_load_state_dict_post_hook(_accept_recomputed)


def _accept_recomputed(model: nn.Module, keys: Any) -> None:
    """Report no missing buffer that is computed from the config."""
    keys.missing_keys[:] = [key for key in keys.missing_keys if not _is_recomputed(key)]


def _is_recomputed(name: str) -> bool:
    return name.rpartition('.')[2] in RECOMPUTED


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
