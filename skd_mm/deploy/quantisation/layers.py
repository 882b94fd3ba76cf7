"""Convolutions and linear layers with fake-quantised weights and inputs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .quantizers import ActivationQuantizer, WeightQuantizer, dequantize

_PLAIN_CONVOLUTIONS = ('torch.nn.modules.conv', 'mmcv.cnn.bricks.wrappers')


class QuantizedLayer(nn.Module):
    """Base class of layers that quantise their weight per output channel and their input per tensor.

    Attributes:
        weight: The weight in float.
        weight_quantizer: Quantises the weight.
        input_quantizer: Quantises the input.
        integer_weight: The weight as int8 in a copy that is being exported; else None.
    """

    weight: Any
    weight_quantizer: WeightQuantizer
    input_quantizer: ActivationQuantizer
    integer_weight: Tensor | None

    def quantized_weight(self) -> Tensor:
        """Return the weight on its grid, as floats."""
        if self.integer_weight is None:
            return self.weight_quantizer(self.weight)
        step = self.weight_quantizer.step
        return dequantize(self.integer_weight, step, torch.zeros_like(step, dtype=torch.int8), axis=0)

    @torch.no_grad()
    def store_integers(self) -> None:
        """Replace the float weight by integers, for an export; the layer cannot be trained any more."""
        integers = self.weight_quantizer.integers(self.weight)
        del self.weight
        self.integer_weight = integers


class QuantizedConv2d(QuantizedLayer, nn.Conv2d):
    """Convolution with quantised weight and input.

    Args:
        conv: The convolution whose parameters it takes over.
        bits: Bits of the weights.
        activation_bits: Bits of the input.
    """

    def __init__(self, conv: nn.Conv2d, bits: int, activation_bits: int) -> None:
        settings: Any = {key: getattr(conv, key) for key in ('stride', 'padding', 'dilation', 'groups', 'padding_mode')}
        kernel_size: Any = conv.kernel_size
        nn.Conv2d.__init__(self, conv.in_channels, conv.out_channels, kernel_size, bias=False, device='meta',
                           **settings)
        _take_over(self, conv, bits, activation_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, ``[B, C_in, H, W]`` to ``[B, C_out, H', W']``."""
        return self._conv_forward(self.input_quantizer(x), self.quantized_weight(), self.bias)


class QuantizedLinear(QuantizedLayer, nn.Linear):
    """Linear layer with quantised weight and input.

    Args:
        linear: The layer whose parameters it takes over.
        bits: Bits of the weights.
        activation_bits: Bits of the input.
    """

    def __init__(self, linear: nn.Linear, bits: int, activation_bits: int) -> None:
        nn.Linear.__init__(self, linear.in_features, linear.out_features, False, device='meta')
        _take_over(self, linear, bits, activation_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the product, ``[..., C_in]`` to ``[..., C_out]``."""
        return F.linear(self.input_quantizer(x), self.quantized_weight(), self.bias)


class FixedBatchNorm(_BatchNorm):
    """BN that always normalises by its running statistics, as a network at inference does.

    Args:
        norm: The layer whose parameters and buffers it takes over.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, device='meta')
        self._parameters.update(norm._parameters)
        self._buffers.update(norm._buffers)
        self.train(False)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any shape, as the layer that it replaces checks its input no more."""

    def train(self, mode: bool = True) -> 'FixedBatchNorm':
        """Stay in eval mode."""
        return super().train(False)


def quantized(layer: nn.Module, bits: int, activation_bits: int) -> QuantizedLayer | None:
    """Return the quantised version of a layer.

    Args:
        layer: Any module.
        bits: Bits of the weights.
        activation_bits: Bits of the input.

    Returns:
        A layer with the same parameters; None if the module is neither a plain convolution nor a plain linear layer.
        Layers with a forward pass of their own, such as deformable convolutions, are none of these.
    """
    kind = type(layer)
    if isinstance(layer, nn.Conv2d) and kind.__name__ == 'Conv2d' and kind.__module__ in _PLAIN_CONVOLUTIONS:
        return QuantizedConv2d(layer, bits, activation_bits)
    if isinstance(layer, nn.Linear) and kind.__name__ == 'Linear':
        return QuantizedLinear(layer, bits, activation_bits)
    return None


def _take_over(layer: Any, source: Any, bits: int, activation_bits: int) -> None:
    layer.weight, layer.bias = source.weight, source.bias
    layer.register_buffer('integer_weight', None)
    layer.weight_quantizer = WeightQuantizer(bits, len(source.weight))
    layer.input_quantizer = ActivationQuantizer(activation_bits)
    layer.train(source.training)
