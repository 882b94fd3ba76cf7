"""File formats of exported networks: how each is written, and how it is run."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as torch_pytree

from skd_mm.features.temporary_modes import constant, side_effect_free
from skd_mm.utils import did_you_mean

from .onnx import OnnxNetwork
from .packages import ONNX, require_packages
from .tracing import ExportError, quiet_export

SUFFIXES = {'onnx': '.onnx', 'onnx-int8': '-int8.onnx', 'torchscript': '.torchscript', 'openvino': '.xml'}
"""The formats, and the ends of the names of their files."""
PACKAGES: dict[str, tuple[str, ...]] = {
    'onnx': ONNX, 'onnx-int8': ONNX, 'torchscript': (), 'openvino': (*ONNX, 'openvino')}


class ExportedFile(Protocol):
    """A network in a file that can be run.

    Attributes:
        file: The file.
        metadata: What was kept in it when it was exported.
    """

    file: Path
    metadata: dict[str, Any]

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the file on tensors on the CPU, and return what the exported module returns."""

    def step(self, *inputs: Tensor) -> Callable[[], Any]:
        """Return a function that runs the file on converted inputs, to be timed."""


def check_formats(formats: list[str]) -> None:
    """Check the names of formats, and that their packages are installed.

    Args:
        formats: Names of formats.

    Raises:
        ImportError: A package is not installed.
        ValueError: A format is unknown, or there is none.
    """
    if not formats:
        raise ValueError(f'no format was given; there are {list(SUFFIXES)}')
    for name in formats:
        if name not in SUFFIXES:
            raise ValueError(f'there is no format {name!r}{did_you_mean(name, SUFFIXES)} (there are {list(SUFFIXES)})')
        require_packages(PACKAGES[name], f'the format {name!r}')


def load_file(file: str | Path, threads: int | None = None) -> ExportedFile:
    """Load an exported file by the end of its name.

    Args:
        file: A file that ends in ``.onnx``, ``.torchscript`` or ``.xml`` (OpenVINO).
        threads: Threads within an operator; PyTorch's number by default.

    Returns:
        The network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none of these formats.
    """
    kinds: dict[str, Any] = {'.onnx': OnnxNetwork, '.torchscript': TorchScriptNetwork, '.xml': OpenVINONetwork}
    file = Path(file)
    if file.suffix not in kinds:
        raise ValueError(f'{file} is no exported network: its name ends in none of {list(kinds)}')
    if not file.is_file():
        raise FileNotFoundError(f'there is no file {str(file)!r}')
    return kinds[file.suffix](file, threads)


def is_exported(file: str | Path) -> bool:
    """Return whether a file is an exported network by its name, and not a checkpoint."""
    return Path(file).suffix in ('.onnx', '.torchscript', '.xml')


def export_torchscript(model: nn.Module, inputs: Tensor, file: Path, metadata: Mapping[str, Any]) -> None:
    """Write a module as a TorchScript file by tracing it, in eval mode.

    Tracing keeps numbers that were computed from sizes as constants: a file may be right at the size of the example
    only, so that it must be verified.

    Args:
        model: A module whose outputs are tensors, or lists, tuples and dicts of tensors.
        inputs: The example, ``[B, ...]``.
        file: The file.
        metadata: What is kept in the file.

    Raises:
        ExportError: It cannot be traced.
    """
    with side_effect_free(model), constant(model), torch.no_grad(), quiet_export():
        flat = _Flat(model)
        try:
            traced = torch.jit.trace(flat, inputs, check_trace=False)
        except Exception as error:
            raise ExportError(f'the network cannot be exported to TorchScript: {str(error).splitlines()[0]}') from error
        spec = torch_pytree.tree_flatten(model(inputs))[1]
    kept = json.dumps({**metadata, 'outputs': torch_pytree.treespec_dumps(spec), 'dynamic': 'fixed',
                       'shape': list(inputs.shape)})
    torch.jit.save(traced, str(file), _extra_files={'skd_mm': kept})


class _Flat(nn.Module):
    """A module that returns its output as a tuple of tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch_pytree.tree_leaves(self.model(inputs)))


class TorchScriptNetwork:
    """A network in a TorchScript file, see :class:`ExportedFile`.

    PyTorch has one number of threads for all networks: ``torch.set_num_threads`` sets it.

    Args:
        file: The file, which :func:`export_torchscript` wrote.
        threads: Ignored.

    Raises:
        ValueError: The file is not a TorchScript file.
    """

    def __init__(self, file: str | Path, threads: int | None = None) -> None:
        self.file = Path(file)
        extra = {'skd_mm': ''}
        try:
            self.module = torch.jit.load(str(file), map_location='cpu', _extra_files=extra)
        except RuntimeError as error:
            raise ValueError(f'{file} is not a TorchScript file: {str(error).splitlines()[0]}') from error
        self.metadata: dict[str, Any] = json.loads(extra['skd_mm'] or '{}')

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the file."""
        with torch.inference_mode():
            outputs = list(self.module(*inputs))
        if 'outputs' not in self.metadata:
            return outputs
        return torch_pytree.tree_unflatten(outputs, torch_pytree.treespec_loads(self.metadata['outputs']))

    def step(self, *inputs: Tensor) -> Callable[[], Any]:
        """Return a function that runs the file."""
        def run() -> None:
            with torch.inference_mode():
                self.module(*inputs)
        return run


def export_openvino(onnx_file: Path, file: Path) -> None:
    """Write an ONNX file as OpenVINO's intermediate representation, in float32.

    Args:
        onnx_file: The ONNX file.
        file: The file, which ends in ``.xml``; the weights are next to it, in one that ends in ``.bin``.
    """
    import openvino
    openvino.save_model(openvino.convert_model(str(onnx_file)), str(file), compress_to_fp16=False)
    file.with_suffix('.json').write_text(json.dumps(OnnxNetwork(onnx_file).metadata) + '\n')


class OpenVINONetwork:
    """A network in OpenVINO's intermediate representation, see :class:`ExportedFile`.

    Args:
        file: The file that ends in ``.xml``.
        threads: Threads; PyTorch's number by default.

    Raises:
        ImportError: OpenVINO is not installed.
    """

    def __init__(self, file: str | Path, threads: int | None = None) -> None:
        require_packages(['openvino'], 'running an OpenVINO file')
        import openvino

        self.file = Path(file)
        settings = {'INFERENCE_NUM_THREADS': threads or torch.get_num_threads(), 'INFERENCE_PRECISION_HINT': 'f32'}
        self._compiled = openvino.Core().compile_model(str(file), 'CPU', settings)
        kept = self.file.with_suffix('.json')
        self.metadata: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the file."""
        found = self._compiled([value.detach().cpu().numpy() for value in inputs])
        outputs = [torch.from_numpy(np.array(found[port])) for port in self._compiled.outputs]
        if 'outputs' not in self.metadata:
            return outputs
        return torch_pytree.tree_unflatten(outputs, torch_pytree.treespec_loads(self.metadata['outputs']))

    def step(self, *inputs: Tensor) -> Callable[[], Any]:
        """Return a function that runs the file on converted inputs."""
        arrays = [value.detach().cpu().numpy() for value in inputs]
        return lambda: self._compiled(arrays)
