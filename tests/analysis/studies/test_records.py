import json

import pytest

from skd_mm.analysis.studies.compute import Compute
from skd_mm.analysis.studies.plan import Plan
from skd_mm.analysis.studies.records import Record, archive, changed, collect, comparable, is_done, resources
from skd_mm.analysis.studies.study import Method, Study

COST = Compute(1, 2, 'epochs', 12, 6, 100, 50)


@pytest.fixture
def plan(tmp_path, task):
    study = Study('toy', (Method('a', 'a.py', {'x': 1}), ), (0, ), 'mIoU', 'a')
    return Plan(study, tmp_path, [task('p', 'prelude'), task('a', compute=COST), task('b', compute=COST)])


def finish(plan, name='a', **changes):
    (plan.folder / name).mkdir(exist_ok=True)
    record = Record(plan.folder / name)
    record.start('d')
    test = dict(report='r', metrics=dict(mIoU=3.0), per_class=dict(IoU=dict(cat=1.0)))
    piece = dict(seconds=2.0, cpu_seconds=1.5, peak_memory_mib=100, gpu=False)
    record.update(**dict(dict(status='done', tests=dict(best=test, last=test), pieces=[piece, dict(piece, gpu=True)]),
                         **changes))
    return record


def test_a_study_has_a_record_of_each_task(plan):
    finish(plan)
    finish(plan, 'b', status='failed', error='out of memory')
    found = json.loads(json.dumps(collect(plan)))
    prelude, one, other = found['records']
    assert (prelude['kind'], prelude['status'], other['status'], other['error']) == (
        'prelude', 'missing', 'failed', 'out of memory')
    assert (one['name'], one['seed'], one['digest'], one['status']) == ('a', 0, 'd', 'done')
    assert one['metrics']['best'] == dict(mIoU=3.0) and one['per_class']['last'] == dict(IoU=dict(cat=1.0))
    assert one['compute']['iterations'] == 6 and one['resources']['starts'] == 2
    assert {'torch', 'mmengine', 'python', 'device', 'threads'} <= one['versions'].keys()
    assert found['methods'] == [dict(name='a', config='a.py', options=dict(x=1))]
    assert str(plan.folder) not in json.dumps(found)


def test_resources_of_all_starts_are_added_up(plan):
    used = resources(finish(plan, peak_gpu_memory_mib=700).values)
    assert used == dict(seconds=4.0, cpu_seconds=3.0, gpu_seconds=4.0, peak_memory_mib=100, peak_gpu_memory_mib=700,
                        starts=2)


def test_executions_differ_in_what_is_measured_alone(plan):
    finish(plan)
    before = collect(plan)
    record = Record(plan.folder / 'a')
    record.update(pieces=[], commit='x', versions={})
    after = collect(plan)
    assert before != after and comparable(before) == comparable(after)
    record['tests']['last']['metrics']['mIoU'] = 3.5
    record.update()
    assert comparable(collect(plan)) != comparable(before)


def test_a_record_of_other_settings_is_none_of_the_study(plan):
    finish(plan)
    plan.tasks[1].digest = 'other'
    assert not is_done(plan.folder, plan.tasks[1]) and changed(plan.folder, plan.tasks[1])
    assert 'metrics' not in collect(plan)['records'][1]
    finish(plan, status='failed', error='out of memory')
    assert collect(plan)['records'][1]['status'] == 'missing'
    assert not changed(plan.folder, plan.tasks[2])


@pytest.mark.parametrize('changes', [
    dict(status='started'), dict(tests={}), dict(tests=dict(best=dict(report='r'), last=dict(report='old')))])
def test_a_task_is_done_when_it_is_trained_and_tested(plan, changes):
    assert not is_done(plan.folder, plan.tasks[1])
    finish(plan)
    assert is_done(plan.folder, plan.tasks[1])
    finish(plan, **changes)
    assert not is_done(plan.folder, plan.tasks[1])


def test_a_damaged_record_is_an_empty_one(plan):
    finish(plan).path.write_text('{"digest": ')
    assert Record(plan.folder / 'a').values == {}


def test_folders_are_moved_to_the_first_free_name(tmp_path):
    for name in ('a', 'a.1'):
        (tmp_path / name).mkdir()
    assert archive(tmp_path / 'a') == tmp_path / 'a.2' and not (tmp_path / 'a').exists()
