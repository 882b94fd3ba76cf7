"""Quantised students whose additions, concatenations and poolings work on integers, too."""

from collections.abc import Iterable
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
    quantized = {node.output[0]: node for node in graph.node if node.op_type == 'QuantizeLinear'}
    overrides: dict[str, list[dict[str, Any]]] = {}
    renamed: dict[str, str] = {}
    weights: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type != 'DequantizeLinear':
            continue
        step, zero_point = (arrays[name] for name in node.input[1:3])
        if node.input[0] in quantized:
            source = quantized[node.input[0]].input[0]
            source = renamed[node.output[0]] = renamed.get(source, source)
            known = overrides.get(source)
            if known is None or step > known[0]['scale']:
                overrides[source] = [dict(scale=step, zero_point=zero_point)]
        else:
            integers = arrays[node.input[0]].astype(np.float32)
            weights[node.output[0]] = integers * step.reshape(-1, *[1] * (integers.ndim - 1))
            overrides[node.output[0]] = [dict(scale=one, zero_point=np.zeros((), np.int8)) for one in step]
            overrides[node.output[0]][0]['axis'] = 0
    kept = [node for node in graph.node if node.op_type not in ('QuantizeLinear', 'DequantizeLinear')]
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    used = {name for node in kept for name in node.input}
    left = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(left)
    outputs = {value.name for value in graph.output}
    return Ranges(overrides, [node.name for node in kept if outputs & set(node.output)])


def _readers(graph: Any) -> dict[str, list[Any]]:
    """Return the nodes that read each tensor."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers
