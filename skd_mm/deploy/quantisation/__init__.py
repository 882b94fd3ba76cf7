"""Quantised students: fake quantisation in training, integers in the exported file."""

from .calibration import CalibrationHook, calibrate, quantized_layers, uncalibrated
from .layers import FixedBatchNorm, QuantizedConv2d, QuantizedLayer, QuantizedLinear
from .onnx import export_tolerance, integer_copy
from .quantizers import ActivationQuantizer, Quantizer, WeightQuantizer
from .transform import FakeQuantize

__all__ = [
    'ActivationQuantizer', 'CalibrationHook', 'FakeQuantize', 'FixedBatchNorm', 'QuantizedConv2d', 'QuantizedLayer',
    'QuantizedLinear', 'Quantizer', 'WeightQuantizer', 'calibrate', 'export_tolerance', 'integer_copy',
    'quantized_layers', 'uncalibrated'
]
