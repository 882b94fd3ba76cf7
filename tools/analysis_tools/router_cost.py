"""Times a routed step of a config with a router, plain distillation, and the passes that a routed step needs."""

import argparse
from typing import Any


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of a config with `model.router`')
    parser.add_argument('--batch-size', type=int, help="images per step; the config's if not given")
    parser.add_argument('--rounds', type=int, default=20, help='how often each step is timed, interleaved')
    parser.add_argument('--device', help='cuda if there is a GPU, else cpu, if not given')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    return parser.parse_args()


def main() -> None:
    """Time and print."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis.router_cost import config_router_cost
    from skd_mm.config import load_config
    from skd_mm.utils import exit_on_error, write_json

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    with exit_on_error('router_cost'):
        cfg = load_config(args.config, args.cfg_options)
        numbers = dict(config=args.config, **config_router_cost(cfg, device, args.batch_size, args.rounds))
    print(f'{args.config}: {numbers["batch_size"]} images of {numbers["shape"]}, medians of {args.rounds} rounds on '
          f'{device}')
    print(report(numbers))
    if args.json:
        write_json(args.json, numbers)


def report(numbers: dict[str, Any]) -> str:
    """Return the numbers as text."""
    from skd_mm.utils import text_table

    times = numbers['milliseconds']
    rows = [['forward pass of the teacher', times['teacher'], None], ['forward pass of the student', times['student'],
                                                                      None],
            ['step: plain distillation', times['plain'], numbers['gflop_plain']],
            ['step: routed', times['routed'], numbers['gflop_routed']],
            ['3 teacher + 5 student forward passes', times['units'], numbers['gflop_units']],
            ['the passes of a routed step alone', times['passes'], None]]
    cells = [[name, f'{ms:.1f}', None if gflop is None else f'{gflop:.3f}'] for name, ms, gflop in rows]
    return (f'{text_table(["", "ms", "GFLOPs per image"], cells)}\n\n'
            f'A routed step takes {numbers["ratio_plain"]:.2f} x the time of plain distillation, '
            f'{numbers["ratio_units"]:.2f} x that of 3 teacher + 5 student forward passes (counted: '
            f'{numbers["ratio_flop_units"]:.2f} x), and {numbers["ratio_passes"]:.2f} x that of its passes alone')


if __name__ == '__main__':
    main()
