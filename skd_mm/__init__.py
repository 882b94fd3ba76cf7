"""Stagewise and other knowledge distillation for the OpenMMLab stack.

Importing the package mends what the installed stack needs mended (:mod:`skd_mm.compat`), before anything imports
``mmseg``, ``mmpretrain`` or ``torchvision``, and declares the registries. The classes are registered by MMEngine when a
registry is first asked for a ``skd_mm.<Name>``.

Raises:
    ImportError: Neither or both lines of OpenMMLab packages are installed.
"""

from skd_mm import compat

compat.apply()

from skd_mm import registry  # noqa: E402
from skd_mm.version import __version__  # noqa: E402

__all__ = ['__version__', 'compat', 'registry']
