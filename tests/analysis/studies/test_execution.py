import json
import multiprocessing
import threading
import time

import pytest
import torch

from skd_mm.analysis.studies.execution import StoppedError, TaskError, carry_out
from skd_mm.analysis.studies.records import Record, resources


@pytest.fixture
def folder(tmp_path, tools):
    return make(tmp_path / 'task')


def make(folder, **changes):
    folder.mkdir(exist_ok=True)
    values = dict(kind='run', seed=3, digest='d', report='r', split='val', metric='score')
    (folder / 'task.json').write_text(json.dumps(dict(values, **changes)))
    return folder


def calls(folder):
    return (folder / 'calls').read_text().splitlines()


def test_a_task_is_trained_and_its_best_and_last_checkpoints_are_tested(folder):
    carry_out(folder)
    train, best, last = calls(folder)
    assert train == f'train --work-dir {folder}/train --seed 3'
    assert best == 'test best_score_phase00_a.pth --split val --per-class'
    assert last == 'test iter_5.pth --split val --per-class'
    record = Record(folder)
    assert record['status'] == 'done' and record['digest'] == 'd' and record['peak_gpu_memory_mib'] == 70
    assert record['tests']['best'] == dict(
        report='r', metrics=dict(score=1.2346), per_class=dict(class_score=dict(cat=1.0, dog=None)))
    assert record['tests']['last']['metrics'] == dict(score=1.0)
    used = resources(record.values)
    assert used['starts'] == 1 and record['pieces'][0]['cpu_seconds'] > 0 and used['peak_memory_mib'] > 1
    assert (folder / 'train.log').read_text() == 'training\n'


def test_a_task_that_is_done_is_not_repeated(folder):
    carry_out(folder)
    carry_out(folder)
    assert len(calls(folder)) == 3


def test_other_data_for_the_report_repeat_the_tests_alone(folder):
    carry_out(folder)
    carry_out(make(folder, report='other'))
    assert [line.split()[0] for line in calls(folder)] == ['train', 'test', 'test', 'test', 'test']
    assert Record(folder)['tests']['best']['report'] == 'other'


def test_other_settings_start_another_record(folder):
    carry_out(folder)
    carry_out(make(folder, digest='e'))
    assert [line.split()[0] for line in calls(folder)] == ['train', 'test', 'test'] * 2
    assert Record(folder)['digest'] == 'e'


def test_equal_checkpoints_are_tested_once(folder, tools):
    best = torch.load(tools / 'best_score_phase00_a.pth')
    last = torch.load(tools / 'iter_5.pth')
    torch.save(dict(best, state_dict=last['state_dict']), tools / 'best_score_phase00_a.pth')
    carry_out(folder)
    assert len(calls(folder)) == 2
    assert Record(folder)['tests']['last'] == Record(folder)['tests']['best']


def test_a_failure_is_recorded_and_the_next_start_resumes(folder):
    (folder / 'fail').touch()
    with pytest.raises(TaskError, match=r'^the GPU is on fire \(exit code 1; .*train.log\)'):
        carry_out(folder)
    record = Record(folder)
    assert record['status'] == 'failed' and record['error'].startswith('the GPU is on fire') and not record['trained']
    (folder / 'train').mkdir()
    (folder / 'train/last_checkpoint').touch()
    carry_out(folder)
    assert '--resume' in calls(folder)[1] and '--resume' not in calls(folder)[0]
    assert Record(folder)['status'] == 'done' and Record(folder)['error'] is None
    assert resources(Record(folder).values)['starts'] == 2


def test_a_metric_that_the_test_does_not_give(folder):
    with pytest.raises(TaskError, match=r"study.metric='scores' is not among .*\['score'\]; did you mean 'score'"):
        carry_out(make(folder, metric='scores'))


def test_a_prelude_is_trained_and_not_tested(folder):
    carry_out(make(folder, kind='prelude'))
    assert calls(folder) == [f'train --work-dir {folder}/train --prelude-only']


def test_a_task_that_is_stopped_can_be_resumed(folder):
    (folder / 'wait').touch()
    stop, errors = threading.Event(), []

    def work():
        try:
            carry_out(folder, stop=stop)
        except StoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: (folder / 'train/best_score_phase00_a.pth').is_file())
    stop.set()
    thread.join(10)
    assert len(errors) == 1 and Record(folder)['status'] == 'started'
    (folder / 'wait').unlink()
    carry_out(folder)
    assert '--resume' in calls(folder)[1]


def test_a_tool_that_ctrl_c_reaches_first_has_not_failed(folder, tools):
    (tools / 'train.py').write_text('import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); '
                                    'os.kill(os.getpid(), signal.SIGINT)')
    with pytest.raises(StoppedError):
        carry_out(folder)
    assert Record(folder)['status'] == 'started'


def test_a_second_process_waits_for_the_first(folder):
    (folder / 'wait').touch()
    threads = [threading.Thread(target=carry_out, args=(folder, )) for _ in range(2)]
    for thread in threads:
        thread.start()
        wait_for((folder / 'calls').is_file)
    time.sleep(0.5)
    assert len(calls(folder)) == 1
    (folder / 'wait').unlink()
    for thread in threads:
        thread.join(20)
    assert len(calls(folder)) == 3


def test_a_training_holds_the_lock_when_its_study_is_killed(folder):
    (folder / 'wait').touch()
    study = multiprocessing.get_context('fork').Process(target=carry_out, args=(folder, ))
    study.start()
    wait_for((folder / 'train/best_score_phase00_a.pth').is_file)
    study.kill()
    study.join()
    thread = threading.Thread(target=carry_out, args=(folder, ))
    thread.start()
    time.sleep(1)
    assert len(calls(folder)) == 1
    (folder / 'wait').unlink()
    thread.join(20)
    assert ['--resume' in line for line in calls(folder)] == [False, True, False, False]


def test_whoever_waits_for_a_lock_can_be_stopped(folder):
    import fcntl
    stop = threading.Event()
    stop.set()
    with open(folder / '.lock', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoppedError):
            carry_out(folder, stop=stop)


def test_variables_of_the_environment_reach_the_tools(folder, tools):
    (tools / 'train.py').write_text('import os, sys; sys.exit(os.environ["X"] + os.environ["OMP_NUM_THREADS"])')
    with pytest.raises(TaskError, match=r'^y1 '):
        carry_out(folder, dict(X='y', OMP_NUM_THREADS='1'))


def wait_for(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError('it never came')
