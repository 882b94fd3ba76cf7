"""Compares methods over seeds: mean and spread of each, and its paired difference to a baseline."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('methods', nargs='+', metavar='NAME=PATTERN',
                        help='a method and a pattern for the JSON files with the metrics of its seeds, such as '
                        "skd='work_dirs/skd-s*/test/*/*.json' after tools/test.py --work-dir work_dirs/skd-s0/test and "
                        'so on; files are paired in the order of their names')
    parser.add_argument('--baseline', help='name of the method that the others are compared with; the first if not '
                        'given')
    parser.add_argument('--key', default='mIoU', help='the metric; mIoU if not given')
    parser.add_argument('--confidence', type=float, default=0.95, help='of the interval; 0.95 if not given')
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.utils import did_you_mean, exit_on_error, text_table

    with exit_on_error('compare_runs'):
        results = dict(read(method, args.key) for method in args.methods)
        baseline = args.baseline or next(iter(results))
        if baseline not in results:
            raise ValueError(f'--baseline {baseline!r} is none of {list(results)}{did_you_mean(baseline, results)}')
        rows = list(compare(results, baseline, args.confidence))
    difference = f'minus {baseline}, {args.confidence:.0%} interval'
    print(text_table(['method', 'runs', args.key, 'std', difference], rows))


def read(method: str, key: str) -> tuple[str, dict[str, float]]:
    """Return the name of a method, and its result in each file."""
    name, sign, pattern = method.partition('=')
    files = sorted(Path('/').glob(pattern[1:]) if pattern.startswith('/') else Path().glob(pattern or '*/'))
    if not sign or not files:
        raise ValueError(f'{method!r} is not NAME=PATTERN, or no file matches')
    values = {}
    for file in files:
        metrics = json.loads(file.read_text())
        if key not in metrics:
            raise KeyError(f'{file} has no metric {key!r}, only {list(metrics)}')
        values[str(file)] = float(metrics[key])
    return name, values


def compare(results: Mapping[str, Mapping[str, float]], baseline: str, confidence: float) -> Iterator[Sequence]:
    """Yield a row for each method.

    Raises:
        ValueError: A method has another number of results than the baseline.
    """
    import numpy as np

    from skd_mm.analysis.comparison import paired_difference

    reference = results[baseline]
    for name, files in results.items():
        if len(files) != len(reference):
            raise ValueError(f'{name} has {len(files)} results and {baseline} has {len(reference)}, but they are '
                             f'compared in pairs, one of each seed:\n  {name}: {", ".join(files)}\n'
                             f'  {baseline}: {", ".join(reference)}')
        values = list(files.values())
        spread = f'{np.std(values, ddof=1):.2f}' if len(values) > 1 else '-'
        difference = paired_difference(values, list(reference.values()), confidence)
        yield name, len(values), f'{np.mean(values):.2f}', spread, '' if name == baseline else difference


if __name__ == '__main__':
    main()
