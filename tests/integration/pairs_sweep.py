"""Trains the configs of ``configs/pairs`` with and without a cache, on one process or on several.

    python tests/integration/pairs_sweep.py [NAME ...]
    torchrun --nproc_per_node 2 tests/integration/pairs_sweep.py [NAME ...]

``NAME`` is the beginning of a config's file name; all are run without any. Networks are thin and images tiny, as in
``test_pairs.py``. Two runs, one with a cache, must end with the same weights to the bit, and so must all processes.
Runs on several processes are distributed with gloo and ``find_unused_parameters=False``. Prints a line for each pair;
the exit status is 1 if one fails.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import skd_mm  # noqa: F401, I001  (before mmseg)

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank, get_world_size, infer_launcher

from tests.helpers import differing, state, train
from tests.integration.test_pairs import NAMES, tiny


def pair_config(name: str, folder: Path, cache: float) -> Config:
    """The config of a tiny run in which each image is used in two epochs of every phase."""
    cfg = tiny(name)
    launcher = infer_launcher()
    cfg.merge_from_dict(dict(
        work_dir=str(folder), randomness=dict(seed=0), log_level='ERROR', launcher=launcher,
        env_cfg=dict(dist_cfg=dict(backend='gloo')), visualizer=dict(name=str(folder))))
    cfg.schedule.cache = cache
    if 'segnext' in name:  # its decomposition starts from random bases in each forward pass, also in eval mode
        cfg.model.student.decode_head.ham_kwargs.rand_init = False
        cfg.model.teacher.options['model.decode_head.ham_kwargs.rand_init'] = False
    if name.startswith('imagenet'):
        cfg.schedule.phase_epochs = cfg.schedule.head.epochs = 2
    else:
        cfg.schedule.phase_iters = cfg.schedule.val_interval = cfg.schedule.head.iters = 4
    return cfg


def check(name: str, folder: Path) -> str:
    """Train a pair twice; return what is wrong, or an empty text."""
    states = []
    for cache in (0., 1.):
        runner = train(pair_config(name, folder / f'cache{cache:.0f}', cache))
        if get_world_size() > 1 and runner.model.find_unused_parameters:
            return 'the model is wrapped with find_unused_parameters=True'
        states.append(state(runner.train_loop.distiller))
    different = differing(*states)
    if different:
        return f'{len(different)} of {len(states[0])} tensors differ with a cache, such as {different[:3]}'
    ranks = all_gather_object({key: value.double().sum().item() for key, value in states[0].items()})
    different = [key for key, value in ranks[0].items() if any(rank[key] != value for rank in ranks)]
    return f'{len(different)} tensors differ between processes, such as {different[:3]}' if different else ''


def sweep(names: list[str], verbose: bool) -> int:
    """Check pairs one after another; return how many fail."""
    failing = 0
    for name in names:
        start, log = time.process_time(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            try:
                error = check(name, Path(folder))
            except Exception as raised:
                if get_world_size() > 1 and not verbose:
                    raise  # the other processes wait for this one
                traceback.print_exc()
                error = f'{type(raised).__name__}: {raised}'
        failing += bool(error)
        if get_rank() == 0:
            if error and verbose:
                print(log.getvalue())
            print(f'{Path(name).stem:75} {error or "ok"}  {time.process_time() - start:.1f} s', flush=True)
    return failing


def main(folder: Path) -> None:
    """Check one pair as a worker of ``test_equal_processes.py``."""
    torch.set_num_threads(1)
    name, = (name for name in NAMES if Path(name).stem.startswith('segformer-b2_pspnet-r18'))
    error = check(name, folder / f'{get_world_size()}')
    (folder / f'world{get_world_size()}_rank{get_rank()}.txt').write_text(error or 'ok')


def command() -> int:
    """Check the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help='beginnings of file names; all if not given')
    parser.add_argument('--verbose', action='store_true', help='print tracebacks')
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [name for name in NAMES if not args.names or Path(name).stem.startswith(tuple(args.names))]
    if not chosen:
        parser.error(f'no config begins with {args.names}; there are {[Path(name).stem for name in NAMES]}')
    failing = sweep(chosen, args.verbose)
    if get_rank() == 0:
        print(f'pairs={len(chosen)} processes={get_world_size()} failing={failing}')
    return int(failing > 0)


if __name__ == '__main__':
    sys.exit(command())
