"""The numbers of ``tools/benchmark.py`` as text and as a bar chart."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib import ticker
from matplotlib.figure import Figure

from skd_mm.utils import text_table

from .totals import VARIANTS

# The name and the colour of each variant, by its key.
LOOKS = {'naive': ('naive', '#b0b0b0'), 'truncated': ('truncated', '#2a7fba'), 'bare': ('reference', '#a6cee3'),
         'cached': ('cached', '#e07b16'), 'bare_cached': ('reference, cached', '#fdc785')}


def format_report(numbers: Mapping[str, Any]) -> str:
    """Return the numbers as text.

    Args:
        numbers: The output of :func:`~skd_mm.analysis.benchmark.benchmark`.

    Returns:
        A table of the phases, and sentences on the whole schedule.
    """
    phases, total = numbers['phases'], numbers['total']
    timed = _keys(phases, 'ms')
    counted = _keys(phases, 'gflop')
    columns = ['phase', *(f'{LOOKS[key][0]}, ms' for key in timed),
               *(f'{LOOKS[key][0]}, GFLOPs' for key in counted), 'images/s', 'peak MiB']
    rows = [[phase['name'], *(_number(phase.get(f'ms_{key}'), 1) for key in timed),
             *(_number(phase.get(f'gflop_{key}'), 3) for key in counted), _number(phase['images_per_s'], 1),
             _number(phase['peak_mib'], 0)] for phase in phases]
    lines = ['', f'milliseconds per iteration of {total["batch_size"]} images; operations per image',
             text_table(columns, rows), '', f'clock {total["clock"]}, {total["threads"]} threads, {total["device"]}, '
             f'{total["iters"]} iterations per phase and variant', *_schedule(total)]
    if total['memory_ratio']:
        lines.append(f'memory: the worst phase without a task needs {total["memory_ratio"]:.0%} of a step of ordinary '
                     f'distillation, which needs {total["peak_mib_joint"]:.0f} MiB in addition to the models')
    if 'cache_mib' in phases[0]:
        lines.append(f'cache: at most {max(phase["cache_mib"] for phase in phases):,.0f} MiB in a phase')
    lines.append(f'data loader alone: {total["ms_loader"]:.1f} ms per batch; start of a run without the imports: '
                 f'{total["start_up_s"]:.1f} s')
    return '\n'.join(lines)


def _schedule(total: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines on the whole schedule."""
    for ending, what in (('', 'training'), ('_with_validation', 'training and validation')):
        spent = {name: total.get(f'seconds_{name}{ending}') for name in VARIANTS}
        if any(spent.values()):
            yield f'{what}: ' + ', '.join(f'{name} {value:,.0f} s' for name, value in spent.items() if value)
        ratios = {name: total.get(f'ratio_{name}{ending}') for name in VARIANTS[1:]}
        if any(ratios.values()):
            yield '    the naive variant takes ' + ', '.join(
                f'{value:.2f} x the time of {name}' for name, value in ratios.items() if value)
    for name, ending in (('truncated', ''), ('cached', '_cached')):
        if f'overhead{ending}' in total:
            yield (f'{name}: {total[f"overhead{ending}"]:.2%} slower than the reference loop, at worst '
                   f'{total[f"worst_overhead{ending}"]:.2%}')


def _keys(phases: list[Mapping[str, Any]], prefix: str) -> list[str]:
    """Return the keys of the variants that any phase has an entry of."""
    return [key for key in LOOKS if any(f'{prefix}_{key}' in phase for phase in phases)]


def _number(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


def plot(numbers: Mapping[str, Any], path: str | Path) -> None:
    """Draw bars for each phase and variant.

    Args:
        numbers: The output of :func:`~skd_mm.analysis.benchmark.benchmark`.
        path: The image file.
    """
    phases = numbers['phases']
    keys = _keys(phases, 'ms')
    figure = Figure(figsize=(0.8 * len(phases) + 3, 4.5), layout='constrained')
    axes = figure.subplots()
    width = 0.8 / len(keys)
    for i, key in enumerate(keys):
        label, colour = LOOKS[key]
        positions = [number + 0.8 * ((i + 0.5) / len(keys) - 0.5) for number in range(len(phases))]
        axes.bar(positions, [phase.get(f'ms_{key}', 0) for phase in phases], width, color=colour, label=label)
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_formatter('')
    axes.set_ylabel(f'ms per iteration of {numbers["total"]["batch_size"]} images')
    axes.set_xticks(range(len(phases)), [phase['name'] for phase in phases], rotation=30, ha='right',
                    rotation_mode='anchor')
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', alpha=0.4)
    axes.set_axisbelow(True)
    figure.legend(loc='outside upper center', ncols=len(keys), frameon=False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
