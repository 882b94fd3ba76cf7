"""Where a router has distilled: a heat map of spots and epochs."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .logs import Run, Span

KEEP = 'router.keep.'
"""Prefix of the names of logged keep rates, before the name of the spot."""


def keep_rates(span: Span) -> dict[str, dict[int, float]]:
    """Return the share of samples that were distilled at each spot.

    Args:
        span: A phase of a run, see :meth:`skd_mm.analysis.logs.Run.spans`.

    Returns:
        For each spot, in the order of the forward pass, the mean of the logged values by epoch, from 1 on; empty
        without a router.
    """
    logged: dict[str, dict[int, list[float]]] = {}
    for record in span.records:
        for key, value in record.values.items():
            if record.mode == 'train' and key.startswith(KEEP):
                epoch = int(record.values.get('epoch', 0))
                logged.setdefault(key.removeprefix(KEEP), {}).setdefault(epoch, []).append(value)
    return {spot: {epoch: float(np.mean(values)) for epoch, values in epochs.items()}
            for spot, epochs in logged.items()}


def plot_keep_rates(run: Run, out: str | Path | None = None) -> Figure | None:
    """Draw the keep rates of a run's last routed phase, one row per spot and one column per epoch.

    Args:
        run: The run.
        out: The image file to write; None (the default) writes none.

    Returns:
        The figure; None, and no file, if no router has logged anything.
    """
    found = [rates for span in run.spans() if (rates := keep_rates(span))]
    if not found:
        return None
    rates = found[-1]
    epochs = sorted({epoch for values in rates.values() for epoch in values})
    grid = np.array([[values.get(epoch, np.nan) for epoch in epochs] for values in rates.values()])
    figure = Figure(figsize=(10, 1.6 + 0.45 * len(rates)), layout='constrained')
    axes = figure.subplots()
    image = axes.imshow(grid, aspect='auto', interpolation='nearest', cmap='viridis', vmin=0, vmax=1,
                        extent=(epochs[0] - 0.5, epochs[-1] + 0.5, len(rates) - 0.5, -0.5))
    labels = [f'{spot} ({np.nanmean(row):.2f})' for spot, row in zip(rates, grid, strict=True)]
    axes.set_yticks(range(len(rates)), labels)
    axes.set_xlabel('epoch of the run')
    axes.set_title(f'{run.name}: share of the samples that are distilled, by spot (mean over the epochs)', fontsize=10)
    figure.colorbar(image, ax=axes)
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=150)
    return figure
