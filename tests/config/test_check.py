"""Misspelt names in a config, and configs in which nothing is."""

from pathlib import Path

import pytest
from mmengine.config import Config

from skd_mm.config import ConfigError, check_config
from tests.helpers import SPOTS, config, network

SPOT = dict(student=SPOTS[0], loss=dict(type='MSELoss'), connector=dict(type='Conv1x1'))


def complaint(cfg):
    """The one fault that is found."""
    with pytest.raises(ConfigError) as caught:
        check_config(cfg)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def with_spot(**changes):
    return dict(model=dict(type='skd_mm.Distiller', student=network(), teacher=network(),
                           spots=[SPOTS[1], dict(SPOT, **changes)]))


@pytest.mark.parametrize(('changes', 'path', 'meant'), [
    ({'schedul.type': 'NoTeacher'}, 'schedul', 'schedule'),
    ({'optim_wraper.type': 'OptimWrapper'}, 'optim_wraper', 'optim_wrapper'),
    ({'train_dataloder.batch_size': 2}, 'train_dataloder', 'train_dataloader'),
    ({'default_hook.logger': None}, 'default_hook', 'default_hooks'),
    ({'unlabeled_dataloader.dataset': None}, 'unlabeled_dataloader', 'unlabelled_dataloader'),
    ({'unlabelled_dataloader.dataset': dict(type='skd_mm.UnlabelledDataset', data_rot='x')},
     'unlabelled_dataloader.dataset.data_rot', 'data_root'),
    ({'schedule.unlabeled_fraction': 0.5}, 'schedule.unlabeled_fraction', 'unlabelled_fraction'),
    ({'modle.type': 'x'}, 'modle', 'model'),
    ({'Randomness.seed': 1}, 'Randomness', 'randomness'),
    ({'schedule.phase_epoch': 2}, 'schedule.phase_epoch', 'phase_epochs'),
    ({'schedule.type': 'Stagwise'}, 'schedule.type', 'Stagewise'),
    ({'schedule.frac': 0.5}, 'schedule.frac', 'fraction'),
    ({'schedule.handovr': 'last'}, 'schedule.handovr', 'handover'),
    ({'schedule.head': dict(trian='x')}, 'schedule.head.trian', 'train'),
    ({'schedule.overrides': dict(task_head=dict(epoch=3))}, 'schedule.overrides.task_head.epoch', 'epochs'),
    ({'schedule.optim_wrapper': dict(optimizer=dict(rate=1))}, 'schedule.optim_wrapper.optimizer.rate', ''),
    ({'schedule.optim_wrapper': dict(optimiser=dict(lr=1))}, 'schedule.optim_wrapper.optimiser', 'optimizer'),
    ({'schedule.param_scheduler': [dict(type='OneCycelLR')]}, 'schedule.param_scheduler[0].type', 'OneCycleLR'),
    ({'model.spot': []}, 'model.spot', 'spots'),
    ({'model.student.backbone.widht': 4}, 'model.student.backbone.widht', 'width'),
    ({'model.teacher.decode_head.num_clases': 4}, 'model.teacher.decode_head.num_clases', 'num_classes'),
    ({'model.teacher.decode_head.loss_decode.use_sigmoyd': True}, 'model.teacher.decode_head.loss_decode.use_sigmoyd',
     'use_sigmoid'),
    ({'model.student.backbone.type': 'mmengine.ToyBackbon'}, 'model.student.backbone.type', ''),
    ({'train_cfg.max_iter': 3}, 'train_cfg.max_iter', 'max_iters'),
    ({'train_dataloader.batchsize': 3}, 'train_dataloader.batchsize', 'batch_size'),
    ({'train_dataloader.dataset.imges': 3}, 'train_dataloader.dataset.imges', 'images'),
    ({'train_dataloader.dataset.pipeline': [dict(type='PackSegInput')]}, 'train_dataloader.dataset.pipeline[0].type',
     'PackSegInputs'),
    ({'train_dataloader.dataset.pipeline': [dict(type='RandomFlip', probability=1)]},
     'train_dataloader.dataset.pipeline[0].probability', 'prob'),
    ({'train_dataloader.sampler.shufle': True}, 'train_dataloader.sampler.shufle', 'shuffle'),
    ({'optim_wrapper.optimizer.learn': 1}, 'optim_wrapper.optimizer.learn', ''),
    ({'optim_wrapper.optimizer.type': 'Adm'}, 'optim_wrapper.optimizer.type', 'Adam'),
    ({'optim_wrapper.clip_gard': dict(max_norm=1)}, 'optim_wrapper.clip_gard', 'clip_grad'),
    ({'default_hooks.checkpoint': dict(type='skd_mm.PhaseCheckpointHook', save_bset='mIoU')},
     'default_hooks.checkpoint.save_bset', 'save_best'),
    ({'default_hooks.checkpoints': dict(type='CheckpointHook')}, 'default_hooks.checkpoints', 'checkpoint'),
    ({'custom_hooks': [dict(type='EMAHok')]}, 'custom_hooks[0].type', 'EMAHook'),
    ({'val_evaluator.iou_metric': ['mIoU']}, 'val_evaluator.iou_metric', 'iou_metrics'),
    ({'log_processor': dict(window=1)}, 'log_processor.window', 'window_size'),
    ({'val_dataloader.batchsize': 3}, 'val_dataloader.batchsize', 'batch_size'),
    ({'visualizer.vis_backends': [dict(type='LocalVisBakend')]}, 'visualizer.vis_backends[0].type', 'LocalVisBackend'),
    ({'model.student.decode_head.norm_cfg.type': 'BM'}, 'model.student.decode_head.norm_cfg.type', 'BN'),
    ({'model.router': dict(gamme=2)}, 'model.router.gamme', 'gamma'),
    ({'param_scheduler': [dict(type='OneCycelLR')]}, 'param_scheduler[0].type', 'OneCycleLR'),
    ({'param_scheduler': dict(student=[dict(type='OneCycelLR')])}, 'param_scheduler.student[0].type', 'OneCycleLR'),
    ({'val_evaluator': dict(metrics=[dict(type='IoUMetrc')])}, 'val_evaluator.metrics[0].type', 'IoUMetric'),
    ({'schedule': dict(type='Phases', phase_epochs=1, phases=[dict(name='x', trian='all', task=1)])},
     'schedule.phases[0].trian', 'train'),
])
def test_a_misspelt_name_is_given_with_its_path_and_the_closest_one(tmp_path, changes, path, meant):
    whole = {key: changes[key] for key in changes if key in ('param_scheduler', 'val_evaluator', 'schedule')}
    line = complaint(config(tmp_path, {key: changes[key] for key in changes.keys() - whole}, **whole))
    assert line.startswith(f'{path}: ')
    assert not meant or f'{meant!r}' in line.partition('did you mean')[2], line


