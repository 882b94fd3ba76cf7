import json
import shutil

import pytest

from skd_mm.analysis.report.costs import find_latencies
from skd_mm.analysis.report.sources import find_sources


def test_a_folder_of_runs(runs):
    sources = find_sources([str(runs)])
    assert [(run.method, run.is_teacher) for run in sources.runs] == [
        ('teacher', True), ('baseline', False), ('stagewise', False)]
    assert not sources.notes
    for run in sources.runs:
        assert run.checkpoint.is_file() and run.checkpoint.name.startswith('best_')
        assert run.log.name == run.method and run.seed == 0 and run.cfg.model.type == 'skd_mm.Distiller'


def test_runs_by_name_are_seeds_of_a_method(runs, tmp_path):
    other = shutil.copytree(runs / 'baseline', tmp_path / 'again')
    text = (other / 'toy.py').read_text()
    assert 'seed=0' in text
    (other / 'toy.py').write_text(text.replace('seed=0', 'seed=1'))
    sources = find_sources([f'plain={runs / "baseline"}', f'plain={other}'])
    assert [(run.method, run.seed) for run in sources.runs] == [('plain', 0), ('plain', 1)]
    same = find_sources([f'plain={runs / "baseline"}', f'plain={runs / "stagewise"}'])
    assert [run.method for run in same.runs if not run.is_teacher] == ['plain #1', 'plain #2']


def test_the_teacher_of_the_config_is_added(runs):
    teacher, student = find_sources([str(runs / 'stagewise')]).runs
    assert teacher.is_teacher and teacher.work_dir is None and teacher.method == 'teacher'
    assert teacher.checkpoint.parent == (runs / 'teacher').resolve()
    assert teacher.cfg.model.backbone.width == 8 and 'schedule' not in teacher.cfg
    assert not student.is_teacher


@pytest.fixture
def study(runs, tmp_path):
    """A study's work directory with a teacher, two seeds of a method, and one that was archived."""
    folder, records = tmp_path / 'study', []
    tasks = [('teachers/t', 'teacher', 'T', None, 'teacher', 'd0'),
             ('runs/skd/seed-0', 'run', 'SKD', 1.0, 'stagewise', 'd1'),
             ('runs/skd/seed-1', 'run', 'SKD', 1.0, 'stagewise', 'd2'),
             ('runs/skd/seed-0.1', 'run', 'SKD', 1.0, 'baseline', 'old')]
    for number, (path, kind, name, fraction, source, digest) in enumerate(tasks):
        shutil.copytree(runs / source, folder / path / 'train')
        task = dict(kind=kind, name=name, title=f'{name} {number}', seed=number, fraction=fraction, digest=digest)
        (folder / path / 'task.json').write_text(json.dumps(task))
        if digest != 'd2':
            tests = dict(best=dict(metrics=dict(mIoU=50. + number)))
            (folder / path / 'record.json').write_text(json.dumps(dict(tests=tests)))
        if digest != 'old':
            records.append(dict(digest=digest))
    (folder / 'study.json').write_text(json.dumps(dict(study=dict(title='A study', metric='mIoU'), records=records)))
    return folder


def test_a_study(study):
    sources = find_sources([str(study)])
    assert [(run.method, run.seed, run.is_teacher, run.metrics) for run in sources.runs] == [
        ('T', 0, True, dict(mIoU=50.)), ('SKD', 1, False, dict(mIoU=51.)), ('SKD', 2, False, {})]
    assert sources.notes == ['SKD 2 has not been tested.']
    assert sources.studies[0]['study']['title'] == 'A study'
    assert [run.seed for run in sources.representatives()] == [0, 1]


def test_a_study_that_has_just_begun(study):
    (study / 'study.json').unlink()
    sources = find_sources([str(study)])
    assert len(sources.runs) == 4 and 'no study.json yet' in sources.notes[0]


def test_latencies_of_deployed_students(runs, tmp_path):
    times = [dict(threads=2, median=3.), dict(threads=1, median=8.)]
    files = [dict(format='pytorch', latency=[dict(threads=1, median=99.)]), dict(format='onnx', latency=times)]
    values = dict(checkpoint=str(runs / 'stagewise' / 'best_x.pth'), files=files, input=[2, 3, 8, 8])
    (tmp_path / 'deploy.json').write_text(json.dumps(values))
    sources = find_sources([str(runs), str(tmp_path)])
    assert len(sources.runs) == 3 and sources.deployments == [tmp_path]
    assert find_latencies(sources.runs, sources.deployments) == dict(stagewise=4.)
    inside = shutil.copytree(runs / 'baseline', tmp_path / 'baseline')
    (inside / 'onnx').mkdir()
    (inside / 'onnx' / 'deploy.json').write_text(json.dumps(values))
    assert find_latencies(find_sources([str(inside)]).runs) == dict(baseline=4.)
    (inside / 'onnx' / 'deploy.json').write_text('{}')
    assert find_latencies(find_sources([str(inside)]).runs) == {}


def test_bad_folders(runs, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*stagewis'; did you mean 'stagewise'"):
        find_sources([str(runs / 'stagewis')])
    with pytest.raises(ValueError, match=r'has neither a run .* nor a study'):
        find_sources([str(tmp_path)])


def test_an_unfinished_run_is_kept_without_a_checkpoint(runs, tmp_path):
    other = shutil.copytree(runs / 'baseline', tmp_path / 'cut')
    (other / 'last_checkpoint').unlink()
    sources = find_sources([str(other)])
    assert sources.runs[0].checkpoint is None and sources.notes == [f'cut: no checkpoint in {other}']
