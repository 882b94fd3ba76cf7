import threading
from types import SimpleNamespace

import pytest

from skd_mm.analysis.studies import running
from skd_mm.analysis.studies.execution import TaskError
from skd_mm.analysis.studies.plan import Plan
from skd_mm.analysis.studies.records import Record
from skd_mm.analysis.studies.running import run_plan


class FakeExecutor:
    """Tasks end when they are let; some fail."""

    def __init__(self, fail=(), gates=None):
        self.fail, self.gates = fail, gates or {}
        self.calls, self.stopped = [], False

    def carry_out(self, task):
        self.calls.append(task.folder)
        if task.folder in self.gates:
            assert self.gates[task.folder].wait(10)
        if task.folder in self.fail:
            raise self.fail[task.folder]

    def stop(self):
        self.stopped = True
        for gate in self.gates.values():
            gate.set()


def make_plan(tmp_path, *tasks):
    return Plan(SimpleNamespace(name='x'), tmp_path, list(tasks))


def states(run):
    return {folder: run.states[folder] for folder in run.states}


def test_a_task_that_fails_ends_no_other_but_those_that_need_it(tmp_path, task):
    plan = make_plan(tmp_path, task('t'), task('u'), task('a', needs=['t']), task('b', needs=['u']), task('c'),
                     task('d', needs=['a']))
    executor, done = FakeExecutor(fail=dict(t=TaskError('out of memory'), c=KeyError('x'))), []
    run = run_plan(plan, executor, 2, lambda run: None, lambda task: done.append(task.folder), interval=0.01)
    assert states(run) == dict(t='failed', u='done', a='blocked', b='done', c='failed', d='blocked')
    assert run.errors == dict(t='out of memory', a='it needs t seed 0, which failed', c="KeyError: 'x'",
                              d='it needs a seed 0, which failed')
    assert sorted(executor.calls) == ['b', 'c', 't', 'u'] == sorted(done)


def test_a_task_starts_when_all_it_needs_is_done_and_a_job_is_free(tmp_path, task):
    gates = {name: threading.Event() for name in 'ab'}
    plan = make_plan(tmp_path, task('a'), task('b'), task('c'), task('d', needs=['a', 'b']))
    executor, seen = FakeExecutor(gates=gates), []

    def watch(run):
        assert len(run.in_state('running')) <= 2
        seen.append(tuple(sorted(executor.calls)))
        if len(executor.calls) == 2:
            gates['a'].set()
        if 'c' in executor.calls and run.states['c'] == 'done':
            assert gates['b'].is_set() or run.states['d'] == 'waiting'
            gates['b'].set()

    run = run_plan(plan, executor, 2, watch, interval=0.01)
    assert set(states(run).values()) == {'done'} and executor.calls[-1] == 'd' and ('a', 'b') in seen


def test_what_is_done_is_not_repeated(tmp_path, task):
    plan = make_plan(tmp_path, task('a'), task('b'), task('p', kind='prelude'))
    for name, values in dict(a=dict(tests={which: dict(report='r') for which in ('best', 'last')}),
                             b=dict(tests=dict(best=dict(report='r'), last=dict(report='other'))), p={}).items():
        (tmp_path / name).mkdir()
        Record(tmp_path / name).update(digest='d', status='done', **values)
    executor = FakeExecutor()
    run_plan(plan, executor, 1, lambda run: None, interval=0.01)
    assert executor.calls == ['b']


def test_an_interrupt_stops_the_executor(tmp_path, task):
    executor = FakeExecutor(gates=dict(a=threading.Event()))

    def watch(run):
        if executor.calls:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(make_plan(tmp_path, task('a')), executor, 1, watch, interval=0.01)
    assert executor.stopped


def test_tasks_on_several_gpus_get_one_each(tmp_path, task, monkeypatch):
    found = []
    monkeypatch.setattr(running, 'visible_devices', lambda: ['4', '7'])
    monkeypatch.setattr(running, 'write_task', lambda plan, task: None)
    both = threading.Barrier(2, timeout=10)

    def carry_out(folder, environment, stop):
        found.append(environment['CUDA_VISIBLE_DEVICES'])
        both.wait()

    monkeypatch.setattr(running, 'carry_out', carry_out)
    plan = make_plan(tmp_path, task('a'), task('b'), task('c'), task('d'))
    executor = running.LocalExecutor(plan, 2)
    run = run_plan(plan, executor, 2, lambda run: None, interval=0.01)
    assert sorted(found) == ['4', '4', '7', '7'] and set(run.states.values()) == {'done'}


@pytest.mark.parametrize(('count', 'variable', 'devices'), [
    (0, None, []), (1, None, []), (2, None, ['0', '1']), (2, '3,5', ['3', '5'])])
def test_visible_devices(monkeypatch, count, variable, devices):
    monkeypatch.setattr('torch.cuda.is_available', lambda: count > 0)
    monkeypatch.setattr('torch.cuda.device_count', lambda: count)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if variable:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', variable)
    assert running.visible_devices() == devices