@pytest.mark.parametrize(('changes', 'path', 'meant'), [
    (dict(techer=SPOTS[0]), 'model.spots[1].techer', 'teacher'),
    (dict(loss=dict(type='MSELos')), 'model.spots[1].loss.type', 'MSELoss'),
    (dict(loss=dict(type='KDLoss', temprature=4)), 'model.spots[1].loss.temprature', 'temperature'),
    (dict(connector=[dict(type='Conv1x1', kernel=1)]), 'model.spots[1].connector[0].kernel', ''),
    (dict(connector=dict(type='Conv1')), 'model.spots[1].connector.type', 'Conv1x1'),
    (dict(teacher_connector=dict(type='Conv1')), 'model.spots[1].teacher_connector.type', 'Conv1x1'),
    (dict(teacher_decoder=dict(type='ParaphraserDecoda')), 'model.spots[1].teacher_decoder.type', 'ParaphraserDecoder'),
    (dict(memory=dict(type='Contrast', sise=9)), 'model.spots[1].memory', '')])
def test_spots(tmp_path, changes, path, meant):
    with pytest.raises(ConfigError) as caught:
        check_config(config(tmp_path, **with_spot(**changes)))
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 and lines[0].startswith(path), lines
    assert not meant or f'{meant!r}' in lines[0].partition('did you mean')[2], lines


