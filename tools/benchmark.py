"""Times a schedule phase by phase, compared with full forward passes and a plain PyTorch loop."""

import argparse
import tempfile
import warnings
from typing import Any


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Time the phases of a distillation')
    parser.add_argument('config', help='path of the config; weights are random, no checkpoint is needed')
    parser.add_argument('--compare', action='store_true',
                        help='time full forward passes, truncation, and truncation with the cache, interleaved')
    parser.add_argument('--iters', type=int, default=20, help='timed iterations per phase and variant')
    parser.add_argument('--warmup', type=int, default=2, help='iterations before them')
    parser.add_argument('--phases', nargs='+', default=[], metavar='NAME', help='only these phases')
    parser.add_argument('--grow', type=int, nargs='+', metavar='FACTOR',
                        help='instead, time the one phase of --phases, cached, with that many times the data: from '
                        'memory to the disk')
    parser.add_argument('--no-validation', action='store_true', help='do not time the validation')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall',
                        help='cpu counts the time of this process only, for a shared machine')
    parser.add_argument('--threads', type=int, help="number of PyTorch's threads on a CPU")
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    parser.add_argument('--plot', metavar='FILE', help='draw them')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like schedule.fraction=0.1')
    args = parser.parse_args()
    if args.iters < 1 or args.warmup < 1:
        parser.error('--iters and --warmup must be 1 or more')
    if args.grow and len(args.phases) != 1:
        parser.error('--grow takes one phase: give it with --phases')
    return args


def main() -> None:
    """Time and print."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis.benchmark import benchmark, prepare_config, scaling
    from skd_mm.analysis.benchmark.report import format_report, plot
    from skd_mm.config import load_config, parse_options
    from skd_mm.utils import exit_on_error, write_json

    # MMEngine warns of several Runners in one process.
    warnings.filterwarnings('ignore', message='.*(instance named of visualizer|The draw is False)')
    if args.threads:
        torch.set_num_threads(args.threads)
    with exit_on_error('benchmark'), tempfile.TemporaryDirectory() as folder:
        cfg = prepare_config(load_config(args.config, args.cfg_options), folder)
        numbers: dict[str, Any]
        if args.grow:
            numbers = dict(growth=scaling(cfg, args.grow, args.phases[0], args.clock, log))
        else:
            numbers = benchmark(cfg, args.iters, args.warmup, args.compare, args.phases, not args.no_validation,
                                args.clock, log)
    if not args.grow:
        print(format_report(numbers))
    if args.json:
        options = {key: str(value) for key, value in parse_options(args.cfg_options).items()}
        write_json(args.json, dict(config=args.config, options=options, **numbers))
    if args.plot and not args.grow:
        plot(numbers, args.plot)


def log(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == '__main__':
    main()
