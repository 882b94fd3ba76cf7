"""The whole toolkit in five minutes on two CPU cores, without a download: a teacher, and students with and without it.

See skd_mm.analysis.demo for what it does. Run again, it resumes interrupted trainings and keeps finished ones.
"""

import argparse
import os
import signal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for all files; by default work_dirs/demo')
    parser.add_argument('--seed', type=int, default=0, help='seed of all trainings; by default 0')
    parser.add_argument('--clean', action='store_true', help='remove the files of an earlier demo first')
    parser.add_argument('--quick', action='store_true',
                        help='train for seconds only, to check that everything runs; the results mean nothing')
    parser.add_argument('--jobs', type=int, default=min(2, len(os.sched_getaffinity(0))),
                        help='number of runs at a time, one thread each; by default 2 if there are two cores')
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error(f'--jobs must be 1 or more, not {args.jobs}')
    return args


def interrupt(*_: Any) -> None:
    """Handle SIGTERM like Ctrl-C, which shells let programs in the background ignore."""
    raise KeyboardInterrupt


def main() -> None:
    args = parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    # Imported after the options are parsed, so that --help is quick.
    import torch

    from skd_mm.analysis.demo import FULL, QUICK, Demo, Stopped

    torch.set_num_threads(1)  # counting needs little, and the trainings need the cores
    folder = Path(args.work_dir).resolve()
    os.chdir(ROOT)
    if folder.is_relative_to(ROOT):
        folder = folder.relative_to(ROOT)
    try:
        demo = Demo(ROOT, folder, QUICK if args.quick else FULL, args.seed, args.jobs)
        if args.clean:
            demo.clean()
        demo.run()
    except Stopped as error:
        raise SystemExit(f'\n{error}') from None
    except KeyboardInterrupt:
        raise SystemExit('\nstopped; run the same command again to resume') from None


if __name__ == '__main__':
    main()
