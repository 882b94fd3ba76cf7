"""Draws curves of what runs have logged, and prints their phases in numbers."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skd_mm.analysis.logs import Run

COLUMNS = ('phase', 'metric', 'iterations', 'training seconds', 'last', 'best', 'at iteration')


def parse_args() -> argparse.Namespace:
    """Parse the options, which are those of mmsegmentation's ``analyze_logs.py``."""
    parser = argparse.ArgumentParser(description='Analyze logs')
    parser.add_argument('json_logs', nargs='+', help='logs (<time>/vis_data/scalars.json), or work directories, whose '
                        'logs are joined to the run that was resumed')
    parser.add_argument('--keys', nargs='+', default=['mIoU'], help='values to draw; mIoU if not given')
    parser.add_argument('--title', help='title of the figure')
    parser.add_argument('--legend', nargs='+', help='names of the runs, or of each run and key')
    parser.add_argument('--backend', help="Matplotlib's backend")
    parser.add_argument('--style', default='dark', help='style of the figure: dark (the default), darkgrid, white, '
                        "whitegrid, ticks, or a name of Matplotlib's")
    parser.add_argument('--out', help='file for the figure; a window shows it if not given and there is a display')
    return parser.parse_args()


def main() -> None:
    """Analyze."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import matplotlib.pyplot as plt

    from skd_mm.analysis.curves import plot_curves
    from skd_mm.analysis.logs import read_runs
    from skd_mm.utils import did_you_mean, exit_on_error, text_table

    with exit_on_error('analyze_logs'):
        runs = read_runs(args.json_logs)
    for run in runs:
        print(f'{run.name}\n{text_table(COLUMNS, rows(run, args.keys), left=2)}\n')
    if args.backend is not None:
        plt.switch_backend(args.backend)
    if args.out is None and plt.get_backend().lower() == 'agg':
        print('there is no display for the curves: give a file with --out')
        return
    logged = dict.fromkeys(key for run in runs for key in run.logged())
    keys = [key for key in args.keys if key in logged]
    for key in args.keys:
        if key not in logged:
            # A schedule measures its task in the last phase only, which a run may not have reached yet.
            print(f'{key!r} is not logged yet{did_you_mean(key, logged)} (there are {list(logged)})')
    if not keys:
        raise SystemExit('there is nothing to draw')
    with exit_on_error('analyze_logs'):
        figure = None if args.out else plt.figure()
        plot_curves(runs, keys, args.out, args.title, args.legend, args.style, figure)
    if args.out is None:
        plt.show()
    else:
        print(f'save curve to: {args.out}')


def rows(run: 'Run', keys: list[str]) -> Iterator[list[Any]]:
    """Yield a row for each phase and metric; the first of each phase has its name and length."""
    for part in run.summary(keys):
        phase = (part['phase'], part['iterations'], f'{part["seconds"]:.1f}')
        if not part['metrics']:
            yield [phase[0], '', *phase[1:], '', '', '']
        for name, values in part['metrics'].items():
            yield [phase[0], name, *phase[1:], f'{values["last"]:.6g}', f'{values["best"]:.6g}', values['at']]
            phase = ('', '', '')


if __name__ == '__main__':
    main()
