import pytest
from mmengine.config import Config

from skd_mm.analysis.studies import StudyError, configs


def digest(toy, method='SKD', seed=0, teacher=None, **changes):
    study = toy.read(**changes)
    return configs.training_digest(configs.method_config(study, study.method(method), None, seed), seed,
                                   teacher and dict(teacher=teacher))


def test_options_are_applied_from_the_general_to_the_special(toy):
    key = 'train_dataloader.batch_size'
    methods = [toy.method('none', 'none'), toy.method('SKD', 'skd', options={key: 3})]
    study = toy.read(data={key: 1, 'val_dataloader.batch_size': 1}, options={key: 2}, methods=methods)
    none, skd = (configs.method_config(study, method, 0.5, 7) for method in study.methods)
    assert (none.train_dataloader.batch_size, skd.train_dataloader.batch_size) == (2, 3)
    assert (none.val_dataloader.batch_size, none.schedule.fraction, none.schedule.fraction_seed) == (1, 0.5, 7)
    teacher = configs.teacher_config(study, study.teachers[0])
    assert (teacher.train_dataloader.batch_size, teacher.val_dataloader.batch_size) == (1, 1)


def test_one_selection_of_images_for_all_seeds(toy):
    study = toy.read(fraction_seed=3)
    assert configs.method_config(study, study.methods[0], 0.5, 7).schedule.fraction_seed == 3


def test_an_option_that_cannot_be_set(toy):
    study = toy.read(options={'schedule.phase_epochs.x': 1})
    with pytest.raises(StudyError, match=r"method 'none': the option schedule.phase_epochs.x=1: it cannot be set"):
        configs.method_config(study, study.methods[0])


def test_an_ordinary_run_is_no_method(toy):
    study = toy.read(methods=[toy.method('plain', 'teacher')])
    with pytest.raises(StudyError, match=r"method 'plain': .*teacher\.py has no `schedule`"):
        configs.method_config(study, study.methods[0])


@pytest.mark.parametrize(('unit', 'by_epoch', 'milestones'), [
    ('epochs', True, [3, 5]), ('epochs', False, [1, 2]), ('iters', True, [1, 2])])
def test_milestones_are_scaled_with_the_length(toy, unit, by_epoch, milestones):
    study = toy.read()
    cfg = configs.method_config(study, study.methods[0])
    cfg.param_scheduler.by_epoch = by_epoch
    configs.set_length(cfg, unit, 10)
    assert cfg.schedule[f'phase_{unit}'] == 10
    assert len({'phase_epochs', 'phase_iters'} & cfg.schedule.keys()) == 1
    # 4 epochs become 10, so that 1 and 2 become 2.5 and 5; Python rounds 2.5 to 2.
    assert cfg.param_scheduler.milestones == ([2, 5] if milestones == [3, 5] else milestones)


def test_milestones_of_several_schedulers(toy):
    cfg = Config(dict(schedule=dict(phase_epochs=10), param_scheduler=[
        dict(type='LinearLR'), dict(type='MultiStepLR', milestones=[1, 8])]))
    configs.set_length(cfg, 'epochs', 5)
    assert cfg.param_scheduler[1].milestones == [1, 4]


def test_epochs_of_a_method_set_its_length(toy):
    study = toy.read(methods=[toy.method('none', 'none', epochs=8)])
    cfg = configs.method_config(study, study.methods[0])
    assert cfg.schedule.phase_epochs == 8 and cfg.param_scheduler.milestones == [2, 4]


def networks(study, method, **model):
    cfg = configs.method_config(study, method)
    cfg.merge_from_dict({f'model.{key}': value for key, value in model.items()})
    return configs.find_networks(study, f'method {method.name!r}', cfg, method.teacher)


def test_the_teacher_with_the_same_config_is_found(toy):
    study = toy.read()
    assert [networks(study, method) for method in study.methods] == [{}, dict(teacher=study.teachers[0])]


def test_teachers_with_the_same_config_are_chosen_by_name(toy):
    cfg = str(toy.folder / 'teacher.py')
    teachers = [dict(name='a', cfg=cfg), dict(name='b', cfg=cfg, seed=1)]
    study = toy.read(teachers=teachers, methods=[toy.method('SKD', 'skd'), toy.method('of b', 'skd', teacher='b')])
    with pytest.raises(StudyError, match=r"method 'SKD': the teachers \['a', 'b'\] have the config .*: choose one"):
        networks(study, study.methods[0])
    assert networks(study, study.methods[1])['teacher'].name == 'b'


