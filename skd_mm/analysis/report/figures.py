"""Figures of a report, as SVG."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skd_mm.analysis.keep_rates import plot_keep_rates
from skd_mm.analysis.logs import Run

MAX_CLASSES = 30
"""Classes that a figure shows; of more, those that differ most."""
SPOTS = 'spots.'
"""Prefix of the names of a spot's losses in validations."""
SETTINGS: Any = {'svg.hashsalt': 'skd_mm', 'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False,
            'axes.edgecolor': '#888888', 'axes.grid': True, 'grid.color': '#e6e6e6', 'axes.axisbelow': True,
            'figure.facecolor': 'none', 'axes.facecolor': 'none', 'savefig.facecolor': 'none'}
"""Matplotlib's settings for all figures."""


@dataclass(frozen=True)
class Point:
    """A run in a scatter plot.

    Attributes:
        method: Its method.
        x: Its cost.
        y: Its result.
    """

    method: str
    x: float
    y: float


def method_colours(methods: Sequence[str], teachers: Sequence[str] = ()) -> dict[str, str]:
    """Return a colour for each method, the same in all figures; teachers are dark grey.

    Args:
        methods: The methods.
        teachers: Those that are teachers. Defaults to none.

    Returns:
        Colours in hexadecimal notation.
    """
    cycle = [mpl.colors.to_hex(mpl.colormaps['tab10'](i)) for i in range(10) if i != 7]  # 7 is grey
    students = [name for name in methods if name not in teachers]
    colours = {name: cycle[i % len(cycle)] for i, name in enumerate(students)}
    return {name: colours.get(name, '#444444') for name in methods}


def settings(colours: Sequence[str] = (), grid: bool = True) -> AbstractContextManager:
    """Return a context with Matplotlib's settings for all figures.

    Args:
        colours: The cycle of colours; Matplotlib's if empty.
        grid: Whether axes have a grid. Defaults to True.

    Returns:
        The context.
    """
    changes = dict(SETTINGS)
    changes['axes.grid'] = grid
    if colours:
        changes['axes.prop_cycle'] = cycler(color=colours)
    return mpl.rc_context(changes)


