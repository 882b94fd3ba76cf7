"""Trains a model from a config: a schedule of distillation, or any plain mmsegmentation or mmpretrain config."""

import argparse
import os
import os.path as osp
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from skd_mm.distillers.networks import find_config


def parse_args() -> argparse.Namespace:
    """The options that mmsegmentation's ``tools/train.py`` has."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; work_dirs/<name of the config> if not given')
    parser.add_argument('--resume', action='store_true', help='go on from the latest checkpoint in the work directory')
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
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', Path(args.config).stem)
    cfg.resume = args.resume or cfg.get('resume', False)
    if args.seed is not None:
        cfg.setdefault('randomness', {})['seed'] = args.seed
    if args.amp:
        cfg.optim_wrapper.type = 'skd_mm.AmpOptimWrapper'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SystemExit('--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config')
        cfg.auto_scale_lr.enable = True
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()


def read_config(path: str, options: dict[str, Any]) -> Config:
    """Reads a config with its overrides; a ``schedule`` in it takes over from the training loop it inherited."""
    cfg = Config.fromfile(find_config(path))
    cfg.merge_from_dict(options)
    if 'schedule' in cfg and cfg.get('train_cfg', {}).get('type') != 'skd_mm.PhaseLoop':
        # MMEngine takes `by_epoch` only where it chooses the loop by itself, as in mmpretrain's configs.
        lengths = {key: value for key, value in (cfg.get('train_cfg') or {}).items() if key != 'by_epoch'}
        cfg.pop('train_cfg', None)
        cfg.train_cfg = dict(lengths, type='skd_mm.PhaseLoop')
    return cfg


if __name__ == '__main__':
    main()
