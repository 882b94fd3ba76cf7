"""Modes of modules: training or evaluation, with gradients or without, changed for a while and restored.

Modes are set with ``train()`` and ``eval()`` throughout, never by assigning ``module.training``: some modules prepare
their weights in an overridden ``train()`` (the attention of LeViT and TinyViT).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

# The names of the switches that recompute activations in the backward pass, in OpenMMLab's and timm's modules.
_RECOMPUTE = ('with_cp', 'use_checkpoint', 'grad_checkpointing')


@contextmanager
def preserve_modes(*models: nn.Module | None) -> Iterator[None]:
    """Restore the mode of every module afterwards.

    Args:
        *models: Models; None is skipped.
    """
    # Parents come before their children, so that what a parent's train() does to its children is corrected.
    before = [(module, module.training) for model in models if model is not None for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            if module.training != training:
                module.train(training)


@contextmanager
def preserve_buffers(model: nn.Module) -> Iterator[None]:
    """Restore the buffers of a model afterwards.

    Args:
        model: The model.
    """
    before = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


@contextmanager
def side_effect_free(model: nn.Module, device: torch.device | None = None) -> Iterator[None]:
    """Put a model into eval mode for a while, and restore its modes and the random state afterwards.

    Args:
        model: The model.
        device: The device whose random state is restored too, if it is not the CPU.
    """
    devices = [device] if device is not None and device.type == 'cuda' else []
    with preserve_modes(model), torch.random.fork_rng(devices=devices):
        model.eval()
        yield


@contextmanager
def without_recomputation(model: nn.Module) -> Iterator[None]:
    """Keep all activations for a while, in modules that recompute them in the backward pass otherwise.

    Args:
        model: The model.
    """
    switched = [(module, name) for module in model.modules() for name in _RECOMPUTE
                if getattr(module, name, False) is True]
    for module, name in switched:
        setattr(module, name, False)
    try:
        yield
    finally:
        for module, name in switched:
            setattr(module, name, True)


@contextmanager
def trainable_parameters(model: nn.Module, trainable: bool) -> Iterator[None]:
    """Let all floating-point parameters of a model require gradients for a while, or none.

    Args:
        model: The model.
        trainable: Whether they do.
    """
    changed = [parameter for parameter in model.parameters()
               if parameter.requires_grad != trainable and parameter.is_floating_point()]
    for parameter in changed:
        parameter.requires_grad_(trainable)
    try:
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(not trainable)


@contextmanager
def constant(model: nn.Module) -> Iterator[None]:
    """Treat a model as a fixed function for a while: eval mode, and no gradients for its parameters.

    Gradients still flow through it to its inputs. Activations are kept, as they would be recomputed outside of this
    context.

    Args:
        model: The model.
    """
    with preserve_modes(model), trainable_parameters(model, False), without_recomputation(model):
        model.eval()
        yield


@contextmanager
def constant_statistics(module: nn.Module) -> Iterator[None]:
    """Let BN normalise by the statistics of the batch for a while, and keep its running statistics as they are.

    Args:
        module: A module with BN (or SyncBN) in it.
    """
    norms: list[Any] = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            # SyncBN insists on a counter: a copy counts instead.
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
