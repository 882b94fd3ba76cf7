"""What a teacher costs: seconds until it is there, and milliseconds of each iteration of its student."""

import argparse
import copy
import json
import tempfile
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config, DictAction

from skd_mm.analysis.benchmark import CLOCKS, Mode, prepare_config, synchronise
from skd_mm.distillers.networks import read_config
from skd_mm.engine.prelude import run_prelude
from skd_mm.utils import write_json


def parse_args() -> argparse.Namespace:
    """What to time, and how often."""
    parser = argparse.ArgumentParser(description='Time the students of several configs by turns, and tell what their '
                                     'preludes took')
    parser.add_argument('configs', nargs='+', help='paths of configs with a `schedule`; the first phase is timed, with '
                        'random weights')
    parser.add_argument('--iters', type=int, default=20, help='timed iterations of each')
    parser.add_argument('--warmup', type=int, default=3, help='iterations before them')
    parser.add_argument('--clock', choices=list(CLOCKS), default='wall',
                        help='cpu counts the time of this process alone, for a machine that does something else, too')
    parser.add_argument('--threads', type=int, help="PyTorch's threads on a CPU")
    parser.add_argument('--prelude-dir', help='where finished preludes are, as `prelude.dir` of the configs')
    parser.add_argument('--train-preludes', action='store_true', help='train those that are not there, too')
    parser.add_argument('--json', metavar='FILE', help='write the numbers to a file, too')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='settings that replace those of all configs')
    return parser.parse_args()


def main() -> None:
    """Times and prints."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfgs = [read_config(path) for path in args.configs]
    for cfg in cfgs:
        cfg.merge_from_dict(args.cfg_options)
    if args.train_preludes and not args.prelude_dir:
        raise SystemExit('teacher_cost: --train-preludes needs --prelude-dir, where they are kept')
    rows: list[dict[str, Any]] = [dict(config=Path(path).stem, **teacher_cost(
        cfg, args.prelude_dir, args.clock, args.train_preludes)) for path, cfg in zip(args.configs, cfgs, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        times = iteration_times([prepare_config(cfg, folder) for cfg in cfgs], args.iters, args.warmup, args.clock)
    for row, values in zip(rows, times, strict=True):
        row['milliseconds'] = median(values)
    print(table(rows))
    if args.json:
        write_json(args.json, rows)


def teacher_cost(cfg: Config, folder: str | None, clock: str = 'wall', make: bool = False) -> dict[str, Any]:
    """What a prelude took, what it reached, and what its bank weighs; None where there is none, or no bank.

    ``whole_seconds`` is what it would take in the length that its own config has, if the prelude's ``options`` give it
    another one: in proportion.
    """
    cost: dict[str, Any] = dict.fromkeys(('length', 'whole', 'metrics', 'teacher_seconds', 'whole_seconds', 'bank_mib'))
    if not cfg.get('prelude') or folder is None:
        return cost
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.prelude.dir = folder, folder
    file = run_prelude(cfg, dry=not make).model.teacher.checkpoint
    if file is None:
        return cost
    facts = json.loads((Path(file).parent / 'done.json').read_text())
    run = read_config(cfg.prelude.cfg)
    whole = length(run)
    run.merge_from_dict(cfg.prelude.get('options') or {})
    cost.update(length=length(run), whole=whole, metrics=facts['metrics'],
                teacher_seconds=facts.get('cpu_seconds' if clock == 'cpu' else 'seconds'))
    if cost['teacher_seconds'] is not None:
        cost['whole_seconds'] = cost['teacher_seconds'] * whole / cost['length']
    if Path(file).is_file() and cfg.model.teacher.get('type'):
        cost['bank_mib'] = Path(file).stat().st_size / 2**20
    return cost


def length(run: Config) -> int:
    """Epochs or iterations of an ordinary run."""
    return run.train_cfg.get('max_epochs') or run.train_cfg.max_iters


def table(rows: list[dict[str, Any]]) -> str:
    """The costs side by side; ``~`` marks what was not run."""

    def number(value: float | None, mark: str = '') -> str:
        return '-' if value is None else f'{mark}{value:.1f}'

    lines = [f'{"":58}{"length":>10}{"reaches":>9}{"teacher, s":>12}{"whole, s":>11}{"bank, MiB":>11}'
             f'{"ms/iteration":>14}']
    for row in rows:
        cut = row['length'] != row['whole']
        lengths = '-' if row['length'] is None else f'{row["length"]}/{row["whole"]}'
        reached = next(iter((row['metrics'] or {}).values()), None)
        lines.append(f'{row["config"]:58}{lengths:>10}{number(reached):>9}{number(row["teacher_seconds"]):>12}'
                     f'{number(row["whole_seconds"], "~" if cut else ""):>11}{number(row["bank_mib"]):>11}'
                     f'{row["milliseconds"]:14.1f}')
    return '\n'.join(lines)


def iteration_times(cfgs: list[Config], iters: int, warmup: int, clock: str) -> list[list[float]]:
    """Milliseconds of each iteration of each config's first phase, taken by turns."""
    now = CLOCKS[clock]
    modes = [Mode(cfg, 0) for cfg in cfgs]
    batches: list[Any] = []
    for mode in modes:
        mode.begin(0)
        batches.append(cycle(list(islice(iter(mode.loop.dataloader), 4))))
    times: list[list[float]] = [[] for _ in modes]
    for i in range(warmup + iters):
        for mode, batch, values in zip(modes, batches, times, strict=True):
            data = copy.deepcopy(next(batch))
            begin = now()
            mode.step(data)
            synchronise()
            if i >= warmup:
                values.append((now() - begin) * 1e3)
    return times


if __name__ == '__main__':
    main()
