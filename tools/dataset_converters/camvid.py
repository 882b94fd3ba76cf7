"""Convert CamVid into the layout that CamVidDataset reads.

That is {train,val,test}/NAME.png and {train,val,test}annot/NAME.png.

Two sources are supported:
  original  the release of 701 frames of 960x720, with colour-coded labels NAME_L.png of 32 classes, anywhere in SRC;
            --splits gives the split. The 32 classes become the 11 in common use, and 11 for void.
  segnet    the SegNet tutorial's own layout, which is checked file by file, and copied or linked.

OUT also gets train.txt, val.txt and test.txt with the names of each split. It is created atomically.
"""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', type=Path, help='folder to read')
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder to create')
    parser.add_argument('--layout', choices=['original', 'segnet'], required=True, help='layout of SRC')
    parser.add_argument('--splits', type=Path, metavar='DIR',
                        help="folder of train.txt, val.txt and test.txt, such as SegNet's; for the original release")
    parser.add_argument('--size', type=int, nargs=2, metavar=('W', 'H'), help='resize to this width and height')
    parser.add_argument('--link', action='store_true', help='link files that need no change instead of copying them')
    parser.add_argument('--nproc', type=int, default=1, help='number of processes (default: 1)')
    args = parser.parse_args()
    if args.layout == 'original' and args.splits is None:
        parser.error('--layout original needs --splits: the release has no split of its own')
    if args.layout == 'segnet' and args.splits is not None:
        parser.error("--splits is for --layout original: SegNet's folders are its split")
    if (args.size is not None and min(args.size) < 1) or args.nproc < 1:
        parser.error('--size and --nproc must be positive')
    return args


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.datasets.camvid import CLASSES
    from skd_mm.datasets.converters.camvid import convert_camvid

    size = None if args.size is None else tuple(args.size)
    try:
        frames, pixels = convert_camvid(args.src, args.out, args.splits, size, args.link, args.nproc)
    except (OSError, ValueError) as error:
        raise SystemExit(f'\nerror: {error}') from error
    print(f"\n{args.out}: {', '.join(f'{count} {split}' for split, count in frames.items())}")
    for name, share in zip((*CLASSES, 'unlabelled'), 100 * pixels / pixels.sum(), strict=True):
        print(f'{name:>12} {share:5.1f} % of the pixels')


if __name__ == '__main__':
    main()
