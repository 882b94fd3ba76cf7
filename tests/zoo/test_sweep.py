"""Representative families of the model zoos, and the page about all of them."""

import json
import os
import subprocess
import sys

import pytest

from tests.zoo.page import PAGE, RESULTS, render


def test_the_page_has_the_results():
    assert PAGE.read_text() == render(json.loads(RESULTS.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(('library', 'families'), [
    ('mmseg', ['erfnet', 'fastscnn', 'cgnet', 'hrnet']),
    ('mmpretrain', ['deit', 'xcit'])])
def test_families_are_distilled_from_themselves(repo, tmp_path, library, families):
    done = subprocess.run(
        [sys.executable, str(repo / 'tests/zoo/sweep.py'), library, '--families', *families, '--verbose'],
        cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(repo), OMP_NUM_THREADS='1'), capture_output=True, text=True,
        timeout=900, check=False)
    assert done.stdout.splitlines()[-1:] == [f'families={len(families)} failing=0'], done.stdout + done.stderr
