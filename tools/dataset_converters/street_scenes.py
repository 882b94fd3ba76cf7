"""Generate synthetic street scenes in CamVid's layout, for experiments without a download."""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', help='folder to create; a complete data set with the same settings is kept')
    parser.add_argument('--train', type=int, default=120, help='number of training images')
    parser.add_argument('--val', type=int, default=24, help='number of validation images')
    parser.add_argument('--test', type=int, default=48, help='number of test images')
    parser.add_argument('--size', type=int, nargs=2, default=(96, 128), metavar=('H', 'W'), help='height and width')
    parser.add_argument('--seed', type=int, default=0, help='seed of all scenes')
    parser.add_argument('--boxes', action='store_true',
                        help="also write the objects' bounding boxes in COCO's format, to annotations/<split>.json")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from skd_mm.synthetic import make_street_scenes  # after the options, so that --help is quick

    try:
        root = make_street_scenes(args.out, args.train, args.val, args.test, tuple(args.size), args.seed, args.boxes)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'{root}: {args.train} training, {args.val} validation and {args.test} test images')


if __name__ == '__main__':
    main()