def to_svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file."""
    stream = BytesIO()
    with settings():
        figure.savefig(stream, format='svg', metadata=dict(Date=None))
    return stream.getvalue()


def scatter(panels: Mapping[str, Sequence[Point]], y_label: str, colours: Mapping[str, str]) -> bytes:
    """Draw results against costs, a panel for each kind of cost.

    Small dots are runs, large ones the mean of a method.

    Args:
        panels: Label of the horizontal axis, and the runs.
        y_label: Label of the vertical axis.
        colours: Colour of each method.

    Returns:
        An SVG file.
    """
    with settings():
        figure = Figure(figsize=(5.2 * len(panels), 3.9), layout='constrained')
        for axes, (label, points) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
            for method in dict.fromkeys(point.method for point in points):
                own = np.array([(point.x, point.y) for point in points if point.method == method])
                x, y = own.mean(0)
                if len(own) > 1:
                    axes.scatter(*own.T, s=14, color=colours[method], alpha=0.4, linewidths=0)
                axes.scatter(x, y, s=64, color=colours[method], edgecolors='white', zorder=3, label=method)
            xs = [point.x for point in points]
            if min(xs) > 0 and max(xs) / min(xs) > 10:
                axes.set_xscale('log')
            axes.margins(x=0.12, y=0.12)
            axes.set_xlabel(label)
            axes.set_ylabel(y_label)
        handles = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(),
                                                                                  strict=True)}
        figure.legend(list(handles.values()), list(handles), loc='outside upper center', ncols=6, frameon=False)
        return to_svg(figure)


def class_bars(panels: Mapping[str, Mapping[str, np.ndarray]], classes: Sequence[str],
               colours: Mapping[str, str]) -> bytes:
    """Draw a value of each class as bars, one per method, a panel for each kind of value.

    Args:
        panels: Label of the vertical axis, and the values of each method, ``[K]``.
        classes: Names of the classes. Of more than :data:`MAX_CLASSES`, those are shown whose values differ most
            between the methods in the first panel.
        colours: Colour of each method.

    Returns:
        An SVG file.
    """
    first = np.array(list(next(iter(panels.values())).values()), float)
    shown = list(range(len(classes)))
    if len(classes) > MAX_CLASSES:
        spread = np.nan_to_num(np.nanmax(np.nan_to_num(first), 0) - np.nanmin(np.nan_to_num(first), 0))
        shown = sorted(np.argsort(-spread, kind='stable')[:MAX_CLASSES].tolist())
    with settings():
        figure = Figure(figsize=(max(7, 0.75 * len(shown) + 1.5), 0.9 + 2.5 * len(panels)), layout='constrained')
        rows = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
        for axes, (label, values) in zip(rows, panels.items(), strict=True):
            width = 0.84 / len(values)
            for i, (method, numbers) in enumerate(values.items()):
                left = np.arange(len(shown)) - 0.42 + width * (i + 0.5)
                axes.bar(left, np.nan_to_num(np.asarray(numbers, float)[shown]), 0.92 * width, label=method,
                         color=colours[method])
            axes.set_ylabel(label)
            axes.grid(visible=False, axis='x')
            axes.margins(x=0.01)
        rows[-1].set_xticks(range(len(shown)), [classes[i] for i in shown], rotation=30 if len(shown) > 8 else 0,
                            ha='right' if len(shown) > 8 else 'center', rotation_mode='anchor')
        figure.legend(*rows[0].get_legend_handles_labels(), loc='outside upper center', ncols=min(6, len(values)),
                      frameon=False)
        return to_svg(figure)


def confusion_matrices(matrices: Mapping[str, np.ndarray], classes: Sequence[str]) -> bytes:
    """Draw confusion matrices side by side; rows are true classes, in shares of their images.

    Args:
        matrices: Counts of each network, ``[K, K]``.
        classes: Names of the classes; more than :data:`MAX_CLASSES` are not written.

    Returns:
        An SVG file.
    """
    side = 3.6 if len(classes) <= 12 else 4.6
    columns = min(3, len(matrices))
    rows = -(-len(matrices) // columns)
    with settings(grid=False):
        figure = Figure(figsize=(side * columns + 0.6, side * rows), layout='constrained')
        grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axes in grid[len(matrices):]:
            axes.set_axis_off()
        for i, (axes, (name, matrix)) in enumerate(zip(grid, matrices.items(), strict=False)):
            share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
            image = axes.imshow(share, vmin=0, vmax=1, cmap='viridis', interpolation='nearest')
            axes.set_title(name)
            axes.set_xlabel('predicted')
            ticks = range(len(classes)) if len(classes) <= MAX_CLASSES else []
            axes.set_xticks(ticks, [classes[k] for k in ticks], rotation=90, fontsize=7)
            axes.set_yticks(ticks, [classes[k] for k in ticks] if i % columns == 0 else [''] * len(ticks), fontsize=7)
            if i % columns == 0:
                axes.set_ylabel('true')
        figure.colorbar(image, ax=list(grid), shrink=0.8)
        return to_svg(figure)


def spot_losses(run: Run, colour: str) -> bytes | None:
    """Draw the validation loss of each spot, a panel for each phase that has any.

    Args:
        run: The run.
        colour: Colour of a spot that is alone in its phase.

    Returns:
        An SVG file; None if no spot loss was logged.
    """
    phases = []
    for span in run.spans():
        names = dict.fromkeys(key for record in span.records for key in record.values if key.startswith(SPOTS))
        curves = {name: points for name in names if (points := span.series(name, 'val'))}
        if curves:
            phases.append((span.name or run.name, curves))
    if not phases:
        return None
    columns = min(4, len(phases))
    rows = -(-len(phases) // columns)
    with settings():
        figure = Figure(figsize=(2.7 * columns, 2.1 * rows), layout='constrained')
        grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axes in grid[len(phases):]:
            axes.set_axis_off()
        for axes, (title, curves) in zip(grid, phases, strict=False):
            axes.set_title(title, fontsize=8)
            axes.tick_params(labelsize=7)
            _draw_spots(axes, curves, colour)
        return to_svg(figure)


def _draw_spots(axes: Axes, curves: Mapping[str, Sequence[tuple[int, float]]], colour: str) -> None:
    """Draw the losses of the spots of one phase."""
    for name, points in curves.items():
        style: Any = dict(color=colour) if len(curves) == 1 else {}
        spot = name.removeprefix(SPOTS).removesuffix('.loss').replace('/', '.')
        axes.plot(*zip(*points, strict=True), marker='o', markersize=2.5, linewidth=1, label=spot, **style)
    values = [value for points in curves.values() for _, value in points]
    if min(values) > 0 and max(values) / min(values) > 5:
        axes.set_yscale('log')
    if len(curves) > 1:
        axes.legend(fontsize=5, frameon=False)


def keep_rate_map(run: Run) -> bytes | None:
    """Draw the share of the samples that a router distils, by spot and epoch.

    Args:
        run: The run.

    Returns:
        An SVG file; None without a router.
    """
    with settings(grid=False):
        figure = plot_keep_rates(run)
    return None if figure is None else to_svg(figure)