@pytest.mark.parametrize(('changes', 'words'), [
    ({'default_scope': 'skd_mn'},
     "default_scope: there is no package 'skd_mn' to look names up in; did you mean 'skd_mm'?"),
    ({'default_scope': 3}, 'default_scope: there is no package 3 to look names up in'),
    ({'default_hooks.logger': []}, 'default_hooks.logger must be a dict with a `type`, not []'),
    ({'model.spots': [dict(SPOT, loss=[])]}, 'model.spots[0].loss is an empty list'),
    ({'model.spots': [dict(SPOT, discriminator={})]}, 'model.spots[0].discriminator has no `type`'),
    ({'optim_wrapper.optimizer': [dict(type='Adam')]},
     "optim_wrapper.optimizer must be a dict with a `type`, not [{'type': 'Adam'}]"),
    ({'schedule': 'Stagewise'}, "schedule must be a dict, not 'Stagewise'"),
    ({'model.spots': 'all'}, "model.spots must be a list of spots, or 'backbone', not 'all'"),
    ({'model.spots': 3}, 'model.spots must be a list of spots, not 3'),
    ({'model.spots': [dict(student=3)]},
     'model.spots[0].student must be the name of a module, or a list of names, not 3'),
    ({'model.spots': [dict(SPOT, teacher=[])]},
     'model.spots[0].teacher must be the name of a module, or a list of names, not []'),
    ({'model.spots': [dict(student=SPOTS[0], name=1e30)]}, 'model.spots[0].name must be a string, not 1e+30'),
    ({'log_level': ''}, "log_level must be one of ['CRITICAL', 'FATAL', 'ERROR', 'WARN', 'WARNING', 'INFO', 'DEBUG', "
     "'NOTSET'], not ''"),
    ({'randomness.seed': ''},
     "randomness.seed must be an integer from 0 to 4294967295, or None for a random one, not ''"),
    ({'randomness.seed': -1},
     'randomness.seed must be an integer from 0 to 4294967295, or None for a random one, not -1'),
    ({'model.spots': [3]}, 'model.spots[0] must be the name of a module or a dict, not 3'),
    ({'model.student': 'a.py'}, "model.student must be a dict, such as dict(cfg='path/to/config.py'), not 'a.py'"),
    ({'train_dataloader.batch_size': '4'}, "train_dataloader.batch_size must be an integer of at least 1, not '4'"),
    ({'train_dataloader.batch_size': True}, 'train_dataloader.batch_size must be an integer of at least 1, not True'),
    ({'train_dataloader.sampler': []}, 'train_dataloader.sampler must be a dict with a `type`, not []'),
    ({'model.student': None},
     "model.student is missing: the network to train, such as dict(cfg='path/to/config.py')"),
    ({'schedule': dict(type='Phases', phase_epochs=1, phases=[3])}, 'schedule.phases[0] must be a dict, not 3'),
    ({'train_dataloader.num_workers': -1}, 'train_dataloader.num_workers must be an integer of at least 0, not -1'),
    ({'model.student.test_cfg': []}, 'model.student.test_cfg must be a dict, not []'),
    ({'train_dataloader.dataset': []}, 'train_dataloader.dataset must be a dict with a `type`, not []'),
    ({'train_dataloader.dataset.pipeline': [[]]}, 'train_dataloader.dataset.pipeline[0] must be a dict with a `type`, '
                                                  'not []'),
    ({'train_cfg': True}, 'train_cfg must be a dict, not True'),
    ({'custom_hooks': [dict(interval=3)]}, 'custom_hooks[0] has no `type`'),
    ({'unlabelled_dataloader': dict(batch_size=4, dataset=dict(type='skd_mm.UnlabelledDataset', data_root='x'))},
     'unlabelled_dataloader.batch_size: it takes `dataset` alone; everything else is that of train_dataloader'),
    ({'unlabelled_dataloader.dataset': 'x'}, "unlabelled_dataloader.dataset must be a dict with a `type`, not 'x'"),
    ({'custom_hooks': ['EMAHook']}, "custom_hooks[0] must be a dict with a `type`, not 'EMAHook'")])
def test_values_of_the_wrong_kind(tmp_path, changes, words):
    cfg = config(tmp_path)
    if changes.keys() & {'schedule', 'train_cfg'}:
        cfg.update(changes)
    else:
        cfg = config(tmp_path, changes)
    assert complaint(cfg) == words


