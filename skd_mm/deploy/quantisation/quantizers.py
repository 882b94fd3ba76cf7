"""Fake quantisation with learned step sizes."""

from typing import Any

import torch
from torch import Tensor, nn

# Shares of the largest magnitude that are tried as the end of the range.
_SHRINK_FACTORS = torch.linspace(1.0, 0.2, 81)
_SMALLEST_STEP = 1e-8
# That of torch.onnx.export.
_OPSET = 20


class _FakeQuantizeFunction(torch.autograd.Function):
    """Rounding to a grid, with the straight-through estimator for the input and LSQ's gradient for the step size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero_point: Tensor, low: int, high: int, factor: float) -> Tensor:
        ctx.save_for_backward(x, step, zero_point)
        ctx.low, ctx.high, ctx.factor = low, high, factor
        return (torch.round(x / step).add_(zero_point).clamp_(low, high) - zero_point) * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, step, zero_point = ctx.saved_tensors
        gradient = gradients[0]
        ratio = x / step
        unclipped = torch.round(ratio) + zero_point
        level = unclipped.clamp(ctx.low, ctx.high)
        inside = unclipped == level
        level -= zero_point
        slope = torch.where(inside, level - ratio, level)
        reduced = [dim for dim in range(x.dim()) if step.dim() == 0 or step.shape[dim] == 1]
        step_gradient = (gradient * slope).sum(dim=reduced, keepdim=step.dim() > 0) * ctx.factor
        return gradient * inside, step_gradient, None, None, None, None


class Quantizer(nn.Module):
    """Base class of fake quantizers: rounds to a grid of integers times a step size, and returns floats.

    The step size is trained as in LSQ (arXiv 1902.08153): equation 3 gives its gradient, which is divided by
    ``sqrt(N * high)`` for ``N`` values per step (section 2.2); the input's gradient passes straight through inside the
    range. The parameter is the logarithm of the step size, as in TQT (arXiv 1903.08066): it stays positive, and Adam
    changes small and large steps by the same share. Step size and zero point start from the values that :meth:`fit`
    finds.

    Args:
        bits: Bits per value.
        shape: Shape of the step size; ``()`` for one step.
        low: Smallest integer.
        high: Largest integer.

    Attributes:
        log_step: The natural logarithm of the step size, a parameter.
        zero_point: The integer that stands for zero, a buffer.
        calibrated: 1 if :meth:`fit` was called, else 0; a buffer.
        enabled: Set to False to return the input as it is.
    """

    zero_point: Tensor
    calibrated: Tensor

    def __init__(self, bits: int, shape: tuple[int, ...], low: int, high: int) -> None:
        super().__init__()
        self.bits, self.low, self.high = bits, low, high
        self.enabled = True
        self.log_step = nn.Parameter(torch.zeros(shape))
        self.register_buffer('zero_point', torch.zeros(shape))
        self.register_buffer('calibrated', torch.zeros((), dtype=torch.uint8))  # Gloo cannot broadcast bool

    @property
    def step(self) -> Tensor:
        """The step size."""
        return self.log_step.exp()

    @torch.no_grad()
    def fit(self, values: Tensor) -> None:
        """Choose the range that minimises the squared rounding error of example values.

        Args:
            values: ``[C, N]`` with one row per step, or ``[1, N]`` if there is one step.
        """
        bottom, top = self._range(values)
        best = torch.full_like(top, float('inf'))
        best_step, best_zero_point = torch.ones_like(top), torch.zeros_like(top)
        for factor in _SHRINK_FACTORS.to(values):
            step = ((top - bottom) * factor / (self.high - self.low)).clamp_min(_SMALLEST_STEP)
            zero_point = self._zero_point(bottom * factor, step)
            rounded = ((values / step).round() + zero_point).clamp(self.low, self.high)
            error = ((rounded - zero_point) * step - values).square().sum(dim=1, keepdim=True)
            better = error < best
            best = torch.where(better, error, best)
            best_step = torch.where(better, step, best_step)
            best_zero_point = torch.where(better, zero_point, best_zero_point)
        self.log_step.copy_(best_step.log().view_as(self.log_step))
        self.zero_point.copy_(best_zero_point.view_as(self.zero_point))
        self.calibrated.fill_(1)

    def _range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the range that holds all values, ``[C, 1]`` each."""
        raise NotImplementedError

    def _zero_point(self, bottom: Tensor, step: Tensor) -> Tensor:
        """Return the integer that stands for zero, ``[C, 1]``."""
        return torch.zeros_like(bottom)

    def _quantize(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        per_step = max(x.numel() // self.log_step.numel(), 1)
        step = self.step.view(shape)
        return _FakeQuantizeFunction.apply(x.to(step.dtype), step, self.zero_point.view(shape), self.low, self.high,
                                           (per_step * self.high)**-0.5)

    def extra_repr(self) -> str:
        """Return the number of bits."""
        return f'bits={self.bits}'


class WeightQuantizer(Quantizer):
    """Fake quantizer of weights: symmetric, with one step size per output channel.

    Args:
        bits: Bits per weight.
        channels: Number of output channels.
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(bits, (channels, ), -2**(bits - 1), 2**(bits - 1) - 1)

    def _range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        top = values.abs().amax(dim=1, keepdim=True) * (self.high - self.low) / (2 * self.high)
        return -top, top

    def forward(self, weight: Tensor) -> Tensor:
        """Round weights.

        Args:
            weight: ``[C, ...]``, output channels first.

        Returns:
            The same shape.
        """
        if not self.enabled:
            return weight
        return self._quantize(weight, (-1, *[1] * (weight.dim() - 1)))

    @torch.no_grad()
    def integers(self, weight: Tensor) -> Tensor:
        """Return weights as integers.

        Args:
            weight: ``[C, ...]``, output channels first.

        Returns:
            The same shape, int8; times the step size they are what :meth:`forward` returns.
        """
        step = self.step.view(-1, *[1] * (weight.dim() - 1))
        return torch.round(weight / step).clamp(self.low, self.high).to(torch.int8)


class ActivationQuantizer(Quantizer):
    """Fake quantizer of activations: asymmetric and unsigned, with one step size and zero point per tensor.

    Args:
        bits: Bits per value, at most 8.

    Attributes:
        to_onnx: Whether ``torch.export`` is to find ONNX's ``QuantizeLinear`` and ``DequantizeLinear``.
    """

    to_onnx = False

    def __init__(self, bits: int) -> None:
        super().__init__(bits, (), 0, 2**bits - 1)

    def _range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        # Zero must be on the grid, as it pads images and is what ReLU returns.
        return values.amin(dim=1, keepdim=True).clamp_max(0), values.amax(dim=1, keepdim=True).clamp_min(0)

    def _zero_point(self, bottom: Tensor, step: Tensor) -> Tensor:
        return (bottom.abs() / step).round().clamp(self.low, self.high)

    def forward(self, x: Tensor) -> Tensor:
        """Round activations.

        Args:
            x: Any shape.

        Returns:
            The same shape.
        """
        if not self.enabled:
            return x
        if self.to_onnx and torch.compiler.is_exporting():
            return self._onnx(x)
        return self._quantize(x, ())

    def _onnx(self, x: Tensor) -> Tensor:
        step, zero_point = self.step, self.zero_point.to(torch.uint8)
        if self.bits < 8:
            x = x.clamp((self.low - self.zero_point) * step, (self.high - self.zero_point) * step)
        integers = torch.onnx.ops.symbolic('QuantizeLinear', (x, step, zero_point), dtype=torch.uint8, shape=x.shape,
                                           version=_OPSET)
        return dequantize(integers, step, zero_point)


def dequantize(integers: Tensor, step: Tensor, zero_point: Tensor, axis: int | None = None) -> Tensor:
    """Return integers as floats; during an export to ONNX, by ``DequantizeLinear``.

    Args:
        integers: Any shape, int8 or uint8.
        step: The step size, ``[]`` or ``[C]``.
        zero_point: The same shape, in the type of the integers.
        axis: The axis of the channels if there is a step size per channel.

    Returns:
        Floats of the same shape as the integers.
    """
    if not torch.compiler.is_exporting():
        shape = [-1 if axis == dim else 1 for dim in range(integers.dim())]
        return (integers.to(step.dtype) - zero_point.to(step.dtype).view(shape)) * step.view(shape)
    attributes: dict[str, Any] = {} if axis is None else dict(axis=axis)
    return torch.onnx.ops.symbolic('DequantizeLinear', (integers, step, zero_point), attributes, dtype=torch.float32,
                                   shape=integers.shape, version=_OPSET)
