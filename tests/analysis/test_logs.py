import json
import math

import pytest

from skd_mm.analysis.logs import find_logs, read_run, read_runs


def write(file, *lines, end='\n'):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('\n'.join(line if isinstance(line, str) else json.dumps(line) for line in lines) + end)
    return file


def train(step, phase=None, time=0.5, **values):
    return dict(dict(lr=0.1, time=time, loss=1 / step, iter=step, step=step, **values),
                **({} if phase is None else dict(phase=phase)))


def val(step, phase=None, **values):
    return dict(dict(values, data_time=9, time=9, step=step), **({} if phase is None else dict(phase=phase)))


def log(work_dir, time='20260101_000000'):
    return work_dir / time / 'vis_data' / 'scalars.json'


def positions(run, key='loss', mode='train'):
    return [position for span in run.spans() for position, _ in span.series(key, mode)]


def test_phases_are_spans_of_the_runs_iterations(tmp_path):
    write(log(tmp_path / 'skd'), train(10, 'stem'), val(15, 'stem', spot_loss=3.), train(20, 'head'),
          val(25, 'head', mIoU=30.))
    run = read_run(tmp_path / 'skd')
    assert run.name == 'skd'
    assert [(span.name, span.start, span.end) for span in run.spans()] == [('stem', 0, 15), ('head', 15, 25)]
    assert [span.series('mIoU', 'val') for span in run.spans()] == [[], [(25, 30.)]]
    assert 'mIoU' in run.logged() and 'phase' not in run.logged()


def test_the_numbers_of_a_phase(tmp_path):
    write(log(tmp_path / 'skd'),
          train(10, 'stem'), train(14, 'stem', time=1.0),
          val(20, 'stem', spot_loss=math.nan, **{'spots.stem.loss': 5.}), val(24, 'stem', spot_loss=.1),
          val(26, 'stem', spot_loss=.3),
          train(30, 'head'), val(40, 'head', mIoU=30., aAcc=3.), val(50, 'head', mIoU=20., aAcc=4.))
    stem, head = read_run(tmp_path / 'skd').summary()
    assert (stem['phase'], stem['iterations'], stem['seconds']) == ('stem', 26, 10 * 0.5 + 4 * 1.0)
    assert stem['metrics']['loss'] == dict(last=1 / 14, best=1 / 14, at=14)
    assert stem['metrics']['spot_loss'] == dict(last=.3, best=.1, at=24)
    assert list(stem['metrics']) == ['loss', 'spot_loss']
    assert head['iterations'] == 24 and head['seconds'] == 4 * 0.5
    assert head['metrics']['mIoU'] == dict(last=20., best=30., at=40)
    assert head['metrics']['aAcc'] == dict(last=4., best=4., at=50)
    asked = read_run(tmp_path / 'skd').summary(['spots.stem.loss', 'lr'])[0]['metrics']
    assert asked['spots.stem.loss']['last'] == 5. and asked['lr']['last'] == 0.1


def test_a_resumed_run_is_one_run(tmp_path):
    write(log(tmp_path, '20260102_000000'), val(20, mIoU=7.), train(30), train(40))
    write(log(tmp_path, '20260101_000000'), train(10), train(20), val(20, mIoU=1.), train(25),
          '{"lr": 0.1, "tim', end='')
    run = read_run(tmp_path)
    assert positions(run) == [10, 30, 40]
    assert run.spans()[0].series('mIoU', 'val') == [(20, 7.)]
    assert [file.parts[-3] for file in find_logs(tmp_path)] == ['20260101_000000', '20260102_000000']
    assert positions(read_run(tmp_path / '20260101_000000')) == [10, 20, 25]
    assert positions(read_run(log(tmp_path, '20260102_000000'))) == [30, 40]


def test_validations_counted_in_epochs_stand_where_training_stood(tmp_path):
    write(log(tmp_path), train(50, epoch=1), val(1, mIoU=1.), train(100, epoch=2), val(2, mIoU=2.))
    write(log(tmp_path, '20260102_000000'), train(150, epoch=3), val(3, mIoU=3.))
    assert positions(read_run(tmp_path), 'mIoU', 'val') == [50, 100, 150]


def test_runs_of_one_name_are_told_apart(tmp_path):
    for folder in ('one/x', 'two/x', 'y'):
        write(log(tmp_path / folder), train(1))
    names = [run.name for run in read_runs([tmp_path / 'one' / 'x', tmp_path / 'two' / 'x', log(tmp_path / 'y')])]
    assert names == [str(tmp_path / 'one' / 'x'), str(tmp_path / 'two' / 'x'), 'y']


@pytest.mark.parametrize('line', ['not json', '[1]', '{"loss": 1}', '{"step": "x"}'])
def test_a_file_that_is_no_log(tmp_path, line):
    file = write(tmp_path / 'log.json', train(1), line, train(2))
    with pytest.raises(ValueError, match=r'log.json, line 2 is not one of a training log'):
        read_run(file)


def test_nothing_logged_and_nothing_there(tmp_path):
    with pytest.raises(ValueError, match='nothing was logged'):
        read_run(write(tmp_path / 'empty.json'))
    with pytest.raises(FileNotFoundError, match=r"did you mean 'empty.json'"):
        read_run(tmp_path / 'empti.json')
    with pytest.raises(FileNotFoundError, match='has no log'):
        read_run(tmp_path)
