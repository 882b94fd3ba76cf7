"""How the tools start: --help is quick, and no other package prints messages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skd_mm import compat
from skd_mm.synthetic import make_street_scenes

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / 'tools').rglob('*.py'))]
HELP = """
import runpy, sys, time
try:
    runpy.run_path(sys.argv[1], run_name='__main__')
except SystemExit as end:
    assert end.code == 0
print('torch' in sys.modules, time.process_time())
"""


def run(*command):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT,
                          env=environment)


@pytest.mark.parametrize('tool', TOOLS)
def test_help_is_quick_and_quiet(tool):
    result = run('-c', HELP, tool, '--help')
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.startswith('usage: ')
    has_torch, seconds = result.stdout.splitlines()[-1].split()
    assert has_torch == 'False'
    assert float(seconds) < 1  # 0.1 to 0.4 s; importing torch alone takes more than one


@pytest.mark.skipif(compat.installed_line() == 'original',
                    reason='the original mmsegmentation warns of its own calls')
def test_dry_run_is_quiet(tmp_path, monkeypatch):
    monkeypatch.delenv('SKD_MM_DATA', raising=False)  # MMEngine logs the variables that a config reads
    config = 'configs/baselines/camvid/no-teacher_unet-r10-w25_1xb8-150e_camvid-160x224.py'
    data = make_street_scenes(tmp_path / 'data', 10, 1, 1, (32, 64))
    roots = [f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')]
    options = ['schedule.fraction=1', *roots]
    result = run('tools/train.py', config, '--dry-run', '--cfg-options', *options)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith('1 phases') and not result.stderr
