"""The tables of a study, in Markdown, from its ``study.json`` alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import statistics
from .compute import describe_length
from .statistics import Summary

MAX_CLASSES = 30


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is left-aligned and the others right-aligned."""
    lines = [list(header), ['---', *['---:'] * (len(header) - 1)], *map(list, rows)]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def summary_table(study: Mapping[str, Any], fraction: float | None) -> str:
    """Return the main table: one row per method.

    Args:
        study: The content of ``study.json``.
        fraction: The fraction.

    Returns:
        A table with mean, standard deviation and paired difference to the baseline (best checkpoint, 95 % interval),
        length, compute and seconds.
    """
    head = study['study']
    metric, baseline = head['metric'], head['baseline']
    header = ['method', 'seeds', f'{metric}, best', 'std', f'{metric}, last', 'std',
              f'minus {baseline}, best [95 %]', 'length', 'training TFLOPs', 'with cache', 'CPU s per run']
    records = [record for record in study['records'] if record['kind'] != 'prelude' and 'compute' in record]
    on_gpu = any(record.get('resources', {}).get('gpu_seconds') for record in records)
    if on_gpu:
        header[-1] = 'GPU s per run'
    rows = []
    for name in dict.fromkeys(record['name'] for record in records if record['kind'] == 'teacher'):
        own = [record for record in records if (record['kind'], record['name']) == ('teacher', name)]
        values = {which: _metrics(own, metric, which) for which in ('best', 'last')}
        rows.append(_row(f'teacher {name}', values, '', own, on_gpu))
    reference = statistics.results(study, baseline, fraction)
    for method in study['methods']:
        name = method['name']
        own = [record for record in records if (record['kind'], record['name'], record['fraction'])
               == ('run', name, fraction)]
        values = {which: statistics.results(study, name, fraction, which) for which in ('best', 'last')}
        difference = '' if name == baseline else _difference(values['best'], reference)
        rows.append(_row(name, values, difference, own, on_gpu))
    return markdown(header, rows)


def _difference(values: Mapping[int, float], reference: Mapping[int, float]) -> str:
    """Return the paired difference to the baseline, with its interval if there is one."""
    difference = statistics.compare(values, reference)
    if difference is None:
        return ''
    if difference.pairs > 1:
        return f'{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]'
    return f'{difference.mean:+.2f}'


def _metrics(records: Sequence[Mapping[str, Any]], metric: str, which: str) -> dict[int, float]:
    return {record['seed']: statistics.metric_of(record['metrics'][which], metric) for record in records
            if 'metrics' in record}


def _row(name: str, values: Mapping[str, Mapping[int, float]], difference: str, records: Sequence[Mapping[str, Any]],
         on_gpu: bool) -> list[str]:
    cells = [name, str(len(values['best']))]
    for which in ('best', 'last'):
        summary = statistics.summarise(values[which])
        cells += ['', ''] if summary is None else [f'{summary.mean:.2f}', _std(summary)]
    cost = records[0]['compute']
    key = 'gpu_seconds' if on_gpu else 'cpu_seconds'
    seconds = [record['resources'][key] or 0 for record in records if 'resources' in record]
    length = describe_length(cost['phases'], cost['length'], cost['unit'])
    return [*cells, difference, length, f'{cost["flops"] / 1e12:,.4g}', f'{cost["flops_cached"] / 1e12:,.4g}',
            f'{np.mean(seconds):,.0f}' if seconds else '']


def _std(summary: Summary) -> str:
    return '' if summary.std is None else f'{summary.std:.2f}'


def seed_table(study: Mapping[str, Any], fraction: float | None) -> str:
    """Return the results of each seed: best, and last in parentheses."""
    seeds = study['study']['seeds']
    rows = []
    for method in study['methods']:
        best, last = (statistics.results(study, method['name'], fraction, which) for which in ('best', 'last'))
        rows.append([method['name'], *(f'{best[seed]:.2f} ({last[seed]:.2f})' if seed in best else '–'
                                       for seed in seeds)])
    return markdown(['', *(f'seed {seed}' for seed in seeds)], rows)


