"""Curves of runs, with their phases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skd_mm.utils import did_you_mean

from .logs import Run

# The names that seaborn, which mmsegmentation's tool uses, has for its styles.
_SEABORN = ('dark', 'darkgrid', 'ticks', 'white', 'whitegrid')
_DOTS: dict[str, Any] = dict(marker='o', markersize=2.5)


def plot_curves(runs: Sequence[Run], keys: Sequence[str], out: str | Path | None = None, title: str | None = None,
                legend: Sequence[str] | None = None, style: str = 'default', figure: Figure | None = None) -> Figure:
    """Draw what runs have logged over the iterations since their start, one panel per metric.

    The boundaries of phases are marked in the colour of the run, with the name of the next phase; runs with the same
    phases share the marks. Training values are lines, validation values have dots.

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
        The figure.

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
        figure.set_size_inches(10, 0.8 + 3.2 * len(keys))
        figure.set_layout_engine('constrained')
        panels = list(figure.subplots(len(keys), 1, squeeze=False, sharex=True)[:, 0])
        for j, (panel, key) in enumerate(zip(panels, keys, strict=True)):
            _draw(panel, runs, key, [name[j] for name in names])
        panels[-1].set_xlabel('iteration')
        _mark_phases(panels, runs)
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


def _mark_phases(panels: Sequence[Axes], runs: Sequence[Run]) -> None:
    marked = set()
    for i, run in enumerate(runs):
        spans = run.spans()
        phases = tuple((span.name, span.end) for span in spans)
        if len(spans) < 2 or phases in marked:
            continue
        marked.add(phases)
        for number, span in enumerate(spans):
            for panel in panels:
                if number:
                    panel.axvline(span.start, color=_colour(i), linewidth=0.6, linestyle=':', zorder=0)
            panels[0].annotate(
                span.name, ((span.start + span.end) / 2, 1), xycoords=('data', 'axes fraction'), rotation=45,
                xytext=(0, 3), textcoords='offset points', fontsize=6, color=_colour(i), ha='left', va='bottom')


def _colour(i: int) -> str:
    colours = mpl.rcParams['axes.prop_cycle'].by_key()['color']
    return colours[i % len(colours)]
