"""ONNX files: writing one from any module, and running it with onnxruntime."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as torch_pytree

from skd_mm.features.temporary_modes import constant, side_effect_free
from skd_mm.utils import atomic_replace, did_you_mean

from .packages import ONNX, require_packages
from .tracing import ExportError, convert, quiet_export, trace
from .verification import TOLERANCE, relative_difference, worst_difference

DYNAMIC = ('size', 'batch', 'fixed')
"""What may vary in an exported file: batch and image size, only the batch, or nothing."""
_AXES = {0: 'batch', 2: 'height', 3: 'width'}
_METADATA = 'skd_mm'


@dataclass(frozen=True)
class OnnxExport:
    """An exported file.

    Attributes:
        file: The file.
        dynamic: What may vary in it, one of :data:`DYNAMIC`.
        difference: The largest relative difference from PyTorch on the inputs that it was verified with.
        notes: Why less may vary than was asked for, one line each.
    """

    file: Path
    dynamic: str
    difference: float
    notes: tuple[str, ...] = ()


def export_onnx(model: nn.Module, example_inputs: Tensor | Sequence[Tensor], file: str | Path, *,
                dynamic: str = 'size', input_names: Sequence[str] = ('images',), output_names: Sequence[str] = (),
                tolerance: float = TOLERANCE, metadata: Mapping[str, Any] | None = None) -> OnnxExport:
    """Write a module as an ONNX file, in eval mode, and verify it against PyTorch.

    The file is written with ``torch.onnx.export(dynamo=True)`` and run with onnxruntime on the example inputs, on a
    batch of another length and on images of another size. If batch or size cannot vary (a size that the network turns
    into a constant, such as adaptive pooling into bins, or a different result), the file is written with a fixed size,
    and then with a fixed batch, and a note says so. The file appears complete and verified or not at all.

    Args:
        model: Any module whose outputs are tensors, or lists, tuples and dicts of tensors. Its modes are restored.
        example_inputs: Its input, or several, each ``[B, ...]``; images are ``[B, C, H, W]``.
        file: The file; an existing one is replaced.
        dynamic: What may vary at most, one of :data:`DYNAMIC`. Defaults to batch and size.
        input_names: Names of the inputs.
        output_names: Names of the outputs, in the order of the pytree's leaves; ``output0`` and so on if empty.
        tolerance: The largest relative difference. Defaults to 1e-4.
        metadata: What is kept in the file, see :class:`OnnxNetwork`: what JSON can hold.

    Returns:
        What was written.

    Raises:
        ExportError: The model cannot be exported; the message names the operator and the module. Or the file gives
            other outputs than PyTorch.
        ImportError: A package for ONNX is not installed.
        ValueError: ``dynamic`` is unknown.
    """
    require_packages(ONNX, 'exporting to ONNX')
    if dynamic not in DYNAMIC:
        raise ValueError(f'dynamic={dynamic!r} is not one of {list(DYNAMIC)}{did_you_mean(dynamic, DYNAMIC)}')
    inputs = (example_inputs, ) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    tmp = file.with_name(f'.{file.name}.tmp')
    writer = _Writer(model, inputs, tmp, input_names, output_names, tolerance, metadata or {})
    notes: list[str] = []
    try:
        with side_effect_free(model), constant(model), torch.no_grad():
            _check_deterministic(model, inputs)
            for what in DYNAMIC[DYNAMIC.index(dynamic):]:
                try:
                    if what == 'size':
                        _check_size_varies(model)
                    difference = writer.write(what)
                    break
                except ExportError as error:
                    if what == 'fixed':
                        raise
                    notes.append(f'{_described(what)} cannot vary: {error}')
        atomic_replace(tmp, file)
    finally:
        tmp.unlink(missing_ok=True)
    return OnnxExport(file, what, difference, tuple(notes))


def _described(what: str) -> str:
    return 'the image size' if what == 'size' else 'the batch'


def _check_deterministic(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Check that a model gives the same outputs twice; buffers that it makes in its first forward pass are made."""
    difference = relative_difference(model(*inputs), model(*inputs))
    if difference > 1e-6:
        raise ExportError(f'the network gives other outputs for the same input (relative difference {difference:.2g}): '
                          'it draws random numbers in eval mode, so that no exported file can be verified')


def _check_size_varies(model: nn.Module) -> None:
    """Check that no module pools into bins, or pads, by numbers that depend on the size.

    The exporter keeps the borders of the bins as constants, and spends minutes on symbolic paddings.
    """
    for path, module in model.named_modules():
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and module.output_size not in (1, (1, 1)):
            raise ExportError(f'the module {path!r} ({type(module).__name__}) pools into {module.output_size} bins, '
                              'whose borders are constants in the file')
        if type(module).__name__ == 'Conv2dAdaptivePadding':
            raise ExportError(f'the module {path!r} (Conv2dAdaptivePadding) pads by numbers that depend on the size')


