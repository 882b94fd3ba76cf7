"""Runs some of the workers in this folder one after the other, each with a folder of its own.

``torchrun --nproc_per_node 2 tests/integration/run_workers.py FOLDER NAME ...`` runs them on two processes. The start
takes longer than most workers, so tests that need several start them together.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import skd_mm  # noqa: F401, I001  (before mmseg)

from tests import helpers  # noqa: F401  (registers under its own name)

if __name__ == '__main__':
    for name in sys.argv[2:]:
        folder = Path(sys.argv[1], name)
        folder.mkdir(parents=True, exist_ok=True)
        importlib.import_module(f'tests.integration.{name}').main(folder)
