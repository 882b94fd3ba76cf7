"""Post-training quantisation of ONNX files to int8, with onnxruntime."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from skd_mm.utils import atomic_replace, did_you_mean

from .onnx import OnnxNetwork
from .packages import ONNX, require_packages

METHODS = ('minmax', 'percentile', 'entropy')
"""How the range of an activation is chosen from its values on the calibration images."""


def quantize_static(file: str | Path, out: str | Path, batches: Iterable[Tensor], method: str = METHODS[0],
                    ranges: Mapping[str, Any] | None = None, operators: Sequence[str] = (),
                    exclude: Sequence[str] = ()) -> Path:
    """Write an ONNX file whose convolutions and matrix products work on int8 numbers.

    Weights have a scale per output channel, activations one per tensor. The file is in the QDQ format: pairs of
    QuantizeLinear and DequantizeLinear around the operators, which every runtime of ONNX reads.

    Args:
        file: A float32 file of :func:`~skd_mm.deploy.onnx.export_onnx`.
        out: The file to write; an existing one is replaced.
        batches: Calibration images, each ``[B, C, H, W]``, as the file takes them.
        method: One of :data:`METHODS`. ``'percentile'`` and ``'entropy'`` hold the activations of all images in memory.
        ranges: By tensor, known step sizes and zero points (onnxruntime's ``TensorQuantOverrides``). Those of all other
            tensors are chosen.
        operators: The operators to quantise; all that onnxruntime knows by default.
        exclude: Names of nodes that stay in float. Defaults to none.

    Returns:
        ``out``.

    Raises:
        ImportError: A package for ONNX is not installed.
        ValueError: There is no calibration image, or the method is unknown.
    """
    require_packages(ONNX, 'int8 quantisation')
    if method not in METHODS:
        raise ValueError(f'the calibration method {method!r} is not one of {list(METHODS)}'
                         f'{did_you_mean(method, METHODS)}')
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    network = OnnxNetwork(file)
    reader = _reader(network, batches)
    methods = dict(minmax='MinMax', percentile='Percentile', entropy='Entropy')
    out = Path(out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix='.quantize-') as folder, _quiet():
        prepared, written = Path(folder, 'prepared.onnx'), Path(folder, 'int8.onnx')
        # Optimisations would rename the tensors whose ranges are known.
        quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True, skip_optimization=ranges is not None)
        quantization.quantize_static(
            str(prepared), str(written), reader, quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[methods[method]],
            op_types_to_quantize=list(operators) or None, nodes_to_exclude=list(exclude),
            extra_options=dict(TensorQuantOverrides=dict(ranges)) if ranges else {})
        model = onnx.load(str(written))
        onnx.helper.set_model_props(model, network.session.get_modelmeta().custom_metadata_map)
        onnx.save(model, str(written))
        atomic_replace(written, out)
    return out


def _reader(network: OnnxNetwork, batches: Iterable[Tensor]) -> Any:
    """Return the batches as onnxruntime reads them, after a check that there is one."""
    from onnxruntime.quantization import CalibrationDataReader

    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise ValueError('there are no calibration images')

    def arrays() -> Iterator[dict]:
        yield network.arrays(first)
        for batch in iterator:
            yield network.arrays(batch)

    class Reader(CalibrationDataReader):
        """Calibration images, one batch at a time."""

        def __init__(self) -> None:
            self.arrays = arrays()

        def get_next(self) -> dict | None:
            return next(self.arrays, None)

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's advice, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
