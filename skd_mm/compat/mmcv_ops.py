"""mmcv's compiled operators, if mmcv was installed without them."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from . import torch_ops
from .packages import installed_line

HOW_TO_INSTALL = {
    'maintained': 'mim install onedl-mmcv==2.3.6 (if there is a wheel for your versions of PyTorch and CUDA), or\n'
                  '  pip install --no-build-isolation --no-deps --force-reinstall --no-binary onedl-mmcv '
                  'onedl-mmcv==2.3.6 (compiles for half an hour)',
    'original': 'mim install mmcv==2.1.0 (remove mmcv-lite first)',
}


def patch_mmcv_ops() -> None:
    """Make ``mmcv.ops`` importable without mmcv's compiled operators.

    mmsegmentation 1.2.2 and mmdetection import ``mmcv.ops`` even for models that need no compiled operator. The parts
    of it that are Python (``point_sample``, the classes that configs name) work, and so do the operators of
    :mod:`~skd_mm.compat.torch_ops`: most detectors need no others. The rest raise a RuntimeError when called. The
    finder comes last, so that a compiled ``mmcv._ext`` is always preferred.
    """
    if not any(isinstance(finder, MissingOpsFinder) for finder in sys.meta_path):
        sys.meta_path.append(MissingOpsFinder())


class MissingOpsFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finder of a placeholder for ``mmcv._ext``, with operators in PyTorch and clear errors for all others."""

    name = 'mmcv._ext'

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return the placeholder's spec, or None for any other module."""
        return importlib.machinery.ModuleSpec(self.name, self) if fullname == self.name else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Let Python create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module every operator that is asked for."""

        def get(name: str) -> Callable[..., Any]:
            if name.startswith('__'):
                raise AttributeError(name)
            return torch_ops.OPERATORS.get(name) or _missing_op(name)

        module.__getattr__ = get  # type: ignore[method-assign]


def _missing_op(name: str) -> Callable[..., Any]:

    def op(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"mmcv's compiled operator '{name}' is not available: mmcv was installed without its operators. "
            f'Install it with them:\n  {HOW_TO_INSTALL[installed_line()]}\n'
            'or choose a model that does not need this operator')

    return op
