"""Counts what a config costs: parameters and MACs of its networks, and the training of a schedule, phase by phase."""

import argparse


def parse_args() -> argparse.Namespace:
    """Parse the options, which are those of mmsegmentation's ``get_flops.py`` and others for schedules."""
    parser = argparse.ArgumentParser(description='Count the parameters and operations of a config')
    parser.add_argument('config', help='path of the config: of a distillation, or a plain one')
    parser.add_argument('--shape', type=int, nargs='+', metavar='SIZE',
                        help='height and width of the image (or one number for both); that of the training pipeline if '
                        'not given')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    parser.add_argument('--images', type=int, metavar='N',
                        help='size of the whole training set; that of the data set by default, if it exists')
    parser.add_argument('--match', metavar='CONFIG',
                        help='another distillation: print with how many epochs per phase it costs as much as this one')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like schedule.fraction=0.1')
    args = parser.parse_args()
    if args.shape is not None and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error(f'--shape takes a height and a width, not {args.shape}')
    if args.images is not None and args.images < 1:
        parser.error(f'--images must be 1 or more, not {args.images}')
    return args


def main() -> None:
    """Count and print."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.analysis.flops_report import count_config, format_report
    from skd_mm.config import load_config
    from skd_mm.utils import exit_on_error, write_json

    size = (args.shape[0], args.shape[-1]) if args.shape else None
    with exit_on_error('get_flops'):
        cfg = load_config(args.config, args.cfg_options)
        match = (args.match, load_config(args.match)) if args.match else None
        numbers = dict(config=args.config, **count_config(cfg, size, args.images, match))
    print(format_report(numbers))
    if args.json:
        write_json(args.json, numbers)


if __name__ == '__main__':
    main()
