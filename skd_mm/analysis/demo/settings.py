"""Size of the demo, and the names of its runs and files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TITLES = dict(teacher='teacher', no_teacher='no teacher', simultaneous='simultaneous', skd='stagewise',
              few_labels='few labels')
"""Configs in ``configs/demo`` in the order of their runs, and how the runs are called."""

DISTILLED = ('simultaneous', 'skd', 'few_labels')
"""Runs that need the teacher."""

WORK_DIR = 'work_dirs/demo'
"""The folder that the configs name."""

DATA = 'street_scenes'
RECORD = 'demo.json'


@dataclass(frozen=True)
class Size:
    """How large the demo is.

    Attributes:
        train: Number of training images, of which the students see ``schedule.fraction``.
        val: Number of validation images.
        test: Number of test images.
        pixels: Height and width of the images.
        teacher: Settings that override those of the teacher's config.
        student: Settings that override those of the students' configs.
    """

    train: int = 200
    val: int = 24
    test: int = 48
    pixels: tuple[int, int] = (64, 96)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    student: Mapping[str, Any] = field(default_factory=dict)


FULL = Size()

QUICK = Size(
    train=40, val=2, test=3, pixels=(32, 64), student={'schedule.phase_epochs': 1},
    teacher={'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1, 'param_scheduler.0.total_steps': 1,
             'param_scheduler.1.total_steps': 1})
"""Enough to see that everything runs."""
