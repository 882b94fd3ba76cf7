"""Prunes the channels of a trained network, and writes it as a config and a checkpoint like those of any other."""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description='Prune the channels of a trained network')
    parser.add_argument('config', help='path of the config: of a distillation, whose student is pruned, or a plain one')
    parser.add_argument('checkpoint', help='path of one of its checkpoints (iter_N.pth, best_*.pth), or a pattern '
                        '(the last phase is taken, else the newest file)')
    parser.add_argument('out_dir', help='where <name>.py and <name>.pth go')
    parser.add_argument('--macs', type=float, required=True, metavar='SHARE',
                        help='the share of the MACs that the pruned network may need, like 0.5')
    parser.add_argument('--keep', nargs='*', metavar='MODULE',
                        help='modules whose outputs keep all their channels; those of the spots of a distillation if '
                        'not given')
    parser.add_argument('--min-channels', type=int, default=4, metavar='N',
                        help='no layer gets fewer channels than this (default: 4)')
    parser.add_argument('--shape', type=int, nargs=2, metavar=('H', 'W'),
                        help='size of the images for which MACs are counted; 64 64 if not given')
    parser.add_argument('--name', help='name of the two files; that of the config and the share if not given')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    args = parser.parse_args()
    if not 0 < args.macs < 1:
        parser.error(f'--macs must be greater than 0 and less than 1, not {args.macs}')
    return args


def main() -> None:
    """Prune."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.config import load_config
    from skd_mm.deploy.pruning import prune_student
    from skd_mm.utils import exit_on_error

    with exit_on_error('prune'):
        cfg = load_config(args.config, args.cfg_options)
        name = args.name or f'{Path(args.config).stem}_macs{100 * args.macs:g}'
        done = prune_student(cfg, args.checkpoint, args.out_dir, name, args.macs, args.keep, args.shape,
                             args.min_channels)
    print(f'{done.pruned.share:.1%} of the MACs, {len(done.pruned.widths)} layers are narrower')
    print(done.config, done.checkpoint, sep='\n')


if __name__ == '__main__':
    main()
