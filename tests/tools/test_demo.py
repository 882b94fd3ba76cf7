"""The demo: what it prints and keeps, and that all of it runs."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import pytest
import torch
from mmengine.config import Config

from skd_mm.analysis.flops import TrainingCost, build_model, config_phases
from tools import demo

RUN = demo.Run('skd', {}, epochs=2, images=4, phases=3, network='student', cost=TrainingCost(10, 4, 6))


@pytest.fixture
def small(tmp_path):
    size = demo.Size(train=40, val=2, test=3, pixels=(32, 64))
    return demo.Demo(tmp_path / 'demo', size, seed=0, jobs=1)


def test_the_configs_build():
    for name in demo.TITLES:
        cfg = Config.fromfile(demo.ROOT / f'configs/demo/{name}.py')
        model = build_model(cfg)
        if name == 'teacher':
            assert model.backbone.depth == 34
            continue
        phases = config_phases(cfg, model)
        assert len(phases) == (11 if name == 'skd' else 1)
        assert {phase.fraction for phase in phases} == {0.1}
        assert model.student.backbone.depth == 10
        assert cfg.train_dataloader.dataset.data_root == 'work_dirs/demo/street_scenes'
        assert not any(step['type'] == 'Resize' for step in cfg.test_dataloader.dataset.pipeline)


def test_the_baselines_cost_what_the_stagewise_schedule_does(small):
    runs, networks = small.plan()
    costs = {run.name: run.cost for run in runs}
    assert list(costs) == list(demo.TITLES)
    for name in ('no_teacher', 'simultaneous'):
        run = next(run for run in runs if run.name == name)
        assert run.epochs == run.options['schedule.phase_epochs'] > 60
        half_an_epoch = costs[name].truncated / run.epochs / 2
        assert costs[name].truncated == pytest.approx(costs['skd'].truncated, abs=half_an_epoch)
    assert costs['skd'].cached < costs['skd'].truncated / 3
    assert {run.images for run in runs[1:]} == {4} and runs[0].images == 40
    assert networks['teacher']['parameters'] > networks['student']['parameters']


def test_another_folder_is_told_to_the_tools(small):
    assert small.options('skd')['model.teacher.checkpoint'] == str(small.folder / 'teacher/best_mIoU_*.pth')
    data = str(small.folder / 'street_scenes')
    assert small.options('no_teacher') == {
        f'{split}_dataloader.dataset.data_root': data for split in ('train', 'val', 'test')}


def test_a_second_demo_in_the_same_folder_is_refused(small):
    with pytest.raises(SystemExit, match='still at work'):
        demo.Demo(small.folder, small.size, seed=0, jobs=1)


def test_what_an_earlier_run_left_is_kept_only_if_it_is_the_same(tmp_path):
    path = tmp_path / 'run' / 'demo.json'
    demo.Record(path, dict(seed=0, pixels=(1, 2))).update(trained=True)
    (tmp_path / 'run' / 'last_checkpoint').write_text('x')
    assert demo.Record(path, dict(seed=0, pixels=(1, 2)))['trained']
    assert (tmp_path / 'run' / 'last_checkpoint').exists()
    assert not demo.Record(path, dict(seed=1, pixels=(1, 2)))['trained']
    assert not (tmp_path / 'run' / 'last_checkpoint').exists()
    path.write_text('{"identity": ')
    assert not demo.Record(path, dict(seed=1, pixels=(1, 2)))['trained']


def test_what_is_not_the_demos_stays(small, tmp_path):
    (small.folder / 'teacher').mkdir()
    (small.folder / 'teacher' / 'mine.txt').write_text('x')
    (small.folder / 'street_scenes').mkdir()
    demo.Record(small.folder / 'skd' / 'demo.json', {})
    small.clean()
    assert sorted(path.name for path in small.folder.iterdir()) == ['.lock', 'street_scenes', 'teacher']
    with pytest.raises(demo.Stopped, match='holds something else'):
        demo.Record(small.folder / 'teacher' / 'demo.json', {})
    assert (small.folder / 'teacher' / 'mine.txt').exists()


LINES = """
11/21 03:43:59 - mmengine - INFO - phase 2/3 layer1: trains 1,192 parameters in ['x']; task loss off; 8 iterations
11/21 03:44:00 - mmengine - INFO - [2/3 layer1] Iter(train) [ 10/88]  lr: 1.0e-03  loss: 0.9000  spots.x.loss: 1
11/21 03:44:00 - mmengine - INFO - [2/3 layer1] Iter(val) [10/10]    eta: 0:00:00  time: 0.0195
11/21 03:44:00 - mmengine - INFO - [2/3 layer1] Iter(val) [10/10]    spot_loss: 0.2952  spots.layer1.loss: 0.2952
11/21 03:44:00 - mmengine - INFO - phase 3/3 task_head: trains 99 parameters in ['y']; 8 iterations
11/21 03:44:00 - mmengine - INFO - [3/3 task_head] Iter(train) [80/88]  lr: 1.0e-03  loss: 1.5000  time: 1
11/21 03:44:00 - mmengine - INFO - [3/3 task_head] Iter(val) [10/10]    aAcc: 3.0  mIoU: 22.1000  mAcc: 30.2
"""


def said(small, capsys, run, lines, monkeypatch, pause):
    monkeypatch.setattr(demo, 'SECONDS_BETWEEN_LINES', pause)
    record = demo.Record(small.folder / run.name / 'demo.json', {})
    progress = demo.Progress(small, run, record)
    for line in lines.splitlines():
        progress.read(line)
    progress.end()
    assert record['seconds'] > 0
    return [line.split('  ', 1)[1].split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]


def test_progress_is_a_line_a_phase(small, capsys, monkeypatch):
    assert said(small, capsys, RUN, LINES, monkeypatch, pause=99) == [
        'phase 2/3 layer1, iteration 10/88, loss 0.9000, spot loss 0.2952',
        'phase 3/3 task_head, iteration 80/88, loss 1.5000, mIoU 22.1000']


def test_progress_is_more_lines_where_a_phase_takes_long(small, capsys, monkeypatch):
    assert said(small, capsys, RUN, LINES, monkeypatch, pause=-1)[0] == 'phase 2/3 layer1, iteration 10/88, loss 0.9000'
    teacher = demo.Run('teacher', {}, 36, 40, 1, 'teacher', RUN.cost)
    lines = ' Epoch(train)  [12][10/60]  lr: 1e-3 loss: 1.5\n Epoch(val) [12][6/6] mIoU: 7.1'
    assert said(small, capsys, teacher, lines, monkeypatch, pause=-1)[1] == 'epoch 12/36, loss 1.5, mIoU 7.1'


def test_a_tool_that_fails_stops_the_demo_with_its_last_words(small):
    with pytest.raises(demo.Stopped, match=r'(?s)no/such.py.*exit code 1.*train.py no/such.py'):
        small.call(['tools/train.py', 'no/such.py'])
    small.stopping.set()
    with pytest.raises(demo.Stopped, match=r'^stopped$'):
        small.call(['tools/train.py', 'no/such.py'])


def test_the_table_says_what_was_measured():
    run = dict(images=4, epochs=2, phases=3, test_mIoU=dict(best=12.345, last=11.1), parameters=507207, macs=59e6,
               training_flops=4200e9, training_flops_cached=600e9, seconds=61.4)
    text = demo.markdown(dict(runs=dict(skd=run, no_teacher=dict(run, phases=1)), seed=3, fraction=0.1,
                              data=dict(counts=dict(test=48, train=200)), runs_at_a_time=2, threads=1))
    lines = text.splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    cells = [cell.strip() for cell in lines[2].split('|')[1:-1]]
    assert cells == ['stagewise', '4', '3 x 2', '12.35', '11.10', '507,207', '59.0', '4,200', '600', '61']
    assert lines[3].split('|')[3].strip() == '2'
    assert '10% of the training images' in text and 'seed (3)' in text


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path):
    """Stopped in the middle it goes on, and what is there already is used again."""
    folder = tmp_path / 'demo'
    command = [sys.executable, demo.ROOT / 'tools/demo.py', '--quick', '--work-dir', folder]
    environment = dict(os.environ, PYTHONPATH=str(demo.ROOT), OMP_NUM_THREADS='1')

    # As a shell starts what runs in the background.
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             cwd=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    while first.poll() is None and not (folder / 'skd' / 'last_checkpoint').exists():
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    assert 'the same command goes on from here' in first.communicate()[0]
    assert first.returncode == 1
    teacher = (folder / 'teacher' / 'epoch_1.pth').stat().st_mtime_ns
    assert not json.loads((folder / 'skd' / 'demo.json').read_text())['trained']

    second = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert 'stagewise     goes on' in second.stdout and 'teacher       has been trained' in second.stdout
    assert (folder / 'teacher' / 'epoch_1.pth').stat().st_mtime_ns == teacher
    results = json.loads((folder / 'results.json').read_text())
    assert list(results['runs']) == list(demo.TITLES)
    for name, run in results['runs'].items():
        assert 0 <= run['test_mIoU']['last'] <= 100 and 0 <= run['test_mIoU']['best'] <= 100
        assert run['val_mIoU']['best'] >= run['val_mIoU']['last']
        assert run['seconds'] > 0 and run['config'] in run['command']
        assert f'| {demo.TITLES[name]} ' in second.stdout
    assert results['torch'] == torch.__version__ and results['seed'] == 0 and results['fraction'] == 0.1
    assert (folder / 'results.md').read_text() in second.stdout
    for name in ('curves.png', 'samples.png'):
        picture = cv2.imread(str(folder / name))
        assert picture.std() > 10

    before = time.monotonic()
    third = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert third.returncode == 0 and third.stdout.count('has been trained') == 4
    assert json.loads((folder / 'results.json').read_text())['runs'] == results['runs']
    assert time.monotonic() - before < results['seconds']
