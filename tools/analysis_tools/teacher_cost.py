"""Measure what a teacher costs: seconds until it is trained, and milliseconds per iteration of its student."""

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time the students of several configs, interleaved, and report the cost of their preludes')
    parser.add_argument('configs', nargs='+', help='paths of configs with a `schedule`; the first phase is timed, with '
                        'random weights')
    parser.add_argument('--iters', type=int, default=20, help='timed iterations of each config')
    parser.add_argument('--warmup', type=int, default=3, help='iterations before them')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall',
                        help='cpu counts the time of this process only, for a shared machine')
    parser.add_argument('--threads', type=int, help="number of PyTorch's threads on a CPU")
    parser.add_argument('--prelude-dir', help='folder of finished preludes, as `prelude.dir` of the configs')
    parser.add_argument('--train-preludes', action='store_true', help='train missing preludes')
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to a file')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that override those of all configs')
    args = parser.parse_args()
    if args.train_preludes and not args.prelude_dir:
        parser.error('--train-preludes needs --prelude-dir, the folder to keep them in')
    return args


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis.benchmark import prepare_config
    from skd_mm.analysis.teacher_cost import format_table, iteration_times, teacher_cost
    from skd_mm.config import load_config
    from skd_mm.utils import write_json

    if args.threads:
        torch.set_num_threads(args.threads)
    cfgs = [load_config(path, args.cfg_options) for path in args.configs]
    rows: list[dict[str, Any]] = []
    for path, cfg in zip(args.configs, cfgs, strict=True):
        cost = teacher_cost(cfg, args.prelude_dir, args.clock, args.train_preludes)
        rows.append(dict(config=Path(path).stem, **cost))
    with tempfile.TemporaryDirectory() as folder:
        times = iteration_times([prepare_config(cfg, folder) for cfg in cfgs], args.iters, args.warmup, args.clock)
    for row, values in zip(rows, times, strict=True):
        row['milliseconds'] = median(values)
    print(format_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    main()
