"""Patches of the packages that this toolkit builds on, in one place.

Two sets of packages provide the import names ``mmengine``, ``mmcv``, ``mmseg`` and ``mmpretrain``: the maintained
``onedl-*`` packages (the default) and the original OpenMMLab releases. ``import skd_mm`` calls :func:`apply` before
anything imports them. Every patch fixes one fault and does nothing if that fault is absent.
"""

from importlib.util import find_spec

from .checkpoints import patch_checkpoint_loading
from .distributed import patch_cpu_distributed
from .imports import patch_messages, patch_torchvision
from .mmcv_ops import patch_mmcv_ops
from .packages import INSTALL, INSTALL_DETECTION, LINES, installed_line, patch_package_names, patch_zoo_paths
from .placeholders import patch_imgaug

__all__ = [
    'INSTALL', 'INSTALL_DETECTION', 'LINES', 'apply', 'installed_line', 'patch_checkpoint_loading',
    'patch_cpu_distributed', 'patch_imgaug', 'patch_messages', 'patch_mmcv_ops', 'patch_package_names',
    'patch_torchvision', 'patch_zoo_paths'
]


def apply() -> None:
    """Apply every patch. Called once by ``import skd_mm``.

    Raises:
        ImportError: Neither or both sets of OpenMMLab packages are installed, or one is incomplete.
    """
    line = installed_line()
    patch_messages()
    patch_torchvision()
    detection = find_spec('mmdet') is not None
    if line == 'original' or detection:
        patch_mmcv_ops()
    if detection:
        patch_imgaug()
    patch_package_names()
    patch_zoo_paths()
    patch_checkpoint_loading()
    patch_cpu_distributed()