def test_all_errors_are_reported_together(tmp_path):
    with pytest.raises(ConfigError) as caught:
        check_config(config(tmp_path, {'schedule.phase_epoch': 2, 'model.spot': [], 'schedul': 1}))
    assert [line.partition(':')[0] for line in str(caught.value).splitlines()] == [
        'schedul', 'model.spot', 'schedule.phase_epoch']


def test_a_network_of_another_config(tmp_path):
    Config(dict(default_scope='mmseg', model=dict(network(), decode_hed=1))).dump(str(tmp_path / 'net.py'))
    line = complaint(config(tmp_path, {'model.teacher': dict(cfg=str(tmp_path / 'net.py'), _delete_=True)}))
    assert line.startswith('model.teacher.decode_hed') and "'decode_head'" in line
    line = complaint(config(tmp_path, {'model.teacher': dict(cfg=str(tmp_path / 'nett.py'), _delete_=True)}))
    assert 'there is no config' in line and "did you mean 'net.py'?" in line


def test_a_network_with_a_key_that_there_is_not(tmp_path):
    teacher = dict(cfg=Config(dict(default_scope='mmseg', model=network())), chekpoint='a.pth')
    cfg = config(tmp_path)
    cfg.model.teacher = teacher
    assert complaint(cfg).startswith("model.teacher has no key 'chekpoint'; did you mean 'checkpoint'?")


def test_names_of_a_network_are_looked_up_where_its_own_config_says(tmp_path):
    cfg = config(tmp_path)
    head = dict(type='LinearClsHead', num_classes=3, in_channels=4)
    cfg.model.teacher = dict(cfg=Config(dict(default_scope='mmpretrain', model=dict(
        type='ImageClassifier', backbone=dict(type='ResNet', depth=18), head=head))))
    assert check_config(cfg) == []


def test_the_spots_of_a_backbone(tmp_path):
    assert check_config(config(tmp_path, {'model.spots': 'backbone'})) == []


def test_a_missing_scope_is_mentioned(tmp_path):
    cfg = config(tmp_path, {'val_evaluator.type': 'IoUMetrc'})
    cfg.default_scope = None
    with pytest.raises(ConfigError, match='the config has no `default_scope` to look for more names in'):
        check_config(cfg)


def test_a_name_of_ones_own_is_no_fault(tmp_path):
    cfg = config(tmp_path, dict(crop_size=4, my_optimizer=dict(lr=1), data_root='x', train_pipeline=[], num_classes=3))
    assert check_config(cfg) == []


def test_a_plain_config_only_gets_a_warning(tmp_path):
    plain = config(tmp_path, model=network(), models=dict())
    plain.pop('schedule')
    assert check_config(plain) == ["models: there is no such key; did you mean 'model'?"]
    plain.optim_wrapper.optimizer.type = 'Adm'
    with pytest.raises(ConfigError, match='Adam'):
        check_config(plain)


def configs(folder):
    return [path for path in sorted(folder.rglob('*.py')) if '_base_' not in path.parts]


@pytest.mark.slow
def test_no_config_of_this_toolkit_is_refused(repo):
    # test_detection_configs.py looks at those of detectors, if mmdetection is installed.
    for path in [path for path in configs(repo / 'configs') if 'detection' not in path.parts][::10]:
        cfg = Config.fromfile(path)
        if path.parent.name == 'students':  # a network and its data, for distillations to inherit
            for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
                cfg.pop(key, None)
        assert check_config(cfg) == [], path


@pytest.mark.slow
@pytest.mark.parametrize('package', ['mmseg', 'mmpretrain'])
def test_no_config_of_a_model_zoo_is_refused(package):
    module = __import__(package)
    folder = Path(module.__file__).parent / '.mim/configs'
    for path in configs(folder)[::25]:
        try:
            cfg = Config.fromfile(path)
        except Exception:  # some need packages that are not there
            continue
        try:
            check_config(cfg)
        except ConfigError as error:  # some data sets need what is not installed
            assert all('there is no dataset' in line for line in str(error).splitlines()), f'{path}: {error}'
