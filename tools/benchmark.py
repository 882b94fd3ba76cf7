"""Time the phases of a schedule, and compare them with full forward passes and a bare PyTorch loop."""

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description='Time the phases of a distillation')
    parser.add_argument('config', help='path of the config; weights are random, no checkpoint is needed')
    parser.add_argument('--compare', action='store_true',
                        help='time full forward passes, truncation, and truncation with the cache, interleaved')
    parser.add_argument('--iters', type=int, default=20, help='timed iterations per phase and variant')
    parser.add_argument('--warmup', type=int, default=2, help='iterations before them')
    parser.add_argument('--phases', nargs='+', default=[], metavar='NAME', help='only these phases')
    parser.add_argument('--grow', type=int, nargs='+', metavar='FACTOR',
                        help='instead, time the one phase of --phases, cached, with multiples of the data, from '
                        'memory to disk')
    parser.add_argument('--no-validation', action='store_true', help='skip validation')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall',
                        help='cpu measures the process time, for shared machines')
    parser.add_argument('--threads', type=int, help="PyTorch's threads on a CPU")
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    parser.add_argument('--plot', metavar='FILE', help='plot the numbers to a file')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like schedule.fraction=0.1')
    args = parser.parse_args()
    if args.iters < 1 or args.warmup < 1:
        parser.error('--iters and --warmup must be 1 or more')
    if args.grow and len(args.phases) != 1:
        parser.error('--grow takes one phase: give it with --phases')
    return args


def main() -> None:
    """Run the measurement and print the results."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis import benchmark
    from skd_mm.config import load_config, parse_options
    from skd_mm.utils import exit_on_error, write_json

    # MMEngine warns of several Runners in one process.
    warnings.filterwarnings('ignore', message='.*(instance named of visualizer|The draw is False)')
    if args.threads:
        torch.set_num_threads(args.threads)
    with exit_on_error('benchmark'):
        cfg = load_config(args.config, args.cfg_options)
        with tempfile.TemporaryDirectory() as folder:
            cfg = benchmark.prepare_config(cfg, folder)
            if args.grow:
                numbers: dict[str, Any] = dict(
                    growth=benchmark.scaling(cfg, args.grow, args.phases[0], clock=args.clock, log=log))
            else:
                numbers = benchmark.benchmark(cfg, args.iters, args.warmup, args.compare, args.phases,
                                              not args.no_validation, args.clock, log)
    options = {key: str(value) for key, value in parse_options(args.cfg_options).items()}
    numbers = dict(config=args.config, options=options, **numbers)
    if not args.grow:
        print(report(numbers))
    if args.json:
        write_json(args.json, numbers)
    if args.plot and not args.grow:
        plot(numbers, args.plot)


def log(line: str) -> None:
    """Print a line without buffering."""
    print(line, flush=True)


def variants_of(numbers: dict[str, Any]) -> list[str]:
    """Return the variants that were timed in any of the phases."""
    return [mode for mode in ('naive', 'truncated', 'cached', 'bare', 'bare_cached')
            if any(f'ms_{mode}' in phase for phase in numbers['phases'])]


def report(numbers: dict[str, Any]) -> str:
    """Return the table."""
    variants = variants_of(numbers)
    first = max(len(phase['name']) for phase in numbers['phases']) + 2
    lines = ['', f'{"":{first}}{"milliseconds per iteration":>{12 * len(variants)}}{"GFLOPs per image":>36}',
             f'{"phase":{first}}' + ''.join(f'{mode:>12}' for mode in variants)
             + ''.join(f'{mode:>12}' for mode in variants[:3]) + f'{"images/s":>10}{"peak MiB":>10}']
    for phase in numbers['phases']:
        times = (phase.get(f'ms_{mode}') for mode in variants)
        lines.append(f'{phase["name"]:{first}}' + ''.join(f'{"-":>12}' if ms is None else f'{ms:12.1f}' for ms in times)
                     + ''.join(f'{phase.get(f"gflop_{mode}", 0):12.3f}' for mode in variants[:3])
                     + f'{phase["images_per_s"]:10.1f}{phase["peak_mib"]:10.0f}')
    total = numbers['total']
    lines += ['', f'clock {total["clock"]}, {total["threads"]} threads, {total["device"]}, batches of '
              f'{total["batch_size"]}, {total["iters"]} iterations per phase and variant']
    for ending, what in (('', 'training'), ('_with_validation', 'training and validation')):
        spent = {mode: total.get(f'seconds_{mode}{ending}') for mode in ('naive', 'truncated', 'cached')}
        if any(spent.values()):
            lines.append(f'{what}: ' + ', '.join(f'{mode} {value:,.0f} s' for mode, value in spent.items() if value))
        ratios = {mode: total.get(f'ratio_{mode}{ending}') for mode in ('truncated', 'cached')}
        if any(ratios.values()):
            lines.append('    full forward passes take ' + ', '.join(
                f'{value:.2f} x the time of {mode}' for mode, value in ratios.items() if value))
    for mode, ending in (('truncated', ''), ('cached', '_cached')):
        if f'overhead{ending}' in total:
            lines.append(f'{mode}: {total[f"overhead{ending}"]:.2%} above the bare loop, at worst '
                         f'{total[f"worst_overhead{ending}"]:.2%}')
    if total['memory_ratio']:
        lines.append(f'memory: the worst phase without a task needs {total["memory_ratio"]:.0%} of a step of ordinary '
                     f'distillation, which needs {total["peak_mib_joint"]:.0f} MiB in addition to the models')
    if 'cache_mib' in numbers['phases'][0]:
        lines.append(f'cache: at most {max(phase["cache_mib"] for phase in numbers["phases"]):,.0f} MiB in a phase')
    lines.append(f'data loader alone: {total["ms_loader"]:.1f} ms per batch; start of a run without the imports: '
                 f'{total["start_up_s"]:.1f} s')
    return '\n'.join(lines)


def plot(numbers: dict[str, Any], path: str) -> None:
    """Plot bars for each phase and variant."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot, ticker
    phases, looks = numbers['phases'], dict(naive='#b0b0b0', truncated='#2a7fba', bare='#a6cee3', cached='#e07b16',
                                            bare_cached='#fdc785')
    variants = [mode for mode in looks if mode in variants_of(numbers)]
    figure, axes = pyplot.subplots(figsize=(0.8 * len(phases) + 3, 4.5), layout='constrained')
    for i, mode in enumerate(variants):
        axes.bar([k + 0.8 * ((i + 0.5) / len(variants) - 0.5) for k in range(len(phases))],
                 [phase.get(f'ms_{mode}', 0) for phase in phases], 0.8 / len(variants), color=looks[mode],
                 label=mode.replace('_', ', '))
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
    figure.legend(loc='outside upper center', ncols=len(variants), frameon=False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == '__main__':
    main()
