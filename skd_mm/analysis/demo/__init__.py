"""Demonstration of the toolkit in five minutes on two CPU cores, without a download.

It generates synthetic street scenes, trains a teacher on all training images, and then on a tenth of them the same
student three times: without a teacher, with all spots at once, and stagewise (SKD, arXiv 1911.06786). Each of the two
baselines spends as many floating point operations in training as the stagewise schedule. Every run is a run of
``tools/train.py`` and ``tools/test.py`` with a config of ``configs/demo``.

A finished run is not repeated, and an interrupted one is resumed.
"""

from .demo import Demo
from .processes import Stopped
from .settings import FULL, QUICK, Size

__all__ = ['FULL', 'QUICK', 'Demo', 'Size', 'Stopped']
