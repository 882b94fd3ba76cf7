"""Quantised students whose additions, concatenations and poolings work on integers, too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .packages import ONNX, require_packages
from .post_training import METHODS, quantize_static

_LAYERS = ('Conv', 'Gemm')
OPERATORS = (*_LAYERS, 'Add', 'AveragePool', 'Concat', 'Flatten', 'GlobalAveragePool', 'MaxPool', 'Relu', 'Reshape',
             'Resize', 'Squeeze', 'Transpose')
"""Operators that onnxruntime computes with integers, if inputs and outputs are quantised."""


@dataclass(frozen=True)
class Ranges:
    """The ranges in a file of a quantised student.

    Attributes:
        overrides: By tensor, its step sizes and zero points as onnxruntime's quantiser takes them.
        outputs: Names of the nodes that give the outputs of the network, which stay in float.
    """

    overrides: dict[str, list[dict[str, Any]]]
    outputs: list[str]


def quantize_between_layers(file: str | Path, batches: Iterable[Tensor], method: str = METHODS[0]) -> str | None:
    """Let all of a quantised student work on integers, from its first layer to the input of its last one.

    In the file of a student with :class:`~skd_mm.deploy.quantisation.FakeQuantize`, only the weights and inputs of
    layers are quantised. A runtime computes a layer with integers only if its output is quantised as well, so that
    those before an addition, a concatenation or a pooling would run in float. This adds the missing pairs of
    QuantizeLinear and DequantizeLinear, where onnxruntime's own quantiser has them. The trained ranges stay as they
    are. Those of the other tensors are chosen from images. The outputs of the network stay in float.

    Args:
        file: A file that :func:`~skd_mm.deploy.onnx.export_onnx` wrote of such a student. It is replaced.
        batches: Calibration images, each ``[B, C, H, W]``, as the file takes them.
        method: One of :data:`~skd_mm.deploy.post_training.METHODS`.

    Returns:
        None, or why the file was left as it is.

    Raises:
        ImportError: A package for ONNX is not installed.
        ValueError: There is no calibration image, or the method is unknown.
    """
    require_packages(ONNX, 'int8 quantisation')
    import onnx

    file = Path(file)
    model = onnx.load(str(file))
    reason = _unsupported(model.graph)
    if reason is not None:
        return reason
    ranges = without_ranges(model)
    plain = file.with_name(f'.{file.name}.float.onnx')
    try:
        onnx.save(model, str(plain))
        quantize_static(plain, file, batches, method, ranges.overrides, OPERATORS, ranges.outputs)
    finally:
        plain.unlink(missing_ok=True)
    return None


def _unsupported(graph: Any) -> str | None:
    """Return why the ranges of a graph cannot be given to onnxruntime's quantiser; None if they can."""
    initializers = {tensor.name for tensor in graph.initializer}
    readers = _readers(graph)
    for node in graph.node:
        if node.op_type == 'DequantizeLinear' and node.input[0] in initializers:
            others = sorted({reader.op_type for reader in readers.get(node.output[0], [])} - set(_LAYERS))
            if others:
                return f'additions stay in float: weights are read by {", ".join(others)}'
        if node.op_type == 'QuantizeLinear' and any(
                producer.op_type == 'Clip' and producer.output[0] == node.input[0] for producer in graph.node):
            return 'additions stay in float: activations have fewer than 8 bits'
    return None


def without_ranges(model: Any) -> Ranges:
    """Remove the pairs of QuantizeLinear and DequantizeLinear from a model.

    Args:
        model: An ``onnx.ModelProto`` with such pairs. It is changed: its weights become floats on their grid.

    Returns:
        The ranges. A tensor that several layers read with ranges of their own gets the widest one.
    """
    from onnx import numpy_helper

    graph = model.graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantized = {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'QuantizeLinear'}
    overrides: dict[str, list[dict[str, Any]]] = {}
    sources: dict[str, str] = {}  # of each dequantised activation, the tensor that was quantised
    weights: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type != 'DequantizeLinear':
            continue
        name, (step, zero_point) = node.output[0], (arrays[name] for name in node.input[1:3])
        source = quantized.get(node.input[0])
        if source is None:
            weights[name] = _scaled(arrays[node.input[0]], step)
            overrides[name] = _weight_ranges(step)
            continue
        source = sources[name] = sources.get(source, source)
        if source not in overrides or step > overrides[source][0]['scale']:
            overrides[source] = [dict(scale=step, zero_point=zero_point)]
    _remove_pairs(graph, sources)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    _remove_unused(graph)
    outputs = {value.name for value in graph.output}
    return Ranges(overrides, [node.name for node in graph.node if outputs & set(node.output)])


def _scaled(integers: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return weights in float, given a step size per output channel."""
    return integers.astype(np.float32) * step.reshape(-1, *[1] * (integers.ndim - 1))


def _weight_ranges(step: np.ndarray) -> list[dict[str, Any]]:
    """Return the ranges of weights per output channel as onnxruntime's quantiser takes them."""
    ranges: list[dict[str, Any]] = [dict(scale=one, zero_point=np.zeros((), np.int8)) for one in step]
    ranges[0]['axis'] = 0
    return ranges


def _remove_pairs(graph: Any, sources: Mapping[str, str]) -> None:
    """Remove QuantizeLinear and DequantizeLinear; the others read what was quantised."""
    kept = [node for node in graph.node if node.op_type not in ('QuantizeLinear', 'DequantizeLinear')]
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = sources.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)


def _remove_unused(graph: Any) -> None:
    """Remove the initializers that no node reads."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _readers(graph: Any) -> dict[str, list[Any]]:
    """Return the nodes that read each tensor."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers
