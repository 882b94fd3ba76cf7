"""The demo from end to end; its parts are tested in tests/analysis/demo."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import pytest
import torch

from skd_mm.analysis.demo import Demo, Size, Stopped
from skd_mm.analysis.demo.record import RunRecord
from skd_mm.analysis.demo.settings import TITLES


def test_clean_removes_only_files_of_the_demo(tmp_path, repo):
    folder = tmp_path / 'demo'
    (folder / 'teacher').mkdir(parents=True)
    (folder / 'teacher' / 'mine.txt').write_text('x')
    (folder / 'street_scenes').mkdir()
    RunRecord(folder / 'skd' / 'demo.json', {})
    demo = Demo(repo, folder, Size(), seed=0, jobs=1)
    demo.clean()
    assert sorted(path.name for path in folder.iterdir()) == ['.lock', 'street_scenes', 'teacher']


def test_a_failed_run_stops_the_others(tmp_path, repo, monkeypatch):
    demo = Demo(repo, tmp_path / 'demo', Size(), seed=0, jobs=2)
    started = []

    def train(run, teacher=None):
        started.append(run)
        demo.tools.check()
        raise Stopped('it failed')

    monkeypatch.setattr(demo, 'train', train)
    runs = [type('Run', (), dict(name=name)) for name in TITLES]
    with pytest.raises(Stopped, match='it failed'):
        demo.run_all(runs)
    assert demo.tools.stopping.is_set()


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path, repo):
    """An interrupted demo resumes, and a finished one is used again."""
    folder = tmp_path / 'demo'
    command = [sys.executable, repo / 'tools/demo.py', '--quick', '--work-dir', folder]
    environment = dict(os.environ, PYTHONPATH=str(repo), OMP_NUM_THREADS='1')

    # SIGINT is ignored, as in programs that a shell starts in the background.
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             cwd=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    while first.poll() is None and not (folder / 'skd' / 'last_checkpoint').exists():
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    assert 'run the same command again to resume' in first.communicate()[0]
    assert first.returncode == 1
    teacher = (folder / 'teacher' / 'epoch_1.pth').stat().st_mtime_ns
    assert not json.loads((folder / 'skd' / 'demo.json').read_text())['trained']

    second = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert not second.stderr
    assert 'stagewise     training resumes' in second.stdout and 'teacher       already trained' in second.stdout
    assert (folder / 'teacher' / 'epoch_1.pth').stat().st_mtime_ns == teacher
    results = json.loads((folder / 'results.json').read_text())
    assert list(results['runs']) == list(TITLES)
    table = second.stdout.partition('result ')[2]
    for name, run in results['runs'].items():
        assert 0 <= run['test_mIoU']['last'] <= 100 and 0 <= run['test_mIoU']['best'] <= 100
        assert run['val_mIoU']['best'] >= run['val_mIoU']['last']
        assert run['seconds'] > 0 and run['config'] in run['command']
        assert f' {TITLES[name]} ' in table and f' {run["test_mIoU"]["best"]:.2f} ' in table
        assert f'| {TITLES[name]} ' in (folder / 'results.md').read_text()
    assert results['torch'] == torch.__version__ and results['seed'] == 0 and results['fraction'] == 0.1
    for name in ('curves.png', 'samples.png'):
        assert str(folder / name) in second.stdout
        assert cv2.imread(str(folder / name)).std() > 10

    before = time.monotonic()
    third = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert third.returncode == 0 and third.stdout.count('already trained') == 5
    assert json.loads((folder / 'results.json').read_text())['runs'] == results['runs']
    assert time.monotonic() - before < results['seconds']
