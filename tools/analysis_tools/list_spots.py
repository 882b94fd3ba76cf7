"""Lists where two networks can be compared, side by side, and writes a config that distils one into the other."""

import argparse


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description='List the spots of a teacher and a student')
    parser.add_argument('teacher', help="the teacher's config: a path, or a zoo's name like mmseg::segformer/….py")
    parser.add_argument('student', help="the student's config; with --write one that can be trained")
    parser.add_argument('--shape', type=int, nargs='+', metavar='SIZE',
                        help='height and width of the image (or one number for both) that both networks are run on; a '
                        'small one that they take if not given')
    parser.add_argument('--write', metavar='FILE', help='write a config that is ready to run; the file must not exist')
    parser.add_argument('--checkpoint', metavar='FILE',
                        help="the teacher's weights for --write, a file or URL; those that its zoo lists if not given")
    args = parser.parse_args()
    if args.shape is not None and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error(f'--shape takes a height and a width, not {args.shape}')
    return args


def main() -> None:
    """List the spots, and write a config."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.analysis.spot_list import format_spots, list_spots, write_config
    from skd_mm.utils import exit_on_error

    shape = (3, args.shape[0], args.shape[-1]) if args.shape else None
    with exit_on_error('list_spots'):
        found = list_spots(args.teacher, args.student, shape)
        print(format_spots(found))
        if args.write:
            write_config(args.write, args.teacher, args.student, found, args.checkpoint)
            print(f'\nWritten: {args.write}; train with: python tools/train.py {args.write}')


if __name__ == '__main__':
    main()
