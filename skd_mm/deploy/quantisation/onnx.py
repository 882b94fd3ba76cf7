"""Quantised networks as ONNX files with QuantizeLinear and DequantizeLinear nodes (QDQ)."""

import copy

from torch import nn

from .calibration import quantized_layers, uncalibrated

QUANTISED_TOLERANCE = 0.1
"""The largest relative difference of a quantised export: a sum that differs by 1e-7 may be rounded to another step, and
so may those that depend on it. (A U-Net-R34 with 8 bits: 0.026, and 99.9 % of the pixels have the same class.)"""


def integer_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a network whose quantised layers hold integers, to be exported to ONNX.

    In the file, each quantised layer has its weight as int8 with a ``DequantizeLinear`` per output channel, and a
    ``QuantizeLinear`` and a ``DequantizeLinear`` (uint8) before its input;
    :func:`~skd_mm.deploy.integer_graph.quantize_between_layers` adds those between layers. ``torch.export`` writes
    these operators, so the file must be made of its program (``torch.onnx.export(dynamo=True)``). PyTorch has no
    translation of its own fake-quantisation operators there.

    Args:
        model: Any network. It is not changed.

    Returns:
        The copy in eval mode; the network itself if nothing in it is quantised.

    Raises:
        ValueError: Some ranges were never chosen.
    """
    if not quantized_layers(model):
        return model
    missing = uncalibrated(model)
    if missing:
        raise ValueError(f'the network cannot be exported: {len(missing)} of its ranges, such as that of '
                         f'{missing[0]}, were never chosen; load a checkpoint of a run with the transform FakeQuantize')
    exported = copy.deepcopy(model).eval()
    for layer in quantized_layers(exported).values():
        layer.store_integers()
        layer.input_quantizer.to_onnx = True
    return exported


def export_tolerance(model: nn.Module, tolerance: float) -> float:
    """Return the relative difference that an exported file may have from PyTorch.

    Args:
        model: The network.
        tolerance: That of a network in float.

    Returns:
        The larger :data:`QUANTISED_TOLERANCE` if the network is quantised, else ``tolerance``.
    """
    return max(tolerance, QUANTISED_TOLERANCE) if quantized_layers(model) else tolerance
