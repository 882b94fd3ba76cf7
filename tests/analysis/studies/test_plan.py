import pytest
from mmengine.config import Config

from skd_mm.analysis.studies import StudyError, timing
from skd_mm.analysis.studies.plan import Task, _Planner, make_plan, plan_rows


def planned(toy, estimate=lambda folder: False, **changes):
    return make_plan(toy.read(**changes), toy.folder / 'study', estimate)


def test_runs_come_seed_after_seed_and_share_their_teacher(toy):
    plan = planned(toy, equal_compute='SKD')
    assert [task.folder for task in plan.tasks] == [
        'teachers/big', 'runs/none/seed-0', 'runs/skd/seed-0', 'runs/none/seed-1', 'runs/skd/seed-1']
    assert [task.needs for task in plan.tasks] == [[], [], ['teachers/big'], [], ['teachers/big']]
    assert plan.tasks[2].cfg.model.teacher.checkpoint == str(toy.folder / 'study/teachers/big/train/epoch_*.pth')
    assert len({task.digest for task in plan.tasks}) == 5
    assert plan.tasks[1].cfg.schedule.phase_epochs == plan.tasks[1].compute.length != 4
    assert plan.tasks[4].cfg.schedule.fraction_seed == 1
    assert plan.tasks[0].title == 'teacher big' and plan.tasks[4].title == 'SKD seed 1'


def test_each_fraction_has_its_own_lengths(toy):
    plan = planned(toy, fractions=[0.5, 1.0], seeds=[3], equal_compute='SKD')
    runs = plan.tasks[1:]
    assert [task.folder for task in runs] == [
        'runs/none/fraction-0.5/seed-3', 'runs/skd/fraction-0.5/seed-3', 'runs/none/fraction-1/seed-3',
        'runs/skd/fraction-1/seed-3']
    assert [task.cfg.schedule.fraction for task in runs] == [0.5, 0.5, 1.0, 1.0]
    # A quarter of the 12 images would do for one batch, and half of them too.
    assert runs[0].compute.flops * 3 == pytest.approx(runs[2].compute.flops, rel=0.1)
    assert runs[0].title == 'none 0.5 seed 3'


def test_a_change_of_the_teacher_changes_its_students_alone(toy):
    before = planned(toy)
    cfg = str(toy.folder / 'teacher.py')
    after = planned(toy, teachers=[dict(name='big', cfg=cfg, seed=1)])
    same = [one.digest == other.digest for one, other in zip(before.tasks, after.tasks, strict=True)]
    assert same == [False, True, False, True, False]


def test_a_teacher_that_exists_is_not_trained(toy):
    weights = toy.folder / 'weights.pth'
    weights.touch()
    plan = planned(toy, teachers=[dict(name='big', cfg=str(toy.folder / 'teacher.py'), checkpoint=str(weights))])
    assert [task.kind for task in plan.tasks] == ['run'] * 4
    assert plan.tasks[1].cfg.model.teacher.checkpoint == str(weights) and not plan.tasks[1].needs


def test_teachers_and_students_use_earlier_networks_of_the_study(toy):
    cfg = Config.fromfile(toy.folder / 'none.py')
    cfg.model.student = dict(cfg=str(toy.folder / 'skd.py'), checkpoint='work_dirs/nowhere/best_*.pth')
    cfg.dump(toy.folder / 'tuned.py')
    big, skd = (dict(name=name, cfg=str(toy.folder / f'{name}.py')) for name in ('teacher', 'skd'))
    changes = dict(methods=[toy.method('tuned', 'tuned')], seeds=[0])
    plan = planned(toy, teachers=[big, skd], **changes)
    assert [task.needs for task in plan.tasks] == [[], ['teachers/teacher'], ['teachers/skd']]
    weights = [task.cfg.model.get('teacher', task.cfg.model.get('student'))['checkpoint'] for task in plan.tasks[1:]]
    assert weights == [str(toy.folder / 'study/teachers' / path) for path in (
        'teacher/train/epoch_*.pth', 'skd/train/best_*.pth')]
    # Another first teacher changes all that follows, another folder nothing.
    other = planned(toy, teachers=[dict(big, seed=1), skd], **changes)
    assert not {task.digest for task in plan.tasks} & {task.digest for task in other.tasks}
    moved = make_plan(toy.read(teachers=[big, skd], **changes), toy.folder / 'elsewhere', lambda folder: False)
    assert [task.digest for task in moved.tasks] == [task.digest for task in plan.tasks]
    with pytest.raises(StudyError, match="teacher skd needs the teacher 'teacher', which must come before it"):
        planned(toy, teachers=[skd, big], **changes)


