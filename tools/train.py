"""Trains a model from a config: a schedule of distillation, or any plain mmsegmentation or mmpretrain config."""

import argparse
import copy
import logging
import os
import os.path as osp
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """Parse the options, which include those of mmsegmentation's and mmpretrain's ``tools/train.py``."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; work_dirs/<name of the config> if not given')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='resume from this checkpoint, or from the latest one in the work directory')
    parser.add_argument('--dry-run', action='store_true', help='check that the run can start, print its phases with '
                        'what they train, their spots and cost, and write nothing')
    parser.add_argument('--prelude-only', action='store_true', help='train the prelude of the config, and stop')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (bfloat16 on a CPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument('--seed', type=int, help='seed of the run; a random one if neither this nor the config has it')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like schedule.fraction=0.1')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    # torchrun and torch.distributed.launch spell it differently.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Train."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.datasets.seeded import DataError
    from skd_mm.engine.launch import build_runner, check_run, check_writable
    from skd_mm.engine.prelude import run_prelude
    from skd_mm.utils import exit_on_error, leave_group

    with exit_on_error('train', DataError):
        cfg = prepare(args)
        if args.dry_run:
            dry_run(cfg)
            return
        check_writable(cfg.work_dir)
        if cfg.get('prelude') and run_prelude(copy.deepcopy(cfg), dry=True).model.teacher.checkpoint is None:
            check_run(cfg)  # training a teacher takes long; errors in the rest are reported before
        run_prelude(cfg)
        if args.prelude_only:
            return
        runner = build_runner(cfg)
    runner.train()
    del runner
    leave_group()


def prepare(args: argparse.Namespace) -> 'Config':
    """Return the config with the options of the command line, after a check of all its names."""
    from mmengine.logging import print_log

    from skd_mm.config import check_config, follow_schedule, load_config
    from skd_mm.engine.launch import set_resume

    cfg = load_config(args.config, args.cfg_options)
    follow_schedule(cfg)
    for line in check_config(cfg):
        print_log(f'{args.config}: {line}', logger='current', level=logging.WARNING)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', Path(args.config).stem)
    set_resume(cfg, args.resume)
    if args.seed is not None:
        cfg.setdefault('randomness', {})['seed'] = args.seed
    if args.amp:
        cfg.optim_wrapper.type = 'skd_mm.AmpOptimWrapper'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config')
        cfg.auto_scale_lr.enable = True
    return cfg


def dry_run(cfg: 'Config') -> None:
    """Check that a run can start, and print what it would do."""
    from skd_mm.analysis.plan import plan
    from skd_mm.engine.launch import check_run

    missing_file = None
    try:
        check_run(cfg)
    except FileNotFoundError as error:
        missing_file = error  # the plan needs neither checkpoints nor data
    if 'schedule' in cfg:
        print(plan(cfg))
    if missing_file is not None:
        raise missing_file
    print('\nThe run can start.')


if __name__ == '__main__':
    main()
