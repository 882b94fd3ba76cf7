import io
import json
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from skd_mm.analysis.studies import progress
from skd_mm.analysis.studies.compute import Compute
from skd_mm.analysis.studies.plan import Plan
from skd_mm.analysis.studies.progress import Display, describe_progress, plan_notes, plan_table, read_progress
from skd_mm.analysis.studies.records import Record
from skd_mm.analysis.studies.running import Run
from skd_mm.analysis.studies.timing import describe_seconds

COST = Compute(3, 10, 'epochs', 36, 100, 5 * 10**9, 10**9)


@pytest.fixture
def plan(tmp_path, task):
    study = SimpleNamespace(name='toy', title='Toy', metric='mIoU', split='test', baseline='a', reference='b',
                            matched=('a', ))
    tasks = [task('t', 'teacher', compute=COST, seconds=100.), task('a', needs=['t'], compute=COST, seconds=60.),
             task('b', fraction=0.5, compute=COST), task('p', 'prelude')]
    return Plan(study, tmp_path, tasks, ['a.py: nobody reads `x`'])


def log(folder, *lines, name='20200101', end='\n'):
    path = folder / 'train' / name / 'vis_data'
    path.mkdir(parents=True, exist_ok=True)
    (path / 'scalars.json').write_text('\n'.join(json.dumps(line) for line in lines) + end)


def text_of(renderable, width=160):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_progress_is_read_from_the_newest_log(plan):
    task, folder = plan.tasks[1], plan.folder / 'a'
    assert read_progress(plan.folder, task).share == 0 and read_progress(plan.folder, task).remaining == 60
    log(folder, dict(step=90, iter=90, loss=1))
    log(folder, dict(step=10, iter=10, loss=1), dict(step=25, iter=25, loss=1, phase='layer1'),
        dict(step=26, mIoU=1), name='20200202', end='\n{"step": 2')
    Record(folder).update(digest='d', pieces=[dict(seconds=20), dict(seconds=10)])
    found = read_progress(plan.folder, task)
    assert (found.phase, found.share, found.remaining) == ('layer1', 0.25, 90)
    assert describe_progress(found) == 'layer1, 25%, about 90 s left'.replace('90 s', describe_seconds(90))
    Record(folder).update(trained=True)
    assert read_progress(plan.folder, task).phase == 'testing'


def test_a_prelude_has_no_known_share(plan):
    assert describe_progress(read_progress(plan.folder, plan.tasks[3])) == 'training, 0%'


@pytest.mark.parametrize(('seconds', 'text'), [(45.4, '45 s'), (100, '2 min'), (3700, '62 min'), (11100, '3 h 05 min')])
def test_durations_for_people(seconds, text):
    assert describe_seconds(seconds) == text


def test_the_plan_as_a_table(plan):
    text = text_of(plan_table(plan))
    assert 'Toy: 4 trainings' in text
    row = next(line for line in text.splitlines() if line.strip().startswith('a '))
    assert row.split() == ['a', '36', '3', '×', '10', 'epochs', '100', '5', '1', '≈', '60', 's', '1', '0']
    assert 'b (0.5)' in text and 'teacher t' in text and 'prelude p' in text


def test_notes_about_the_plan(plan):
    Record(plan.folder / 'a').path.parent.mkdir()
    Record(plan.folder / 'a').update(digest='another')
    lines = plan_notes(plan, 2)
    assert "compared with 'a'" in lines[0] and "With the training compute of 'b': a (" in lines[1]
    assert lines[2].startswith('4 of 4 trainings are missing; about 2 min with 2 at a time')
    assert lines[3:] == ['a seed 0: a holds a training with other settings', 'a.py: nobody reads `x`']


def test_lines_of_a_log_file(plan, monkeypatch):
    console = Console(file=io.StringIO(), width=160)
    run = Run(plan.tasks, lambda task: task.folder == 't')
    with Display(plan, 2, console, line_seconds=0) as display:
        display.watch(run)
        run.states.update(a='running')
        log(plan.folder / 'a', dict(step=50, iter=50, loss=1))
        display.watch(run)
        time.sleep(0.01)
        display.watch(run)
        Record(plan.folder / 'a').update(tests={which: dict(metrics=dict(mIoU=31.236)) for which in ('best', 'last')})
        run.states.update(a='done', b='failed', p='blocked')
        run.errors.update(b='out of memory\nlong trace', p='it needs b')
        display.watch(run)
    lines = [line[9:] for line in console.file.getvalue().splitlines()]
    assert 'a seed 0: starts' in lines and lines.count('a seed 0: starts') == 1
    assert '    a seed 0: training, 50%, about 60 s left' in lines
    assert 'a seed 0: done, mIoU 31.24 best, 31.24 last' in lines
    assert 'b 0.5 seed 0: failed: out of memory' in lines and 'prelude p: cannot start: it needs b' in lines
    assert not any(line.startswith('teacher t') for line in lines)
    assert any(line.startswith('1 done, 1 running, 2 waiting; about 60 s left') for line in lines)


def test_a_terminal_shows_what_runs_and_what_failed(plan):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    run = Run(plan.tasks, lambda task: False)
    run.states.update(t='running', a='failed')
    run.errors['a'] = 'out of memory'
    with Display(plan, 1, console) as display:
        display.watch(run)
    text = console.file.getvalue()
    assert 'teacher t' in text and 'starting, 0%' in text and 'out of memory' in text and '1 failed' in text


def test_a_folder_without_a_log(tmp_path):
    assert progress.last_line(tmp_path) is None
