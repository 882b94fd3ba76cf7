"""Measure what the spots of configs cost: milliseconds and MiB per iteration next to those of the first config."""

import argparse
from pathlib import Path
from typing import Any


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time the losses, connectors, memories and discriminators of configs on random features; networks '
        'are not timed')
    parser.add_argument('configs', nargs='+', help='paths of configs with a `schedule`; the last phase is measured')
    parser.add_argument('--size', type=int, nargs=2, default=[512, 1024], metavar=('HEIGHT', 'WIDTH'),
                        help='size of the images')
    parser.add_argument('--batch-size', type=int, default=2, help='images per iteration')
    parser.add_argument('--iters', type=int, default=5, help='timed iterations of each config')
    parser.add_argument('--warmup', type=int, default=1, help='iterations before them')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall',
                        help='cpu counts the time of this process only, for a shared machine')
    parser.add_argument('--device', help='cuda if there is a GPU, else cpu, if not given')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis.spot_cost import format_table, spot_cost
    from skd_mm.config import load_config
    from skd_mm.utils import write_json

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    rows: list[dict[str, Any]] = []
    for path in args.configs:
        cost = spot_cost(load_config(path), args.size, args.batch_size, args.iters, args.warmup, args.clock, device)
        rows.append(dict(config=Path(path).stem, **cost))
    print(f'{args.batch_size} images of {args.size[0]} × {args.size[1]} on {device}, {args.clock} clock')
    print(format_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    main()
