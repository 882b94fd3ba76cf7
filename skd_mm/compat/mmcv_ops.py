"""mmcv's compiled operators, if mmcv was installed without them."""

from collections.abc import Callable
from typing import Any

from . import torch_ops
from .packages import installed_line
from .placeholders import PlaceholderFinder

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
    :mod:`~skd_mm.compat.torch_ops`: most detectors need no others. The rest raise a RuntimeError when called. A
    compiled ``mmcv._ext`` is always preferred.
    """
    PlaceholderFinder('mmcv._ext', lambda name: torch_ops.OPERATORS.get(name) or _missing_op(name)).install()


def _missing_op(name: str) -> Callable[..., Any]:

    def op(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"mmcv's compiled operator '{name}' is not available: mmcv was installed without its operators. "
            f'Install it with them:\n  {HOW_TO_INSTALL[installed_line()]}\n'
            'or choose a model that does not need this operator')

    return op