class _Writer:
    """Writes one module in several variants."""

    def __init__(self, model: nn.Module, inputs: tuple[Tensor, ...], file: Path, input_names: Sequence[str],
                 output_names: Sequence[str], tolerance: float, metadata: Mapping[str, Any]) -> None:
        self.model, self.inputs, self.file = model, inputs, file
        self.input_names, self.output_names = list(input_names), list(output_names)
        self.tolerance, self.metadata = tolerance, metadata

    def write(self, dynamic: str) -> float:
        """Write and verify the file, and return its relative difference."""
        inputs = self.inputs
        if dynamic != 'fixed':
            # torch.export turns a batch of one into a constant.
            inputs = tuple(torch.cat([value, value]) if len(value) == 1 else value for value in inputs)
        axes = {'size': (0, 2, 3), 'batch': (0, ), 'fixed': ()}[dynamic]
        with quiet_export():
            program = trace(self.model, inputs, axes)
            outputs, spec = torch_pytree.tree_flatten(self.model(*inputs))
            names = self.output_names or [f'output{i}' for i in range(len(outputs))]
            model = convert(program, self.input_names, names)
        _name_axes(model, axes)
        _set_metadata(model, {**self.metadata, 'outputs': torch_pytree.treespec_dumps(spec), 'dynamic': dynamic})
        self.file.write_bytes(model.SerializeToString())
        return self._verify(inputs, axes)

    def _verify(self, inputs: tuple[Tensor, ...], axes: Sequence[int]) -> float:
        batches = [inputs]
        if 0 in axes:
            batches.append(tuple(value[:1] for value in inputs))
        if 2 in axes:
            batches.append(tuple(_enlarged(value[:1]) for value in inputs))
        try:
            difference = worst_difference(OnnxNetwork(self.file), self.model, batches)
        except Exception as error:  # onnxruntime's classes of errors have no base of their own
            found = re.search(r'while running (\w+) node', str(error))
            reason = f'its operator {found.group(1)} fails' if found else str(error).strip().splitlines()[0]
            raise ExportError(f'the exported file does not run on images of another number or size: {reason}'
                              ) from error
        if not difference <= self.tolerance:
            raise ExportError(f'the largest relative difference between the exported file and PyTorch is '
                              f'{difference:.2g}, more than {self.tolerance:.2g}')
        return difference


def _enlarged(images: Tensor) -> Tensor:
    """Return images of another size, in which rows and columns are repeated."""
    if images.ndim != 4:
        return images
    rows = torch.arange(images.shape[2] + 32) % images.shape[2]
    columns = torch.arange(images.shape[3] + 64) % images.shape[3]
    return images[:, :, rows][..., columns].contiguous()


def _name_axes(model: Any, axes: Sequence[int]) -> None:
    """Name the symbolic axes ``batch``, ``height`` and ``width``, and check that none became a constant."""
    names: dict[str, str] = {}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for axis in (axis for axis in axes if axis < len(dims)):
            if not dims[axis].dim_param:
                raise ExportError(f'the network turns the {_AXES[axis]} into a constant ({dims[axis].dim_value})')
            names.setdefault(dims[axis].dim_param, _AXES[axis])
    pattern = re.compile('|'.join(rf'\b{re.escape(name)}\b' for name in names) or '(?!)')
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = pattern.sub(lambda match: names[match.group()], dim.dim_param)


def _set_metadata(model: Any, metadata: Mapping[str, Any]) -> None:
    import onnx
    onnx.helper.set_model_props(model, {_METADATA: json.dumps(metadata)})


class OnnxNetwork:
    """A network in an ONNX file, which onnxruntime runs on the CPU.

    Args:
        file: The file; of this toolkit, or any other whose outputs are tensors.
        threads: Threads within an operator; PyTorch's number by default.

    Attributes:
        metadata: What :func:`export_onnx` kept in the file; empty for a file of another origin.
        shapes: The shape of each input: numbers, and names of axes that may vary.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: The file is not an ONNX file that onnxruntime can run.
    """

    def __init__(self, file: str | Path, threads: int | None = None) -> None:
        require_packages(['onnxruntime'], 'running an ONNX file')
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if not Path(file).is_file():
            raise FileNotFoundError(f'there is no file {str(file)!r}')
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f'{file} is not an ONNX file that onnxruntime can run: {reason}') from error
        self.file = Path(file)
        kept = self.session.get_modelmeta().custom_metadata_map
        self.metadata: dict[str, Any] = json.loads(kept.get(_METADATA, '{}'))
        self.shapes: list[list[int | str]] = [value.shape for value in self.session.get_inputs()]
        self._names = [value.name for value in self.session.get_inputs()]
        self._types = [np.uint8 if value.type == 'tensor(uint8)' else np.float32
                       for value in self.session.get_inputs()]

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the file.

        Args:
            *inputs: One tensor for each input.

        Returns:
            The outputs in the pytree of the exported module; a list if the file has none.

        Raises:
            ValueError: An axis that the file holds fixed has another length.
        """
        self._check(inputs)
        outputs = [torch.from_numpy(np.asarray(value)) for value in self.session.run(None, self.arrays(*inputs))]
        if 'outputs' not in self.metadata:
            return outputs
        return torch_pytree.tree_unflatten(outputs, torch_pytree.treespec_loads(self.metadata['outputs']))

    def step(self, *inputs: Tensor) -> Callable[[], Any]:
        """Return a function that runs the file on converted inputs, to be timed."""
        arrays = self.arrays(*inputs)
        return lambda: self.session.run(None, arrays)

    def arrays(self, *inputs: Tensor) -> dict[str, np.ndarray]:
        """Return the inputs as onnxruntime takes them: arrays by name."""
        return {name: np.ascontiguousarray(value.detach().cpu().numpy(), dtype=kind)
                for name, kind, value in zip(self._names, self._types, inputs, strict=True)}

    def _check(self, inputs: Sequence[Tensor]) -> None:
        for name, shape, value in zip(self._names, self.shapes, inputs, strict=True):
            wrong = [1 for axis, length in zip(shape, value.shape, strict=True) if axis not in (length, None)
                     and not isinstance(axis, str)]
            if wrong:
                raise ValueError(f'{self.file}: the input {name!r} is {shape}, and a tensor of {list(value.shape)} was '
                                 'given: the file was exported with a fixed size')
