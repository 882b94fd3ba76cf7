import io
import json

import pytest
from rich.console import Console

from skd_mm.analysis.demo import progress as module
from skd_mm.analysis.demo.plan import Run
from skd_mm.analysis.demo.progress import Display, TrainingProgress
from skd_mm.analysis.demo.record import RunRecord
from skd_mm.analysis.flops import TrainingCost

RUN = Run('skd', {}, (8, 8, 8), 4, ('stem', 'layer1', 'task_head'), 'student', TrainingCost(10, 4, 24))
LINES = [
    dict(loss=0.9, iter=10, step=10, phase='stem'),
    dict(spot_loss=0.29521, time=1, step=10, phase='stem'),
    dict(loss=0.5, iter=14, step=14, phase='layer1'),
    dict(loss=0.4, iter=18, step=18, phase='layer1'),
    dict(loss=1.5, iter=22, step=22, phase='task_head'),
    dict(mIoU=22.1, aAcc=3.0, step=24, phase='task_head'),
]
STEM = 'phase 1/3 stem, iteration 10/24, training loss 0.9000, validation loss 0.2952'
LAYER1 = 'phase 2/3 layer1, iteration 18/24, training loss 0.4000'
HEAD = 'phase 3/3 task_head, iteration 24/24, training loss 1.5000, validation mIoU 22.10'


def write(folder, lines):
    file = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, 'a') as log:
        log.writelines(json.dumps(line) + '\n' for line in lines)


@pytest.fixture
def training(tmp_path):
    """Make the progress of a training, and a function that returns what it printed."""

    def make(run=RUN, terminal=False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=200, soft_wrap=True)
        record = RunRecord(tmp_path / run.name / 'demo.json', {})
        return TrainingProgress(Display(console), run, tmp_path / run.name, record)

    return make


def printed(progress):
    lines = progress.display.console.file.getvalue().splitlines()
    assert all(line.startswith(' 0:00  ') for line in lines)
    return [line[7 + module.WIDTH:] for line in lines]


def test_a_line_for_each_phase(training):
    progress = training()
    progress.poll()
    for line in LINES:
        write(progress.folder, [line])
        progress.poll()
    assert printed(progress) == [STEM, LAYER1]
    progress.end()
    assert printed(progress) == [STEM, LAYER1, HEAD]
    assert progress.record['seconds'] > 0


def test_phases_between_two_polls(training):
    progress = training()
    write(progress.folder, LINES)
    progress.end()
    assert printed(progress) == [STEM, LAYER1, HEAD]


def test_a_long_phase_has_several_lines_but_not_the_same_twice(training, monkeypatch):
    monkeypatch.setattr(module, 'LINE_SECONDS', -1)
    progress = training()
    write(progress.folder, LINES[:1])
    progress.poll()
    progress.poll()
    assert printed(progress) == ['phase 1/3 stem, iteration 10/24, training loss 0.9000']


def test_phases_before_an_interruption_are_not_repeated(training):
    progress = training()
    write(progress.folder, LINES[:4])
    progress = training()
    write(progress.folder, LINES[4:])
    progress.end()
    assert printed(progress) == [LAYER1, HEAD]


def test_a_run_without_phases(training):
    progress = training(Run('teacher', {}, 36, 40, ('no_teacher',), 'teacher', TrainingCost(1, 1, 360)))
    write(progress.folder, [dict(loss=1.5, iter=60, epoch=6, step=60), dict(mIoU=7.1, step=60)])
    progress.end()
    assert printed(progress) == ['iteration 60/360, training loss 1.5000, validation mIoU 7.10']


def test_a_terminal_shows_a_bar(training):
    progress = training(terminal=True)
    write(progress.folder, LINES[:3])
    progress.poll()
    bar = progress.display.bars.tasks[0]
    assert bar.percentage == pytest.approx(100 * 14 / 24) and bar.description.startswith('phase 2/3')
    progress.end()
    assert not progress.display.bars.tasks
