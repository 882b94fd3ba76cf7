"""Stagewise and other knowledge distillation for the OpenMMLab stack.

Importing the package patches the installed OpenMMLab packages (:mod:`skd_mm.compat`) before anything imports ``mmseg``,
``mmpretrain`` or ``torchvision``, and declares the registries. MMEngine registers the classes when a registry is first
asked for a ``skd_mm.<Name>``.

Raises:
    ImportError: Neither or both sets of OpenMMLab packages are installed.
"""

from skd_mm import compat

compat.apply()

from skd_mm import registry  # noqa: E402
from skd_mm.version import __version__  # noqa: E402

__all__ = ['__version__', 'compat', 'registry']
