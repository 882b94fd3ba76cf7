"""Before a run: build it, and check that it can start and resume."""

import copy
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from skd_mm.utils import described, did_you_mean, launched_local_rank

from .ordinary_run import resume_exactly
from .prelude import run_prelude
from .rendered_config import RenderedConfig

# Set to the number of restarts by torchrun and by Slurm (after a requeue).
_RESTART_COUNTS = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')


def build_runner(cfg: Config) -> Any:
    """Build a Runner with its training and validation loops, so that all errors of a config are raised here.

    Args:
        cfg: The config of a run, with its ``work_dir``.

    Returns:
        The Runner.

    Raises:
        ValueError: The loops cannot be built, or the task cannot be trained or validated.
    """
    cfg = RenderedConfig.of(cfg)  # MMEngine formats it three times while it builds a Runner
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if 'schedule' not in cfg:
        resume_exactly(runner)
    runner.train_loop  # noqa: B018  (builds it)
    try:
        runner.val_loop  # noqa: B018
    except Exception as error:
        raise ValueError(f'val_dataloader, val_cfg and val_evaluator ({described(cfg.val_evaluator)}): the validation '
                         f'cannot be built: {type(error).__name__}: {error}') from error
    if 'schedule' in cfg:
        runner.train_loop.check_task()
    return runner


def check_run(cfg: Config) -> None:
    """Check that a run can start, without a trace of it: build everything in a temporary work directory.

    Args:
        cfg: The config of the run. It is not changed. If the output of its ``prelude`` does not exist, the teacher has
            random weights.

    Raises:
        ValueError: As :func:`build_runner`; other types of errors come from what cannot be built.
    """
    if torch.cuda.is_available():
        # Before a process group exists, all processes of a machine would use its first GPU.
        torch.cuda.set_device(launched_local_rank(cfg.get('launcher', 'none')) % torch.cuda.device_count())
    with tempfile.TemporaryDirectory() as folder:
        cfg = run_prelude(copy.deepcopy(cfg), dry=True)
        cfg.work_dir, cfg.log_level, cfg.resume, cfg.launcher = folder, 'ERROR', False, 'none'
        cfg.visualizer = None
        # MMEngine would reuse the visualizer of another run of this name that was built in the same second.
        cfg.experiment_name = Path(folder).name
        try:
            build_runner(cfg)
        finally:
            _close_log_file(MMLogger.get_instance(cfg.experiment_name))


def _close_log_file(logger: logging.Logger) -> None:
    # A closed handler must not stay: MMEngine writes to the stream of every file handler of its latest logger.
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
            handler.close()


def check_writable(folder: str) -> None:
    """Check before anything is built that files can be written to a work directory.

    Args:
        folder: The work directory; it is created.

    Raises:
        OSError: They cannot.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(error.errno, f'the work directory {folder} cannot be written to: {error.strerror}') from error


def set_resume(cfg: Config, resume: str | None) -> None:
    """Set in a config what the run resumes from.

    A process that torchrun or Slurm has started again resumes from the newest checkpoint of the work directory, however
    the run was started first.

    Args:
        cfg: The config of a run, with its ``work_dir``; ``resume`` and ``load_from`` are changed.
        resume: ``'auto'`` for the newest checkpoint in the work directory, or the path of a checkpoint. None leaves it
            to the config.

    Raises:
        FileNotFoundError: There is no such checkpoint; the closest names are given.
    """
    restarted = any(int(os.environ.get(name) or 0) > 0 for name in _RESTART_COUNTS)
    has_checkpoint = (Path(cfg.work_dir) / 'last_checkpoint').is_file()
    if resume not in (None, 'auto') and not (restarted and has_checkpoint):
        _check_file(str(resume))
        cfg.resume, cfg.load_from = True, resume
    elif resume is not None or restarted:
        cfg.resume = has_checkpoint or cfg.get('load_from') is None
        if has_checkpoint:
            cfg.load_from = None  # what the run began with


def _check_file(path: str) -> None:
    if '://' in path or os.path.isfile(path):
        return
    folder, name = os.path.split(path)
    names = os.listdir(folder or '.') if os.path.isdir(folder or '.') else []
    raise FileNotFoundError(f'--resume {path}: there is no such checkpoint{did_you_mean(name, names)}')