def test_a_student_starts_from_the_network_of_the_study_with_its_config(toy):
    study = toy.read(teachers=[dict(name='big', cfg=str(toy.folder / 'teacher.py')),
                               dict(name='start', cfg=str(toy.folder / 'student.py'))])
    alone, skd = study.methods
    assert networks(study, alone) == {} and list(networks(study, skd)) == ['teacher']
    start = {'student.checkpoint': 'work_dirs/nowhere/best_*.pth'}
    assert networks(study, alone, **start) == dict(student=study.teachers[1])
    assert networks(study, skd, **start)['student'].name == 'start'


@pytest.mark.parametrize('role', ['teacher', 'student'])
def test_a_network_without_weights_is_refused(toy, role):
    study = toy.read(teachers=[])
    with pytest.raises(StudyError, match=rf"'SKD': model.{role}.*no file 'nowhere/best_\*.pth'.*train the {role}"):
        networks(study, study.method('SKD'), **{'teacher.checkpoint': None, f'{role}.checkpoint': 'nowhere/best_*.pth'})


@pytest.mark.parametrize(('values', 'pattern'), [
    (dict(schedule=dict()), 'best_*.pth'),
    (dict(default_hooks=dict(checkpoint=dict(save_best='mIoU')), train_cfg=dict()), 'best_*.pth'),
    (dict(train_cfg=dict(type='EpochBasedTrainLoop')), 'epoch_*.pth'),
    (dict(train_cfg=dict(by_epoch=True)), 'epoch_*.pth'),
    (dict(train_cfg=dict(type='IterBasedTrainLoop')), 'iter_*.pth')])
def test_weights_of_a_teacher(values, pattern):
    assert configs.weights_pattern(Config(values)) == pattern


def test_a_digest_depends_on_what_a_training_depends_on(toy):
    before = digest(toy)
    assert digest(toy) == before == digest(toy, title='x', baseline='SKD', seeds=[0])
    assert digest(toy, options={'test_dataloader.batch_size': 7}) == before
    others = [digest(toy, method='none'), digest(toy, seed=1), digest(toy, teacher='abc'),
              digest(toy, options={'optim_wrapper.optimizer.lr': 1.})]
    student = toy.folder / 'student.py'
    student.write_text(student.read_text().replace('width=4', 'width=6'))
    others.append(digest(toy))
    assert len({before, *others}) == 6
    # Also with the same images for all seeds.
    assert digest(toy, fraction_seed=3) != digest(toy, fraction_seed=3, seed=1)


def test_a_digest_depends_on_the_prelude_but_not_on_its_folder(toy):
    found = set()
    for prelude in (dict(dir='a'), dict(dir='b'), dict(options={'x': 1})):
        cfg = dict(cfg=str(toy.folder / 'teacher.py'), **prelude)
        found.add(digest(toy, options=dict(prelude=cfg)))
    assert len(found) == 2


def test_a_digest_does_not_depend_on_where_the_data_lies(toy, monkeypatch):
    found = []
    for root in ('/one/data', '/another'):
        monkeypatch.setenv('SKD_MM_DATA', root)
        found.append(digest(toy, data={'train_dataloader.dataset.data_root': f'{root}/camvid'}))
    assert found[0] == found[1]


def test_the_digest_of_the_report_depends_on_its_data_and_metrics(toy):
    study = toy.read()
    cfg = configs.method_config(study, study.methods[0])
    before = configs.report_digest(cfg, 'test')
    cfg.val_dataloader.batch_size = 9
    assert configs.report_digest(cfg, 'test') == before != configs.report_digest(cfg, 'val')
    cfg.test_dataloader.batch_size = 9
    assert configs.report_digest(cfg, 'test') != before


def test_metrics_that_an_evaluator_does_not_give(toy):
    cfg = Config(dict(test_evaluator=[dict(type='mmseg.IoUMetric', iou_metrics=['mIoU', 'mFscore'])],
                      val_evaluator=dict(type='Accuracy', topk=(1, 5))))
    for split, metric in (('test', 'mIoU'), ('test', 'mRecall'), ('val', 'accuracy/top5')):
        configs.check_metric(cfg, split, metric)
    with pytest.raises(StudyError, match=r"study.metric='mIou' .*`test_evaluator`.*; did you mean 'mIoU'"):
        configs.check_metric(cfg, 'test', 'mIou')
    with pytest.raises(StudyError, match='accuracy/top3'):
        configs.check_metric(cfg, 'val', 'accuracy/top3')
    cfg.val_evaluator = [cfg.val_evaluator, dict(type='Mine')]
    configs.check_metric(cfg, 'val', 'anything')


def test_a_config_without_the_data_of_the_report():
    with pytest.raises(StudyError, match=r"study\.split='test', but the config has no `test_dataloader`"):
        configs.report_data(Config(dict(val_dataloader=dict())), 'test')
