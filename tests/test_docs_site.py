"""The site is built without a warning, so that every link between its pages works."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_site_builds_without_warnings(repo, tmp_path):
    packages = ('sphinx', 'myst_parser', 'sphinx_copybutton', 'furo')
    missing = [name for name in packages if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f'needs {", ".join(missing)} (requirements/docs.txt)')
    # A copy, as the build writes pages into `docs`.
    for name in ('docs', 'configs', 'skd_mm'):
        shutil.copytree(repo / name, tmp_path / name, ignore=shutil.ignore_patterns('_build', '.mim', '__pycache__'))
    (tmp_path / 'docs' / 'broken.md').write_text('# Broken\n\n[no such page](nowhere.md)\n')
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}

    def build():
        command = [sys.executable, '-m', 'sphinx', '-q', '-d', 'trees', 'docs', 'site']
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)

    result = build()
    assert result.returncode == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if 'WARNING' in line]
    assert len(warnings) == 1 and 'broken.md' in warnings[0] and 'nowhere.md' in warnings[0], result.stderr
    losses = (tmp_path / 'site' / 'api' / 'losses.html').read_text()
    assert 'skd_mm.losses.CWDLoss' in losses
    assert (tmp_path / 'site' / 'configs' / 'skd.html').is_file()
