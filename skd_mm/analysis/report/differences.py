"""Which settings of configs differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from .sources import ReportRun

# Where a run writes, how it logs, and what it is started with, say nothing about its method.
_SKIPPED = ('work_dir', 'log_level', 'env_cfg', 'visualizer', 'vis_backends', 'default_hooks', 'log_processor',
            'experiment_name', 'launcher', 'resume', 'load_from', 'randomness', 'custom_imports', 'default_scope')
MISSING = '–'


def config_differences(runs: Sequence[ReportRun], limit: int = 80) -> tuple[list[list[str]], int]:
    """Compare the configs of runs.

    Args:
        runs: One run per method.
        limit: Number of settings at most. Defaults to 80.

    Returns:
        A row for each setting that differs: its dotted key and the value in each config; and how many rows were left
        out.
    """
    flat = [flatten({key: value for key, value in run.cfg.to_dict().items() if key not in _SKIPPED}) for run in runs]
    rows = []
    for key in dict.fromkeys(key for values in flat for key in values):
        cells = [shorten(values[key]) if key in values else MISSING for values in flat]
        if len(set(cells)) > 1:
            rows.append([key, *cells])
    rows = _merged(rows)
    return rows[:limit], max(0, len(rows) - limit)


def flatten(value: Any, path: str = '') -> dict[str, Any]:
    """Return the leaves of nested mappings and lists by dotted keys; lists of plain values are leaves."""
    if isinstance(value, Mapping) and value:
        items = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(part, Mapping | list | tuple) for part in value):
        items = ((str(i), part) for i, part in enumerate(value))  # type: ignore[assignment]
    else:
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, part in items:
        leaves.update(flatten(part, f'{path}.{key}' if path else str(key)))
    return leaves


def shorten(value: Any, length: int = 70) -> str:
    """Return a value as text; the middle of a long one is left out."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= length:
        return text
    half = (length - 3) // 2
    return f'{text[:half]} … {text[-half:]}'


def _merged(rows: list[list[str]]) -> list[list[str]]:
    """Join the settings of a part that some configs do not have into one row: its `type`."""
    merged: dict[tuple, list[str]] = {}
    for key, *cells in rows:
        present = tuple(cell != MISSING for cell in cells)
        parent = key.rpartition('.')[0]
        if all(present) or not parent:
            merged[key, present] = [key, *cells]
            continue
        row = merged.setdefault((parent, present), [f'{parent}.*', *[''] * len(cells)])
        name = key.rpartition('.')[2]
        for i, cell in enumerate(cells, 1):
            if cell == MISSING:
                row[i] = MISSING
            else:
                row[i] = shorten(f'{row[i]}, {name}={cell}' if row[i] else f'{name}={cell}', 160)
    return list(merged.values())
