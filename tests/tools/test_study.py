"""tools/study.py and tools/analysis_tools/study_tables.py, the first with real trainings as well."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from mmengine.config import Config

from skd_mm.analysis.studies.records import Record, comparable
from tests.helpers import config, network

SPOTS = ['backbone.layers.0', 'backbone.layers.1']


@pytest.fixture
def study(tmp_path):
    """Writes a study of two methods and two seeds on toy data; the arguments change it."""
    def write(name, cfg):
        Config({key: value for key, value in cfg.items() if key != 'work_dir'}).dump(tmp_path / name)
        return str(tmp_path / name)

    skd = config(tmp_path, images=24, custom_imports=dict(imports=['tests.helpers']), model=dict(
        type='skd_mm.Distiller', student=network(), teacher=network(), spots=SPOTS)).to_dict()
    skd.update(test_dataloader=skd['val_dataloader'], test_evaluator=skd['val_evaluator'],
               test_cfg=dict(type='TestLoop'))
    skd['train_dataloader']['dataset']['pipeline'] = [
        dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]
    none = dict(skd, model=dict(type='skd_mm.Distiller', student=network()),
                schedule=dict(type='NoTeacher', phase_epochs=2, val_interval=2))

    def make(**changes):
        methods = [dict(name='no teacher', cfg=write('none.py', none)),
                   dict(name='SKD', cfg=write('skd.py', skd), epochs=10)]
        values = dict(seeds=[0, 1], metric='mIoU', equal_compute='SKD', fractions=[0.5], methods=methods)
        values.update(changes)
        (tmp_path / 'toy.py').write_text(f'study = {values!r}')
        return tmp_path / 'toy.py'

    return make


def test_a_dry_run_prints_the_plan_and_writes_nothing(study, run_tool, tmp_path, capsys):
    file = study()
    before = sorted(tmp_path.rglob('*'))
    run_tool('study.py', file, '--work-dir', tmp_path / 'work', '--dry-run')
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith(('  no', '  SKD'))}
    # 12 of 24 images, batches of 4.
    assert rows['SKD'][1:7] == ['(0.5)', '12', '3', '×', '10', 'epochs'] and rows['SKD'][7] == '90'
    assert rows['no'][2:4] == ['(0.5)', '12'] and '≈' in rows['no'] and rows['no'][-2:] == ['2', '0']
    assert '4 of 4 trainings are missing' in text
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(('changes', 'words'), [
    (dict(seeds=[]), 'study: .*toy.py: study.seeds must be a list'),
    (dict(metric='mIuo'), "study: toy: 2 errors\n.*did you mean 'mIoU'")])
def test_a_wrong_study_is_one_error(study, run_tool, tmp_path, changes, words):
    with pytest.raises(SystemExit, match=words):
        run_tool('study.py', study(**changes), '--work-dir', tmp_path / 'work')
    assert not (tmp_path / 'work').exists()


def test_settings_that_have_changed_are_not_mixed(study, run_tool, tmp_path, capsys, monkeypatch):
    file, work = study(), tmp_path / 'work'
    folder = work / 'runs/skd/fraction-0.5/seed-1'
    folder.mkdir(parents=True)
    Record(folder).start('another')
    with pytest.raises(SystemExit, match=r'1 trainings in .* were made with other settings: SKD 0.5 seed 1. .*--rerun'):
        run_tool('study.py', file, '--work-dir', work)
    monkeypatch.setattr('skd_mm.analysis.studies.running.carry_out', lambda *args: None)
    run_tool('study.py', file, '--work-dir', work, '--rerun-changed')
    assert (folder.with_name('seed-1.1') / 'record.json').is_file()
    assert json.loads((work / 'study.json').read_text())['records'][3]['status'] == 'missing'
    assert (work / 'tables.md').read_text().startswith('# toy\n')


def test_two_processes_do_not_run_one_study(study, run_tool, tmp_path):
    (tmp_path / 'work').mkdir()
    with FileLock(tmp_path / 'work/.lock'), pytest.raises(SystemExit, match='another process runs the study in'):
        run_tool('study.py', study(), '--work-dir', tmp_path / 'work')


def test_sigterm_stops_a_study(study, run_tool, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)

    def carry_out(folder, environment, stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(20)

    monkeypatch.setattr('skd_mm.analysis.studies.running.carry_out', carry_out)
    with pytest.raises(SystemExit, match='stopped; the same command resumes the study'):
        run_tool('study.py', study(), '--work-dir', tmp_path / 'work')
    assert signal.getsignal(signal.SIGTERM) is before


def test_failed_trainings_are_reported_at_the_end(study, run_tool, tmp_path, monkeypatch):
    from skd_mm.analysis.studies.execution import TaskError

    def carry_out(folder, *args):
        if 'skd' in str(folder):
            raise TaskError('out of memory\ntrace')

    monkeypatch.setattr('skd_mm.analysis.studies.running.carry_out', carry_out)
    with pytest.raises(SystemExit) as end:
        run_tool('study.py', study(), '--work-dir', tmp_path / 'work')
    assert '2 of 4 trainings failed:\nSKD 0.5 seed 0: out of memory' in str(end.value)


@contextmanager
def command(file, work):
    """The study as a process of its own; nothing of it is left behind."""
    root = Path(__file__).resolve().parents[2]
    environment = dict(os.environ, PYTHONPATH=str(root), OMP_NUM_THREADS='1')
    parts = [sys.executable, 'tools/study.py', file, '--work-dir', work, '--jobs', '2']
    child = subprocess.Popen(parts, cwd=root, env=environment, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


@pytest.mark.slow
def test_a_study_that_is_killed_and_started_again_has_the_same_results(study, run_tool, tmp_path):
    work = tmp_path / 'work'
    log = work / 'runs/skd/fraction-0.5/seed-0/train'
    # All of it is killed in the middle of a training: the study, its trainings and their loaders.
    with command(study(seeds=[0]), work) as child:
        while not list(log.glob('iter_*.pth')):
            assert child.poll() is None, child.stdout.read()
            time.sleep(0.05)
    assert not Record(log.parent).get('trained')
    with command(tmp_path / 'toy.py', work) as again:
        text, _ = again.communicate(timeout=900)
        assert again.returncode == 0, text
    found = json.loads((work / 'study.json').read_text())
    assert [record['status'] for record in found['records']] == ['done'] * 2
    assert max(record['resources']['starts'] for record in found['records']) == 2
    # The interrupted training, without an interruption: the tools are called as the study calls them.
    folder = log.parent
    run_tool('train.py', folder / 'config.py', '--work-dir', tmp_path / 'whole', '--seed', 0)
    for which, pattern in (('best', 'best_mIoU_*.pth'), ('last', 'iter_*.pth')):
        run_tool('test.py', folder / 'config.py', tmp_path / 'whole' / pattern, '--work-dir', tmp_path / which)
        values = json.loads(next((tmp_path / which).glob('*/*.json')).read_text())
        record = next(record for record in found['records'] if record['name'] == 'SKD')
        assert record['metrics'][which]['mIoU'] == pytest.approx(values['mIoU'], abs=1e-4)
    # A study that is complete trains nothing and writes the same.
    run_tool('study.py', tmp_path / 'toy.py', '--work-dir', work)
    assert comparable(json.loads((work / 'study.json').read_text())) == comparable(found)
    assert '| SKD | 1 |' in (work / 'tables.md').read_text()


def test_tables_of_a_json_file_and_of_pages(run_tool, tmp_path, capsys, monkeypatch):
    head = dict(name='x', title='X', metric='mIoU', split='test', seeds=[0], fractions=[None], baseline='a',
                reference=None, matched=[])
    (tmp_path / 'x.json').write_text(json.dumps(dict(study=head, methods=[], records=[])))
    run_tool('analysis_tools/study_tables.py', tmp_path / 'x.json')
    assert capsys.readouterr().out.startswith('| method |')
    page = tmp_path / 'page.md'
    page.write_text(f'<!-- study {tmp_path}/x.json: summary -->\n<!-- end study -->\n')
    with pytest.raises(SystemExit, match='the tables differ from the JSON files'):
        run_tool('analysis_tools/study_tables.py', page, '--check')
    run_tool('analysis_tools/study_tables.py', page)
    assert '| method |' in page.read_text()
    run_tool('analysis_tools/study_tables.py', page, '--check')
    page.write_text('<!-- study nowhere.json: -->\n<!-- end study -->\n')
    with pytest.raises(SystemExit, match=r"page.md: there is no file 'nowhere.json'"):
        run_tool('analysis_tools/study_tables.py', page)
