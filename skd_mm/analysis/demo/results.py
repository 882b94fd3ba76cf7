"""Results of the demo as numbers and as a table."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from prettytable import PrettyTable, TableStyle
from rich import box
from rich.table import Table

from skd_mm.analysis.logs import read_run
from skd_mm.analysis.run_files import find_commit
from skd_mm.synthetic.street_scenes.writer import MARKER

from .plan import Plan
from .settings import DATA, TITLES

CHECKPOINTS = ('last', 'best')


def collect_results(plan: Plan, records: Mapping[str, Mapping[str, Any]], root: Path, folder: Path) -> dict[str, Any]:
    """Return everything that is known of the runs.

    Args:
        plan: The runs.
        records: Records of the runs by name.
        root: Root of the repository.
        folder: The work directory.
    """
    runs = {}
    for run in plan.runs:
        record = records[run.name]
        validation = read_run(folder / run.name).summary()[-1]['metrics']['mIoU']
        tests = record['test']
        runs[run.name] = dict(
            config=run.config, command=record['command'], commit=record['commit'], phases=len(run.phases),
            epochs=run.epochs, length=run.length, images=run.images, iterations=run.cost.iterations,
            test_mIoU={which: tests[which]['mIoU'] for which in CHECKPOINTS},
            val_mIoU={which: round(validation[which], 2) for which in CHECKPOINTS},
            checkpoints={which: tests[which]['checkpoint'] for which in CHECKPOINTS},
            test_commands={which: tests[which]['command'] for which in CHECKPOINTS},
            **plan.networks[run.network], training_flops=run.cost.truncated, training_flops_cached=run.cost.cached,
            seconds=round(record['seconds'], 1))
    schedule = Config.fromfile(root / 'configs' / 'demo' / 'skd.py').schedule
    return dict(
        command=shlex.join(['python', *sys.argv]), commit=find_commit(), torch=torch.__version__,
        fraction=schedule.fraction, fraction_seed=schedule.get('fraction_seed', 0),
        data=json.loads((folder / DATA / MARKER).read_text()), threads=int(os.environ.get('OMP_NUM_THREADS', 1)),
        runs=runs)


def _row(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of a run by their headers."""
    minutes, seconds = divmod(round(run['seconds']), 60)
    return {
        'test mIoU': f'{run["test_mIoU"]["best"]:.2f}',
        'last': f'{run["test_mIoU"]["last"]:.2f}',
        'images': str(run['images']),
        'epochs': run['length'],
        'parameters': f'{run["parameters"]:,}',
        'MMACs': f'{run["macs"] / 1e6:.1f}',
        'GFLOPs': f'{run["training_flops"] / 1e9:,.0f}',
        'with cache': f'{run["training_flops_cached"] / 1e9:,.0f}',
        'time': f'{minutes}:{seconds:02}',
    }


def results_table(results: Mapping[str, Any]) -> Table:
    """Return the results as a table for the terminal, at most 80 columns wide.

    Args:
        results: Output of :func:`collect_results`.
    """
    headers = ('test mIoU', 'last', 'images', 'parameters', 'GFLOPs', 'with cache', 'time')
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column('result', no_wrap=True)
    for header in headers:
        table.add_column(header, justify='right', no_wrap=True)
    for name, run in results['runs'].items():
        cells = _row(run)
        table.add_row(TITLES[name], *(cells[header] for header in headers))
    return table


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table with notes.

    Args:
        results: Output of :func:`collect_results`.
    """
    headers = ('test mIoU', 'last', 'images', 'epochs', 'parameters', 'MMACs', 'GFLOPs', 'with cache', 'time')
    table = PrettyTable(['result', *headers], align='r')
    table.set_style(TableStyle.MARKDOWN)
    table.align['result'] = 'l'
    for name, run in results['runs'].items():
        cells = _row(run)
        table.add_row([TITLES[name], *(cells[header] for header in headers)])
    notes = [f'- {note}' for note in results_notes(results)]
    return '\n'.join([table.get_string(), '', *notes, ''])


def results_notes(results: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the table must know, one note per column.

    Args:
        results: Output of :func:`collect_results`.
    """
    counts = results['data']['counts']
    return [
        f'test mIoU: in percent, over {counts["test"]} images, of the checkpoint that is best in validation; "last" is '
        f'that of the last checkpoint. This is one seed ({results["seed"]}), so small differences mean nothing.',
        f'images: the students have the labels of {results["fraction"]:.0%} of the {counts["train"]} training images, '
        'the teacher those of all. "Few labels" also trains on the other images, without their labels.',
        'GFLOPs: cost of the training. The length of both baselines (no teacher, simultaneous) is chosen so that they '
        'cost as much as the stagewise schedule without its feature cache. Validation is not included, nor is the '
        "teacher's training in that of the students.",
        f'time: minutes and seconds of the training, validation included, with {results["runs_at_a_time"]} runs at a '
        f'time and {results["threads"]} thread(s) each.',
    ]
