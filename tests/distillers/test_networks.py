import os

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope

from skd_mm.distillers import build_network, load_weights
from skd_mm.distillers.networks import (
    find_checkpoint,
    find_config,
    network_config,
    read_config,
    student_weights,
)
from tests.helpers import build_distiller, differing, network, state

SEG = dict(cfg=Config(dict(model=network(), default_scope='mmseg')))


def write_config(path, model, scope='mmseg', **more):
    Config(dict(model=model, default_scope=scope, **more)).dump(path)
    return str(path)


def test_a_config_is_looked_for_from_here_and_from_the_checkout(tmp_path, monkeypatch, repo):
    monkeypatch.chdir(tmp_path)
    name = 'configs/_base_/default_runtime.py'
    assert os.path.samefile(find_config(name), repo / name)
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.write_text('x = 1')
    assert read_config(name).x == 1  # here comes first
    assert find_config(str(own)) == str(own)


def test_a_misspelt_config_is_answered_with_its_neighbours(tmp_path, monkeypatch):
    (tmp_path / 'unet_resnet34.py').write_text('')
    with pytest.raises(FileNotFoundError, match=r"no config .*unet_resent34.py'; did you mean 'unet_resnet34.py'"):
        find_config(str(tmp_path / 'unet_resent34.py'))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"did you mean 'default_runtime\.py'"):
        find_config('configs/_base_/defualt_runtime.py')
    with pytest.raises(FileNotFoundError, match=r"no config 'nowhere/at/all\.py'$"):
        find_config('nowhere/at/all.py')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"no package 'mmdet'.*\n  pip install --no-deps -r requirements/det"):
        find_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')


def test_a_model_zoos_name():
    cfg, scope = network_config(dict(cfg='mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py'), 'teacher')
    assert (cfg.type, scope) == ('EncoderDecoder', 'mmseg')
    assert cfg.data_preprocessor.type == 'SegDataPreProcessor'
    cfg, scope = network_config(dict(cfg='mmpretrain::resnet/resnet18_8xb16_cifar10.py'), 'teacher')
    assert (cfg.type, scope) == ('ImageClassifier', 'mmpretrain')
    assert cfg.data_preprocessor.mean  # mmpretrain has it next to the model


def test_options_are_merged_as_by_cfg_options(tmp_path):
    path = write_config(tmp_path / 'a.py', network())
    cfg, _ = network_config(dict(cfg=path, options={'model.backbone.width': 6, 'model.decode_head.in_channels': 6}),
                            'student')
    assert cfg.backbone.width == 6
    assert network_config(dict(cfg=path), 'student')[0].backbone.width == 4


def test_a_distillers_config_gives_its_student(tmp_path):
    inner = write_config(tmp_path / 'inner.py', network(width=6))
    outer = dict(type='skd_mm.Distiller', student=dict(cfg=inner), teacher=network())
    path = write_config(tmp_path / 'outer.py', outer, scope='mmpretrain')
    cfg, scope = network_config(dict(cfg=path), 'teacher')
    assert (cfg.backbone.width, scope) == (6, 'mmseg')


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(cgf='x.py'), r"model.teacher has no key 'cgf'; did you mean 'cfg'"),
    (dict(cfg='x.py', chekpoint='y'), "has no key 'chekpoint'; did you mean 'checkpoint'"),
    (dict(checkpoint='y'), 'model.teacher needs `cfg`'),
    (dict(cfg=Config(dict(modle=1))), 'has no `model`')])
def test_wrong_keys(cfg, words):
    with pytest.raises(KeyError, match=words):
        network_config(cfg, 'teacher')


def test_the_scope_of_the_config_holds_for_its_network_and_no_longer():
    DefaultScope.get_instance('mine', scope_name='mmpretrain')
    cfg = Config(dict(default_scope='mmseg', model=network()))
    cfg.model.type = 'EncoderDecoder'
    cfg.model.decode_head.type = 'FCNHead'
    model = build_network(dict(cfg=cfg), 'student')
    assert type(model).__module__.startswith('mmseg.')
    assert DefaultScope.get_current_instance().scope_name == 'mmpretrain'


def test_a_zoos_config_without_a_scope_gets_that_of_its_package():
    path = 'mmpretrain::dinov2/vit-small-p14_dinov2-pre_headless.py'
    init_default_scope('mmseg')
    assert network_config(dict(cfg=path), 'teacher')[1] == 'mmpretrain'


def test_a_network_of_each_kind_in_one_process():
    DefaultScope.get_instance('mine2', scope_name='mmseg')
    cls = dict(type='ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
               neck=dict(type='GlobalAveragePooling'), head=dict(type='LinearClsHead', num_classes=2, in_channels=32))
    teacher = build_network(dict(cfg=Config(dict(model=cls, default_scope='mmpretrain'))), 'teacher')
    student = build_network(SEG, 'student')
    assert type(teacher).__module__.startswith('mmpretrain.')
    assert type(student).__module__.startswith('mmseg.')


def test_a_preprocessor_is_filled_in_only_where_there_is_none():
    mine = dict(type='SegDataPreProcessor', mean=[1.] * 3, std=[2.] * 3)
    own = build_network(SEG, 'student', mine)
    assert own.data_preprocessor.mean.flatten().tolist() == [90.] * 3
    cfg = network()
    del cfg['data_preprocessor']
    DefaultScope.get_instance('mine3', scope_name='mmseg')
    assert build_network(cfg, 'student', mine).data_preprocessor.mean.flatten().tolist() == [1.] * 3