def test_preludes_are_shared_and_those_in_one_folder_take_turns(toy):
    planner = _Planner(toy.read(teachers=[]), toy.folder / 'study', lambda folder: False)
    runs = []
    for rows, options in ((2, {}), (2, {}), (3, {}), (2, {'train_cfg.max_epochs': 2})):
        cfg = Config.fromfile(toy.folder / 'skd.py')
        cfg.prelude = dict(cfg=str(toy.folder / 'teacher.py'), options=options)
        cfg.model.teacher = dict(type='skd_mm.TargetBank', num_classes=3, rows=rows, checkpoint='prelude/bank.pth')
        runs.append(Task('run', 'x', 'x', cfg, 0))
        planner.share(runs[-1], planner.study.methods[1], {})
    tasks = [task for tasks in planner.preludes.values() for task in tasks]
    assert [task.folder for task in tasks] == ['preludes/task-1', 'preludes/task-2', 'preludes/task-3']
    assert [task.needs for task in tasks] == [[], ['preludes/task-1'], []]
    assert [task.cfg.model.teacher.rows for task in tasks] == [2, 3, 2]
    assert [task.needs for task in runs] == [['preludes/task-1'], ['preludes/task-1'], ['preludes/task-2'],
                                             ['preludes/task-3']]
    assert runs[0].cfg.prelude.dir == str(toy.folder / 'study/preludes')


def test_nothing_is_written(toy):
    planned(toy)
    assert not (toy.folder / 'study').exists()


def test_time_is_estimated_where_it_is_asked_for(toy, monkeypatch):
    monkeypatch.setattr(timing, '_median_seconds', lambda step, device: step() or 0.5)
    plan = planned(toy, lambda folder: 'none' not in folder, options={'schedule.cache': 1})
    seconds = {(task.name, task.seed): task.seconds for task in plan.tasks}
    # The teacher: 3 epochs of 3 iterations; a validation after each, of 2 batches.
    assert seconds['big', 0] == pytest.approx(9 * .5 + 3 * 2 * .5)
    assert seconds['none', 0] is None
    # 12 iterations in each of 3 phases, of which a cache spares a part, and 2 validations.
    assert 3 * 2 * 2 * .5 < seconds['SKD', 1] < 36 * .5 + 3 * 2 * 2 * .5
    assert seconds['SKD', 0] == seconds['SKD', 1]


def test_rows_add_up_runs(toy):
    plan = planned(toy)
    plan.tasks[2].seconds = 4.0
    rows = plan_rows(plan, lambda task: task.seed == 1)
    assert [(row['kind'], row['name'], row['runs'], row['done'], row['seconds']) for row in rows] == [
        ('teacher', 'big', 1, 0, None), ('run', 'none', 2, 1, None), ('run', 'SKD', 2, 1, 4.0)]


def test_all_errors_are_reported_before_anything_runs(toy):
    missing = dict(_delete_=True, type='skd_mm.CamVidDataset', data_root='/no/such/folder', pipeline=[],
                   data_prefix=dict(img_path='train', seg_map_path='trainannot'))
    methods = [toy.method('none', 'none', options={'train_dataloader.dataset': missing}),
               toy.method('SKD', 'skd', options={'model.spots': ['conv9']}),
               toy.method('simultaneous', 'simultaneous', options={'schedule.fase_epochs': 3})]
    with pytest.raises(StudyError) as caught:
        planned(toy, methods=methods)
    text = str(caught.value)
    assert "method 'none': train_dataloader.dataset: " in text and '/no/such/folder' in text
    assert "method 'SKD': " in text and 'conv9' in text
    assert "method 'simultaneous': " in text and 'fase_epochs' in text


@pytest.mark.parametrize(('changes', 'words'), [
    (dict(metric='mIo'), "method 'none': study.metric='mIo'.*did you mean 'mIoU'"),
    (dict(teachers=[]), "method 'SKD': .*study.teachers="),
    (dict(options={'test_dataloader': None}), 'test_dataloader is missing'),
    (dict(fractions=[0.1]), "method 'none': 1 training images are fewer than one batch of 4"),
    (dict(equal_compute='SKD', options={'schedule.overrides': {'task_head': dict(epochs=1)}}, methods=None), 'own'),
])
def test_errors_that_only_a_model_or_data_shows(toy, changes, words):
    if 'methods' in changes:
        changes = dict(changes, methods=[toy.method('SKD', 'skd'), toy.method('other', 'skd')])
    with pytest.raises(StudyError, match=words):
        planned(toy, **changes)
