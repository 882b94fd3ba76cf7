"""Trains a model from a config: a schedule of distillation, or any plain mmsegmentation or mmpretrain config."""

import argparse
import copy
import logging
import os
import os.path as osp
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# MMEngine's Runner, torch and skd_mm are imported where they are needed, so that --help is quick.
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import RUNNERS

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    """The options that mmsegmentation's ``tools/train.py`` has."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; work_dirs/<name of the config> if not given')
    parser.add_argument('--resume', action='store_true', help='go on from the latest checkpoint in the work directory')
    parser.add_argument('--dry-run', action='store_true', help='print the phases with what learns, the spots and the '
                        'cost, look whether the run can start, and write nothing')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (bfloat16 on a CPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument('--seed', type=int, help='seed of the run; a random one if neither this nor the config has it')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='settings that replace those of the config, like schedule.fraction=0.1')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    # torchrun and torch.distributed.launch spell it differently.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Trains."""
    args = parse_args()
    from skd_mm.datasets.seeded import DataError
    from skd_mm.engine.prelude import run_prelude
    from skd_mm.utils import leave_group

    try:
        cfg = prepare(args)
        if args.dry_run:
            dry_run(cfg)
            return
        check_writable(cfg.work_dir)
        if cfg.get('prelude') and run_prelude(copy.deepcopy(cfg), dry=True).model.teacher.checkpoint is None:
            check_run(cfg)  # a teacher takes its time; what is wrong with the rest is said before
        run_prelude(cfg)
        runner = build(cfg)
    except (AssertionError, DataError, ImportError, KeyError, OSError, TypeError, ValueError) as error:
        # What a user can mend is said in one message, without the way that the program took to it.
        raise SystemExit(f'train: {message(error)}') from error
    runner.train()
    del runner
    leave_group()


def prepare(args: argparse.Namespace) -> Config:
    """The config with the options of the command line in it, all its names looked at."""
    from skd_mm.config import check_config

    cfg = read_config(args.config, args.cfg_options)
    for line in check_config(cfg):
        print_log(f'{args.config}: {line}', logger='current', level=logging.WARNING)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', Path(args.config).stem)
    # Started again by torchrun, the run goes on without being told.
    restarted = int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) > 0
    cfg.resume = args.resume or restarted or cfg.get('resume', False)
    if args.seed is not None:
        cfg.setdefault('randomness', {})['seed'] = args.seed
    if args.amp:
        cfg.optim_wrapper.type = 'skd_mm.AmpOptimWrapper'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config')
        cfg.auto_scale_lr.enable = True
    return cfg


def build(cfg: Config) -> 'Runner':
    """The Runner with its training loop: everything that can be wrong with a config is found here."""
    from mmengine.runner import Runner

    from skd_mm.engine.resume import choose_checkpoint
    from skd_mm.utils import described

    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if 'schedule' not in cfg:
        choose_checkpoint(runner)
    runner.train_loop  # noqa: B018  (which builds it)
    try:
        runner.val_loop  # noqa: B018
    except Exception as error:
        raise ValueError(f'val_dataloader, val_cfg and val_evaluator ({described(cfg.val_evaluator)}) make no '
                         f'validation: {type(error).__name__}: {error}') from error
    if 'schedule' in cfg:
        runner.train_loop.check_task()
    return runner


def check_writable(folder: str) -> None:
    """Finds out before anything is built that nothing could be kept."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(error.errno, f'the work directory {folder} cannot be written to: {error.strerror}') from error


def dry_run(cfg: Config) -> None:
    """Prints what a run would do, and builds all of it but the work directory."""
    if 'schedule' in cfg:
        from skd_mm.analysis.plan import plan
        print(plan(cfg))
    check_run(cfg)
    print('\nThe run can start.')


def check_run(cfg: Config) -> None:
    """Builds all of a run but the work directory, and what its prelude makes if that is not there."""
    from skd_mm.engine.prelude import run_prelude

    with tempfile.TemporaryDirectory() as folder:
        cfg = run_prelude(copy.deepcopy(cfg), dry=True)
        cfg.work_dir, cfg.log_level, cfg.resume, cfg.launcher = folder, 'ERROR', False, 'none'
        cfg.visualizer = None
        build(cfg)
        logging.shutdown()


def message(error: Exception) -> str:
    """What an error says; KeyError quotes it, and OSError puts a number before it."""
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    return str(error) or type(error).__name__


def read_config(path: str, options: dict[str, Any]) -> Config:
    """Reads a config with its overrides; a ``schedule`` in it takes over from the training loop it inherited."""
    from skd_mm.distillers.networks import find_config

    cfg = Config.fromfile(find_config(path))
    for key, value in options.items():
        _set(cfg, key, value)
    loop = cfg.get('train_cfg') or {}
    if 'schedule' in cfg and isinstance(loop, Mapping) and loop.get('type') != 'skd_mm.PhaseLoop':
        # MMEngine takes `by_epoch` only where it chooses the loop by itself, as in mmpretrain's configs.
        lengths = {key: value for key, value in loop.items() if key != 'by_epoch'}
        cfg.pop('train_cfg', None)
        cfg.train_cfg = dict(lengths, type='skd_mm.PhaseLoop')
    return cfg


def _set(cfg: Config, key: str, value: Any) -> None:
    """Sets one option of the command line."""
    try:
        cfg.merge_from_dict({key: value})
    except (AttributeError, KeyError, TypeError) as error:
        owner: Any = cfg.to_dict()
        path = []
        for part in key.split('.')[:-1]:
            inside = owner[int(part)] if isinstance(owner, list) and part.isdigit() and int(part) < len(owner) else \
                owner.get(part) if isinstance(owner, Mapping) else None
            if inside is None:
                break
            owner = inside
            path.append(part)
        what = f'{".".join(path)} is {str(owner)[:200]!r}' if path else message(error)
        way = f': give the whole list, {".".join(path)}="[...]"' if isinstance(owner, list) else ''
        raise ValueError(f'--cfg-options {key}={value}: it cannot be set, as {what}{way}') from error


if __name__ == '__main__':
    main()
