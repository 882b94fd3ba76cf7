"""Compares methods over seeds: mean and spread of each, and its paired difference to a baseline."""

import argparse
import json
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('methods', nargs='+', metavar='NAME=PATTERN',
                        help='a method and a pattern for the JSON files of measures that tools/test.py wrote, one a '
                        "seed, like skd='work_dirs/skd-s*/test/*/*.json'; files are paired in the order of their names")
    parser.add_argument('--baseline', help='name of the method that the others are compared with; the first if not '
                        'given')
    parser.add_argument('--key', default='mIoU', help='the measure')
    parser.add_argument('--confidence', type=float, default=0.95, help='of the interval')
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import numpy as np
    from prettytable import PrettyTable

    from skd_mm.analysis.comparison import paired_difference

    results = dict(read(method, args.key) for method in args.methods)
    baseline = args.baseline or next(iter(results))
    if baseline not in results:
        raise SystemExit(f'--baseline {baseline!r} is none of {list(results)}')
    table = PrettyTable(['method', 'runs', args.key, 'std', f'minus {baseline}, {args.confidence:.0%} interval'])
    for name, values in results.items():
        spread = f'{np.std(values, ddof=1):.2f}' if len(values) > 1 else '-'
        difference = '' if name == baseline else str(paired_difference(values, results[baseline], args.confidence))
        table.add_row([name, len(values), f'{np.mean(values):.2f}', spread, difference])
    print(table)


def read(method: str, key: str) -> tuple[str, list[float]]:
    """The name of a method and its results, one a file."""
    name, sign, pattern = method.partition('=')
    files = sorted(Path().glob(pattern) if not pattern.startswith('/') else Path('/').glob(pattern[1:]))
    if not sign or not files:
        raise SystemExit(f'{method!r} is not NAME=PATTERN, or no file matches')
    values = []
    for file in files:
        measures = json.loads(file.read_text())
        if key not in measures:
            raise SystemExit(f'{file} has no measure {key!r}, only {list(measures)}')
        values.append(float(measures[key]))
    return name, values


if __name__ == '__main__':
    main()
