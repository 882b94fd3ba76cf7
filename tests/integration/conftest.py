"""What whole runs share."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def tool():
    """``tools/train.py`` as a module."""
    path = Path(__file__).resolve().parents[2] / 'tools/train.py'
    spec = importlib.util.spec_from_file_location('skd_mm_tools_train', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def run_workers(repo):
    """Runs workers of this folder on two processes over gloo, or on one; a failure has what they wrote."""
    env = {key: value for key, value in os.environ.items() if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    env |= dict(PYTHONPATH=str(repo), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    start = {1: [sys.executable],
             2: [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2']}

    def run(folder, *names, world):
        command = [*start[world], str(repo / 'tests/integration/run_workers.py'), str(folder), *names]
        done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=900)
        if done.returncode:
            pytest.fail(f'{command} failed:\n{done.stderr[-3000:]}')

    return run
