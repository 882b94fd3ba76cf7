"""Cost of a teacher: the time until it is trained, and the time per iteration of its student."""

import copy
import json
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from mmengine.config import Config

from skd_mm.distillers.networks import read_config
from skd_mm.engine.prelude import run_prelude
from skd_mm.utils import text_table

from .benchmark import CLOCKS, Variant, milliseconds


def teacher_cost(cfg: Config, folder: str | None, clock: str = 'wall', train: bool = False) -> dict[str, Any]:
    """Return what the prelude of a config costs.

    Args:
        cfg: The config.
        folder: Folder of the preludes; None if there is none.
        clock: ``'wall'`` or ``'cpu'``. Defaults to ``'wall'``.
        train: Whether to train a teacher that is missing. Defaults to False.

    Returns:
        ``length`` of the prelude and the length ``whole`` of its own config, which the prelude's ``options`` may
        shorten; its ``metrics``; ``teacher_seconds`` and, in proportion to the length, ``whole_seconds``; ``bank_mib``,
        the size of a bank of targets. A value is None if it does not apply.
    """
    cost: dict[str, Any] = dict.fromkeys(('length', 'whole', 'metrics', 'teacher_seconds', 'whole_seconds', 'bank_mib'))
    if not cfg.get('prelude') or folder is None:
        return cost
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.prelude.dir = folder, folder
    file = run_prelude(cfg, dry=not train).model.teacher.checkpoint
    if file is None:
        return cost
    facts = json.loads((Path(file).parent / 'done.json').read_text())
    run = read_config(cfg.prelude.cfg)
    whole = _length(run)
    run.merge_from_dict(cfg.prelude.get('options') or {})
    seconds = facts.get('cpu_seconds' if clock == 'cpu' else 'seconds')
    cost.update(length=_length(run), whole=whole, metrics=facts['metrics'], teacher_seconds=seconds)
    if seconds is not None:
        cost['whole_seconds'] = seconds * whole / cost['length']
    if Path(file).is_file() and cfg.model.teacher.get('type'):
        cost['bank_mib'] = Path(file).stat().st_size / 2**20
    return cost


def _length(run: Config) -> int:
    """Return the epochs or iterations of an ordinary run."""
    return run.train_cfg.get('max_epochs') or run.train_cfg.max_iters


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the costs as a table.

    Args:
        rows: Output of :func:`teacher_cost`, with ``config`` and ``milliseconds`` per iteration. ``~`` marks
            extrapolated times.
    """
    columns = ['config', 'length', 'reaches', 'teacher, s', 'whole, s', 'bank, MiB', 'ms/iteration']
    return text_table(columns, map(_cells, rows))


def _cells(row: dict[str, Any]) -> list[str]:
    lengths = '-' if row['length'] is None else f'{row["length"]}/{row["whole"]}'
    reached = next(iter((row['metrics'] or {}).values()), None)
    mark = '~' if row['length'] != row['whole'] else ''
    return [row['config'], lengths, _number(reached), _number(row['teacher_seconds']),
            _number(row['whole_seconds'], mark), _number(row['bank_mib']), _number(row['milliseconds'])]


def _number(value: float | None, mark: str = '') -> str:
    return '-' if value is None else f'{mark}{value:.1f}'


def iteration_times(cfgs: Sequence[Config], iters: int, warmup: int, clock: str) -> list[list[float]]:
    """Time the first phase of several configs, their iterations interleaved.

    Args:
        cfgs: The configs, prepared for a benchmark.
        iters: Timed iterations of each.
        warmup: Iterations before them.
        clock: ``'wall'`` or ``'cpu'``.

    Returns:
        For each config, the milliseconds of each iteration.
    """
    variants = [Variant(cfg, 0) for cfg in cfgs]
    batches: list[Any] = []
    for variant in variants:
        variant.begin(0)
        batches.append(cycle(list(islice(iter(variant.loop.dataloader), 4))))
    times: list[list[float]] = [[] for _ in variants]
    for i in range(warmup + iters):
        for variant, own, values in zip(variants, batches, times, strict=True):
            spent = milliseconds(variant.step, copy.deepcopy(next(own)), clock=CLOCKS[clock])
            if i >= warmup:
                values.append(spent)
    return times
