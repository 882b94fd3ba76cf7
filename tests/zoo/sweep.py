"""Distils every family of a model zoo from itself.

``python tests/zoo/sweep.py {mmseg,mmpretrain,mmdet}`` takes the smallest config of each family and, with
``spots='backbone'``, runs two iterations of every phase under DDP (gloo, ``find_unused_parameters=False``), once
without and once with a cache, which must give the same weights. Then it predicts, exports the student and runs it in
the zoo's own inference code. It prints a line per family, and ``families=N failing=F`` in the end.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import skd_mm  # noqa: F401, I001  (before mmseg)

import torch

from tests.zoo.families import SKIPPED, families


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description='Distil every family of a model zoo from itself')
    parser.add_argument('library', choices=list(SKIPPED))
    parser.add_argument('--families', nargs='+', metavar='NAME', help='only these; all if not given')
    parser.add_argument('--json', metavar='FILE', help='results by family; families with a result in it are not run')
    parser.add_argument('--again', action='store_true', help='run those that failed again')
    parser.add_argument('--startup', action='store_true', help='build the distiller only, and time it')
    parser.add_argument('--timeout', type=int, default=600, help='seconds per family; 600 by default')
    parser.add_argument('--verbose', action='store_true', help='print tracebacks')
    return parser.parse_args()


def run_family(library: str, config: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run a family in a process of its own; return its result, with ``error`` if it failed."""
    memory = '/dev/shm' if os.path.isdir('/dev/shm') else None  # a run writes more checkpoints than it computes
    folder = Path(tempfile.mkdtemp(prefix='zoo_', dir=memory))
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.setpgrp()
        _child(library, config, folder, args)
    try:
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() - start > args.timeout:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return dict(error=f'no result after {args.timeout} s')
            time.sleep(0.05)
        result = folder / 'result.json'
        if not result.exists():
            return dict(error=f'the process ended with status {done[1]}')
        return json.loads(result.read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _child(library: str, config: str, folder: Path, args: argparse.Namespace) -> None:
    """Run a family in this process, and end it."""
    result: dict[str, Any] = {}
    with open(folder / 'log', 'w') as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            from tests.zoo.worker import check
            check(library, config, folder, result, args.startup)
        except BaseException as error:
            result['error'] = f'{type(error).__name__}: {error}'
            result['traceback'] = traceback.format_exc()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result.update(cpu_s=round(usage.ru_utime + usage.ru_stime, 1), gib=round(usage.ru_maxrss / 2**20, 1))
    (folder / 'result.json').write_text(json.dumps(result))
    os._exit(0)


def main() -> None:
    """Run the families one after another."""
    args = parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    if args.json and Path(args.json).exists():
        results = json.loads(Path(args.json).read_text())
    chosen = families(args.library)
    for name in args.families or ():
        if name not in chosen:
            raise SystemExit(f'{args.library} has no family {name!r}; there are {list(chosen)}')
    __import__(f'{args.library}.models')
    count = failing = 0
    for name in args.families or chosen:
        config, key = chosen[name], f'{args.library}/{name}'
        if config is None:
            print(f'{key:28} skipped: {SKIPPED[args.library][name]}', flush=True)
            continue
        if key not in results or (args.again and 'error' in results[key]):
            result = run_family(args.library, config, args)
            trace = result.pop('traceback', '')
            if args.verbose:
                print(trace, flush=True)
            results[key] = dict(config=config, **result)
            if args.json:
                Path(args.json).write_text(json.dumps(results, indent=1) + '\n')
        result = results[key]
        count, failing = count + 1, failing + ('error' in result)
        outcome = result.get('error') or f'{len(result["stages"])} stages, input {result["input"]}'
        print(f'{key:28} {"FAILED" if "error" in result else "ok":6} {result.get("cpu_s", 0):6.1f} s  '
              f'start-up {result.get("startup_s", float("nan")):6.2f} s  {outcome[:300]}', flush=True)
    print(f'families={count} failing={failing}')


if __name__ == '__main__':
    main()
