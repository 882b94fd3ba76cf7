"""Writes a distilled student as a config and a checkpoint that mmsegmentation or mmpretrain load by themselves."""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description='Export the student of a distillation')
    parser.add_argument('config', help='path of the config of the distillation')
    parser.add_argument('checkpoint', help='path of one of its checkpoints (iter_N.pth, best_*.pth), or a pattern '
                        '(the last phase is taken, else the newest file)')
    parser.add_argument('out_dir', help='where <name>.py and <name>.pth go')
    parser.add_argument('--name', help='name of the two files; that of the config if not given')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    return parser.parse_args()


def main() -> None:
    """Export."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.config import load_config
    from skd_mm.deploy.export import export_student
    from skd_mm.utils import exit_on_error

    with exit_on_error('export_student'):
        cfg = load_config(args.config, args.cfg_options)
        files = export_student(cfg, args.checkpoint, args.out_dir, args.name or Path(args.config).stem)
    for file in files:
        print(file)


if __name__ == '__main__':
    main()
