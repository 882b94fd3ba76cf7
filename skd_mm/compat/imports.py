"""Missing optional parts of other packages: imports that fail, and messages that they print."""

import importlib.machinery
import importlib.util
import logging
import sys
import warnings
from functools import wraps
from typing import Any

import torch


def patch_messages() -> None:
    """Silence messages that every run prints and nobody can act on.

    The maintained mmsegmentation and mmpretrain report a missing OneDL client as a debug message without a logger,
    which ``print_log`` prints whatever its level. mmcv-lite warns that it lacks a compiled operator, and mmsegmentation
    that its visualization hook draws nothing, which is its default. mmdetection warns that it lacks a second
    implementation of COCO's metric.
    """
    import mmengine
    from mmengine import logging as mmengine_logging

    for message in ('Fail to import ``MultiScaleDeformableAttention``', 'The draw is False', 'faster_coco_eval is not'):
        warnings.filterwarnings('ignore', message, UserWarning)
    print_log = mmengine_logging.print_log
    if hasattr(print_log, '__wrapped__'):
        return

    @wraps(print_log)
    def print_log_without_debug(msg: Any, logger: Any = None, level: int = logging.INFO) -> None:
        if logger is not None or level > logging.DEBUG:
            print_log(msg, logger, level)

    mmengine_logging.print_log = mmengine.print_log = print_log_without_debug


def patch_torchvision() -> None:
    """Declare torchvision's ``nms`` operators if its compiled extension cannot be loaded.

    A torchvision built for CUDA cannot load its extension with a CPU-only torch, and then fails at import with
    ``operator torchvision::nms does not exist``. That would break mmpretrain, and MMEngine's environment dump in every
    Runner. The operators themselves remain unavailable, with torchvision's own error.
    """
    if 'torchvision' in sys.modules or (spec := importlib.util.find_spec('torchvision')) is None:
        return
    extension = importlib.machinery.PathFinder.find_spec('_C', spec.submodule_search_locations)
    if extension is not None and extension.origin is not None:
        try:
            torch.ops.load_library(extension.origin)
        except (ImportError, OSError):
            pass
    for name in ('nms', 'qnms'):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f'torchvision::{name}', '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