def test_building_changes_no_config():
    cfg = Config(dict(model=network(), default_scope='mmseg'))
    before = repr(cfg.to_dict())
    build_network(dict(cfg=cfg), 'student')
    assert repr(cfg.to_dict()) == before


# Checkpoints

@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    model = build_network(SEG, 'teacher')
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), path)
    return model, path


@pytest.mark.parametrize('wrap', [lambda weights: weights, lambda weights: dict(state_dict=weights)])
def test_loads_every_parameter_and_buffer(saved, tmp_path, wrap):
    model, _ = saved
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.add_(1)
    torch.save(wrap(model.state_dict()), tmp_path / 'x.pth')
    other = build_network(SEG, 'teacher')
    assert load_weights(other, str(tmp_path / 'x.pth'), 'teacher') == str(tmp_path / 'x.pth')
    assert not differing(dict(model.state_dict()), dict(other.state_dict()))


def test_a_distillers_checkpoint_gives_its_student(saved, tmp_path):
    distiller = build_distiller(spots=[dict(student='backbone.layers.0', connector=dict(type='Conv1x1'))])
    torch.save(dict(state_dict=distiller.state_dict()), tmp_path / 'd.pth')
    model = build_network(SEG, 'teacher')
    load_weights(model, str(tmp_path / 'd.pth'), 'teacher')
    assert not differing(dict(model.state_dict()), dict(distiller.student.state_dict()))
    assert student_weights({'a': 1}) == {'a': 1}


@pytest.mark.parametrize('width', [4, 6])
def test_a_checkpoint_of_another_architecture_is_one_clear_error_and_loads_nothing(saved, width):
    other = build_network(dict(cfg=Config(dict(model=network(width=width, dropout=0), default_scope='mmseg')),
                               options={'model.decode_head.num_convs': 2}), 'teacher')
    before = state(other)
    with pytest.raises(ValueError, match=r'model\.teacher\.checkpoint: .*epoch_1\.pth does not fit the teacher '
                       r'\(EncoderDecoder\), \d+ of \d+ entries differ: missing decode_head\.convs\.1'):
        load_weights(other, str(saved[1]), 'teacher')
    assert not differing(before, state(other))


def test_weights_of_another_shape_and_too_many_are_named(saved, tmp_path):
    model, path = saved
    weights = model.state_dict()
    weights['backbone.layers.0.0.weight'] = torch.zeros(9, 3, 3, 3)
    weights['auxiliary_head.x'] = torch.zeros(1)
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r'2 of \d+ entries differ: unknown auxiliary_head\.x; '
                                         r'backbone\.layers\.0\.0\.weight is \(9, 3, 3, 3\), not \(4, 3, 3, 3\)$'):
        load_weights(build_network(SEG, 'teacher'), str(path), 'teacher')


def test_a_missing_checkpoint(saved):
    folder = saved[1].parent
    with pytest.raises(FileNotFoundError, match=r"model\.teacher\.checkpoint: there is no file .*epoch_l\.pth'; "
                                                r"did you mean 'epoch_1\.pth'"):
        find_checkpoint(str(folder / 'epoch_l.pth'), 'teacher')
    with pytest.raises(FileNotFoundError, match=r"the folder '.*nowhere' is not there either"):
        find_checkpoint(str(folder / 'nowhere/epoch_1.pth'), 'teacher')


def test_of_a_pattern_the_newest_is_taken(tmp_path):
    for age, name in enumerate(['best_mIoU_20.pth', 'best_mIoU_3.pth', 'best_mIoU_1.pth']):
        (tmp_path / name).write_text('')
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / 'best_mIoU_dir.pth').mkdir()
    assert find_checkpoint(str(tmp_path / 'best_mIoU_*.pth'), 'teacher') == str(tmp_path / 'best_mIoU_20.pth')
    with pytest.raises(FileNotFoundError):
        find_checkpoint(str(tmp_path / 'best_acc_*.pth'), 'teacher')


def test_of_a_pattern_the_last_phase_is_taken(tmp_path):
    """Copies of a folder may have lost the times of their files."""
    for folder, age in (('old', 100), ('new', 0)):
        (tmp_path / folder).mkdir()
        for i, name in enumerate(['phase10_head', 'phase09_layer4', 'phase02_b.phase11_']):
            path = tmp_path / folder / f'best_mIoU_{name}.pth'
            path.write_text('')
            os.utime(path, (1000 - age + i, 1000 - age + i))
    last = 'best_mIoU_phase10_head.pth'
    assert find_checkpoint(str(tmp_path / 'old/best_*.pth'), 'teacher') == str(tmp_path / 'old' / last)
    assert find_checkpoint(str(tmp_path / '*/best_*.pth'), 'teacher') == str(tmp_path / 'new' / last)


def test_a_name_that_looks_like_a_pattern(tmp_path):
    path = tmp_path / 'run[1].pth'
    path.write_text('')
    assert find_checkpoint(str(path), 'teacher') == str(path)


def test_a_url_is_left_to_mmengine():
    assert find_checkpoint('https://x/y.pth', 'teacher') == 'https://x/y.pth'


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / 'broken.pth').write_bytes(b'PK\x03\x04 cut off')
    with pytest.raises(Exception, match=r'broken\.pth'):
        load_weights(build_network(SEG, 'teacher'), str(tmp_path / 'broken.pth'), 'teacher')
