"""The steps of an export that PyTorch does: tracing a module and converting it, with errors that name what failed."""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_LOGGERS = ('onnxscript', 'onnx_ir', 'torch.onnx', 'torch.export', 'torch.fx', 'torch._dynamo')


class ExportError(ValueError):
    """A model that cannot be exported, or an export whose outputs are not those of PyTorch."""


@contextmanager
def quiet_export() -> Iterator[None]:
    """Silence the messages of the exporter and its optimizer for a while."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def trace(model: nn.Module, inputs: Sequence[Tensor], axes: Sequence[int] = ()) -> Any:
    """Trace a module.

    Args:
        model: The module, in eval mode.
        inputs: Its inputs.
        axes: Axes of every input that may vary. One that the module turns into a constant stays fixed.

    Returns:
        A ``torch.export.ExportedProgram``.

    Raises:
        ExportError: It cannot be traced; the message names the module.
    """
    shapes = tuple({axis: torch.export.Dim.AUTO for axis in axes if axis < value.ndim} for value in inputs)
    with _module_stack(model) as stack:
        try:
            return torch.export.export(model, tuple(inputs), dynamic_shapes=(*shapes, ) if axes else None, strict=False)
        except Exception as error:  # PyTorch's tracers raise errors of many classes
            module = stack[-1] if stack else ''
            raise ExportError(f'{_operator(error)}{_located(model, module)} cannot be exported: '
                              f'{_first_line(error)}') from error


def convert(program: Any, input_names: Sequence[str], output_names: Sequence[str]) -> Any:
    """Convert a traced module to ONNX.

    Args:
        program: A ``torch.export.ExportedProgram``.
        input_names: Names of the inputs.
        output_names: Names of the outputs.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        ExportError: An operator cannot be converted; the message names it and its module.
    """
    try:
        result = torch.onnx.export(program, (), None, dynamo=True, verbose=False, input_names=list(input_names),
                                   output_names=list(output_names))
    except Exception as error:
        name = _missing_operator(error)
        if name is None:
            raise ExportError(f'the network cannot be converted to ONNX: {_first_line(error)}') from error
        path, kind = _module_of(program, name)
        where = f' in the module {path!r} ({kind})' if path else ''
        raise ExportError(f'the operator {name!r}{where} has no counterpart in ONNX') from error
    assert result is not None
    return result.model_proto


@contextmanager
def _module_stack(model: nn.Module) -> Iterator[list[str]]:
    """Keep the paths of the modules that are running; after an error the last one is where it was raised."""
    stack: list[str] = []

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        stack.pop()

    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda module, inputs, path=path: stack.append(path)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()


def _located(model: nn.Module, path: str) -> str:
    if not path:
        return f'the network ({type(model).__name__})'
    return f'the module {path!r} ({type(model.get_submodule(path)).__name__})'


def _operator(error: Exception) -> str:
    """Return the operator that a tracer does not know, as the beginning of a message."""
    if type(error).__name__ == 'UnsupportedOperatorException':
        return f'the operator {_first_line(error)!r} in '
    found = re.search(r"(?:operator|op) '?([\w.]+::[\w.]+)", str(error))
    return f'the operator {found.group(1)!r} in ' if found else ''


def _missing_operator(error: BaseException | None) -> str | None:
    """Return the operator without an ONNX function that a chain of errors names."""
    while error is not None:
        found = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error))
        if found is not None:
            return found.group(1)
        error = error.__cause__
    return None


def _module_of(program: Any, operator: str) -> tuple[str, str]:
    """Return path and class of the module that calls an operator, which may be part of another one."""
    for find in (lambda: program, lambda: program.run_decompositions()):
        for node in find().graph.nodes:
            stack = node.meta.get('nn_module_stack')
            if node.op == 'call_function' and stack and str(node.target).startswith(f'{operator}.'):
                path, kind = list(stack.values())[-1]
                return path, str(kind).rpartition('.')[2].strip("'>")
    return '', ''


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
