"""Makes synthetic street scenes in CamVid's layout, to try things out without a download."""

import argparse

from skd_mm.datasets.street_scenes import make_street_scenes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', help='the folder to make; a whole set made with the same arguments is kept')
    parser.add_argument('--train', type=int, default=120, help='training images')
    parser.add_argument('--val', type=int, default=24, help='validation images')
    parser.add_argument('--test', type=int, default=48, help='test images')
    parser.add_argument('--size', type=int, nargs=2, default=(96, 128), metavar=('H', 'W'), help='height and width')
    parser.add_argument('--seed', type=int, default=0, help='which scenes')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        root = make_street_scenes(args.out, args.train, args.val, args.test, tuple(args.size), args.seed)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'{args.train} / {args.val} / {args.test} training, validation and test scenes in {root}')


if __name__ == '__main__':
    main()