def class_table(study: Mapping[str, Any], fraction: float | None) -> str:
    """Return the values of each class at the best checkpoint, means over the seeds; empty with too many classes."""
    columns: dict[str, list[Mapping[str, float]]] = {}
    for record in study['records']:
        per_class = record.get('per_class', {}).get('best', {})
        if per_class and record['fraction'] in (None, fraction):
            name = record['name'] if record['kind'] == 'run' else f'teacher {record["name"]}'
            columns.setdefault(name, []).append(next(iter(per_class.values())))
    classes = list(next(iter(columns.values()))[0]) if columns else []
    if not 0 < len(classes) <= MAX_CLASSES:
        return ''
    rows = [[name, *(_mean([values[name] for values in columns[column]]) for column in columns)] for name in classes]
    return markdown(['class', *columns], rows)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None and not np.isnan(value)]
    return f'{np.mean(known):.2f}' if known else '–'


def notes(study: Mapping[str, Any], fraction: float | None) -> list[str]:
    """Return sentences about a table: what cannot be told apart, what is missing, and how the runs were made."""
    head = study['study']
    records = study['records']
    split = dict(test='test', val='validation')[head['split']]
    lines = [f'Measured on the {split} split. *Best* is the checkpoint that was best in validation, *last* the one at '
             "the end. Differences are paired by seed; intervals are those of Student's t."]
    if head['reference'] is not None:
        verb = 'has' if len(head['matched']) == 1 else 'have'
        lines.append(f'{_and(head["matched"])} {verb} the training compute of {head["reference"]}, counted without a '
                     'feature cache and without validation.')
    lines += _significance(study, fraction)
    lines += [f'{record["name"]}, seed {record["seed"]}: {record["status"]}.' for record in records
              if record['kind'] == 'run' and record['fraction'] == fraction and record['status'] != 'done']
    lines += _provenance(records)
    return lines


def _significance(study: Mapping[str, Any], fraction: float | None) -> list[str]:
    """Return which pairs of methods are not distinguishable."""
    if len(study['study']['seeds']) < 2:
        return ['With one seed, no difference has an interval.']
    pairs = statistics.indistinguishable(study, fraction)
    if pairs:
        return ['Not distinguishable at 95 % (best checkpoint, each pair by itself): '
                f'{"; ".join(f"{one} and {other}" for one, other in pairs)}.']
    compared = [method for method in study['methods']
                if len(statistics.results(study, method['name'], fraction)) > 1]
    if len(compared) > 1:
        return ['Every pair of methods is distinguishable at 95 % (best checkpoint, each pair by itself).']
    return []


def _provenance(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the devices, versions and commits of the runs."""
    made = [record['versions'] for record in records if 'versions' in record]
    if not made:
        return []
    device = _and(list(dict.fromkeys(versions['device'] for versions in made)))
    torch = _and(list(dict.fromkeys(versions.get('torch', 'unknown') for versions in made)))
    commits = dict.fromkeys(record['commit'] or 'unknown' for record in records
                            if record.get('commit') or record['status'] == 'done')
    return [f'{device}, torch {torch}, commit {_and([commit[:7] + commit[40:] for commit in commits])}.']


def _and(names: Sequence[str]) -> str:
    return ' and '.join(filter(None, [', '.join(names[:-1]), names[-1]])) if names else ''


PARTS = dict(summary=summary_table, seeds=seed_table, classes=class_table,
             notes=lambda study, fraction: '\n'.join(f'- {line}' for line in notes(study, fraction)))


def render(study: Mapping[str, Any], parts: Sequence[str] = tuple(PARTS)) -> str:
    """Return parts of a study as Markdown.

    Args:
        study: The content of ``study.json``.
        parts: Some of ``'summary'``, ``'seeds'``, ``'classes'`` and ``'notes'``. Defaults to all.

    Returns:
        The parts of each fraction, separated by empty lines.
    """
    fractions = study['study']['fractions']
    blocks = []
    for fraction in fractions:
        if len(fractions) > 1:
            blocks.append(f'**{fraction * 100:.4g} % of the training images**')
        blocks += [PARTS[part](study, fraction) for part in parts]
    return '\n\n'.join(block for block in blocks if block)
