"""Curves of runs, with their phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skd_mm.utils import did_you_mean

from .logs import Run, Span

# The names that seaborn, which mmsegmentation's tool uses, has for its styles.
_SEABORN = ('dark', 'darkgrid', 'ticks', 'white', 'whitegrid')
WIDTH = 10
"""Width of the figure in inches."""
FONT = 6
"""Font size of the names of phases, in points."""
_DOTS: dict[str, Any] = dict(marker='o', markersize=2.5)


def plot_curves(runs: Sequence[Run], keys: Sequence[str], out: str | Path | None = None, title: str | None = None,
                legend: Sequence[str] | None = None, style: str = 'default', figure: Figure | None = None) -> Figure:
    """Draw what runs have logged over the iterations since their start, one panel per metric.

    A strip above the panels shows the phases, one row per run with phases, named if there are several; runs with the
    same phases share a row. Dotted lines in the colour of the run mark the boundaries. Training values are lines,
    validation values have dots.

    Args:
        runs: The runs, see :func:`skd_mm.analysis.logs.read_run`.
        keys: Values to plot, such as ``['mIoU', 'loss']``. Losses have a logarithmic axis.
        out: The image file to write, in any format that Matplotlib knows by its suffix, without a display; None writes
            none.
        title: Title of the figure.
        legend: Names that replace those of the runs: one per run, or one per run and key (run by run, as in
            mmsegmentation).
        style: A style of Matplotlib, or ``'dark'``, ``'darkgrid'``, ``'white'``, ``'whitegrid'`` or ``'ticks'``.
        figure: An empty figure to draw on, such as Pyplot's, which has a window; None makes one without a window.

    Returns:
        The figure; its first axes are the panels, in the order of the keys.

    Raises:
        KeyError: No run has logged a key; the closest ones are given.
        ValueError: The legend has another length, or there is no such style.
    """
    known = [key for run in runs for key in run.logged()]
    for key in keys:
        if key not in known:
            raise KeyError(f'no run has logged {key!r}{did_you_mean(key, dict.fromkeys(known))}')
    names = _names(runs, keys, legend)
    style = f'seaborn-v0_8-{style}' if style in _SEABORN else style
    if style not in ('default', *mpl_style.available):
        choices = [*_SEABORN, 'default', *mpl_style.available]
        raise ValueError(f'there is no style {style!r}{did_you_mean(style, choices)}')
    with mpl_style.context(style):
        figure = Figure() if figure is None else figure
        rows = _phase_rows(runs, [name[0] for name in names])
        strip = 0.1 + 0.22 * len(rows) if rows else 0
        figure.set_size_inches(WIDTH, 0.8 + strip + 3.2 * len(keys))
        figure.set_layout_engine('constrained')
        grid = figure.add_gridspec(1 + len(keys), 1, height_ratios=[max(strip, 0.01), *[3.2] * len(keys)])
        panels = [figure.add_subplot(grid[1])]
        panels += [figure.add_subplot(grid[i], sharex=panels[0]) for i in range(2, 1 + len(keys))]
        for panel in panels[:-1]:
            panel.tick_params(labelbottom=False)
        for j, (panel, key) in enumerate(zip(panels, keys, strict=True)):
            _draw(panel, runs, key, [name[j] for name in names])
        panels[-1].set_xlabel('iteration')
        if rows:
            _draw_phases(figure.add_subplot(grid[0], sharex=panels[0]), panels, rows)
        if title is not None:
            figure.suptitle(title)
        if out is not None:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(out, dpi=150)
    return figure


def _names(runs: Sequence[Run], keys: Sequence[str], legend: Sequence[str] | None) -> list[list[str]]:
    """Return the label of each run in each panel."""
    if legend is None:
        return [[run.name] * len(keys) for run in runs]
    if len(legend) == len(runs):
        return [[name] * len(keys) for name in legend]
    if len(legend) == len(runs) * len(keys):
        return [list(legend[i * len(keys):(i + 1) * len(keys)]) for i in range(len(runs))]
    raise ValueError(f'the legend has {len(legend)} names for {len(runs)} runs and {len(keys)} keys: it needs '
                     f'{len(runs)} or {len(runs) * len(keys)}')


def _draw(panel: Axes, runs: Sequence[Run], key: str, names: Sequence[str]) -> None:
    values: list[float] = []
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        training, validation = _curves(run, key, 'train'), _curves(run, key, 'val')
        values += _plot_curves(panel, training, name, _colour(i))
        label = f'{name} (validation)' if training else name
        values += _plot_curves(panel, validation, label, _colour(i), **_DOTS)
    panel.set_ylabel(key)
    if 'loss' in key and min(values) > 0:
        panel.set_yscale('log')
    panel.margins(x=0.01)
    panel.legend(fontsize='small')


def _curves(run: Run, key: str, mode: str) -> list[list[tuple[int, float]]]:
    """Return a curve per phase: a phase logs other values than the one before it, or starts again."""
    curves = [span.series(key, mode) for span in run.spans()]
    return [curve for curve in curves if curve]


def _plot_curves(panel: Axes, curves: Sequence[Sequence[tuple[int, float]]], label: str, colour: str,
                 **style: Any) -> list[float]:
    """Draw curves under one label, and return their values."""
    values = []
    for number, points in enumerate(curves):
        dots = _DOTS if len(points) == 1 else style  # a single point is not visible as a line
        panel.plot(*zip(*points, strict=True), color=colour, linewidth=1, label=None if number else label, **dots)
        values += [value for _, value in points]
    return values


@dataclass(frozen=True)
class _PhaseRow:
    """A row of the strip of phases.

    Attributes:
        names: Names of the runs with these phases.
        colour: Colour of the first of them.
        spans: The phases.
    """

    names: list[str]
    colour: str
    spans: list[Span]


def _phase_rows(runs: Sequence[Run], names: Sequence[str]) -> list[_PhaseRow]:
    """Return a row for each distinct sequence of phases."""
    rows: dict[tuple, _PhaseRow] = {}
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        spans = run.spans()
        if len(spans) < 2:
            continue
        phases = tuple((span.name, span.end) for span in spans)
        rows.setdefault(phases, _PhaseRow([], _colour(i), spans)).names.append(name)
    return list(rows.values())


def _draw_phases(strip: Axes, panels: Sequence[Axes], rows: Sequence[_PhaseRow]) -> None:
    """Draw the phases of each row as bars with their names, and their boundaries in the panels."""
    total = max(span.end for row in rows for span in row.spans)
    low, high = panels[-1].get_xlim()
    shown = max(high, total) - min(low, 0)
    for y, row in enumerate(rows):
        for number, span in enumerate(row.spans):
            length = span.end - span.start
            strip.barh(y, length, left=span.start, height=0.86, color=row.colour, alpha=0.16 + 0.16 * (number % 2))
            # The panels take about 90 % of the figure's width.
            text = _fitting(span.name, number + 1, 0.9 * WIDTH * 72 * length / shown)
            strip.text((span.start + span.end) / 2, y, text, ha='center', va='center', fontsize=FONT, clip_on=True)
            for panel in panels:
                if number:
                    panel.axvline(span.start, color=row.colour, linewidth=0.6, linestyle=':', zorder=0)
    several = len(rows) > 1
    strip.set_yticks(range(len(rows)), [', '.join(row.names) if several else 'phase' for row in rows], fontsize=FONT)
    strip.set_ylim(len(rows) - 0.5, -0.5)
    strip.tick_params(bottom=False, left=False, labelbottom=False)
    strip.set_facecolor('none')
    strip.grid(visible=False)
    for spine in strip.spines.values():
        spine.set_visible(False)


def _fitting(name: str, number: int, points: float) -> str:
    """Return the longest form of a phase's name that fits: the name, its last parts, or the phase's number."""
    parts = name.split('.')
    for start in range(len(parts)):
        text = '.'.join(parts[start:])
        if 0.6 * FONT * len(text) <= points and not text.isdigit():
            return text
    return str(number)


def _colour(i: int) -> str:
    colours = mpl.rcParams['axes.prop_cycle'].by_key()['color']
    return colours[i % len(colours)]
