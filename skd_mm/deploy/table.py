"""The results of a deployment as a table."""

from collections.abc import Mapping
from typing import Any

from skd_mm.utils import text_table


def format_table(results: Mapping[str, Any], markdown: bool = False) -> str:
    """Return accuracy, latency and size of exported files as a table.

    Args:
        results: The results of :func:`~skd_mm.deploy.deployment.deploy`.
        markdown: Return a table in Markdown. Defaults to plain text.

    Returns:
        The table, and a line on how it was measured.
    """
    metric = results['metric']
    difference = 'other classes' if results['options']['labels'] else 'difference'
    columns = ['format', 'MB', difference]
    if metric is not None:
        columns.append(metric)
    columns += [f'ms, {latency["threads"]} thread{"s" if latency["threads"] > 1 else ""}'
                for latency in results['files'][0]['latency']]
    rows = []
    for entry in results['files']:
        row = [entry['format'], f'{entry["bytes"] / 1e6:.2f}', f'{entry["difference"]:.1e}']
        if metric is not None:
            row.append(f'{entry["metrics"][metric]:.2f}')
        for latency in entry['latency']:
            row.append(f'{latency["median"]:.2f} [{latency["low"]:.2f}, {latency["high"]:.2f}]')
        rows.append(row)
    if markdown:
        lines = [' | '.join(row) for row in [columns, ['---'] * len(columns), *rows]]
        table = '\n'.join(f'| {line} |' for line in lines)
    else:
        table = text_table(columns, rows)
    return '\n'.join([table, '', *_remarks(results)])


def _remarks(results: Mapping[str, Any]) -> list[str]:
    timed = results['files'][0]['latency'][0]
    size = '×'.join(map(str, results['input']))
    lines = [f'Input {size}; median and quartiles of {timed["rounds"]} interleaved runs after {timed["warmup"]} for '
             f'warm-up, {timed["clock"]} clock. Differences are the largest on {results["verified_images"]} images of '
             'the test.']
    if 'calibration_images' in results:
        options = results['options']
        lines.append(f'int8: {options["calibration_method"]} ranges of {results["calibration_images"]} training images '
                     f'(fraction {options["calibration_fraction"]:g}, seed {options["calibration_seed"]}).')
    return [*lines, *(f'Note: {note}' for note in results['notes'])]
