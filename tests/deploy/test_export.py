import copy
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.deploy import export
from skd_mm.deploy.export import export_student, exported_config, student_config
from skd_mm.distillers import build_network

META = dict(classes=('road', 'car'), palette=[[1, 2, 3], [4, 5, 6]])


def unet(depth):
    norm = dict(type='BN')
    return dict(
        type='EncoderDecoder', _scope_='mmseg',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[100.] * 3, std=[50.] * 3, size_divisor=32),
        backbone=dict(type='skd_mm.ResNet', depth=depth, width=0.125, norm_cfg=norm, out_indices=(0, 1, 2, 3, 4),
                      init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth')),
        decode_head=dict(type='skd_mm.UNetHead', width=0.125, num_classes=2, norm_cfg=norm),
        train_cfg=dict(), test_cfg=dict(mode='whole'))


def fcn(width):
    return dict(
        type='EncoderDecoder', pretrained='nowhere.pth',
        data_preprocessor=dict(type='SegDataPreProcessor', size_divisor=32),
        backbone=dict(type='ResNet', depth=18, base_channels=width, stem_channels=width, out_indices=(3,)),
        decode_head=dict(type='FCNHead', in_channels=8 * width, channels=4, num_convs=1, num_classes=2),
        train_cfg=dict(), test_cfg=dict(mode='whole'))


def classifier():
    return dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=64, topk=(1,)))


def distillation(student, **rest):
    loader = dict(batch_size=1, dataset=dict(type='skd_mm.CamVidDataset', data_root='data/camvid',
                                             pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]))
    return Config({
        'default_scope': 'mmseg', 'custom_imports': dict(imports=['skd_mm'], allow_failed_imports=False),
        'teacher_file': 'some/teacher.pth',
        'model': dict(type='skd_mm.Distiller', teacher=dict(cfg='no/such/teacher.py', checkpoint='no/teacher.pth'),
                      student=student, spots=['backbone.layer1']),
        'schedule': dict(type='Stagewise', phase_epochs=1), 'train_cfg': dict(type='skd_mm.PhaseLoop'),
        'train_dataloader': loader, 'optim_wrapper': dict(type='OptimWrapper', optimizer=dict(type='Adam')),
        'val_dataloader': loader, 'val_cfg': dict(type='ValLoop'), 'val_evaluator': dict(type='IoUMetric'),
        'test_dataloader': loader, 'test_cfg': dict(type='TestLoop'),
        'test_evaluator': [dict(type='IoUMetric'), dict(type='skd_mm.SpotLossMetric')],
        'default_hooks': dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook'), timer=dict(type='IterTimerHook')),
        'custom_hooks': [dict(type='EMAHook')], **rest})


def save_distiller(path, network, dataset_meta=META):
    """What a checkpoint of a run holds, as far as an export can see."""
    weights = {f'student.{key}': value for key, value in network.state_dict().items()}
    weights['spots.backbone/layer1.connector.weight'] = torch.ones(3)
    torch.save(dict(meta=dict(dataset_meta=dataset_meta, iter=3), state_dict=weights, optimizer=dict(a=1),
                    message_hub=dict()), path)


def randomise(network):
    """Weights and BN statistics that no initialisation gives, so that an export cannot be right by chance."""
    torch.manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(torch.rand_like(tensor) + 0.5).add_(torch.rand_like(tensor) / 50)
    return network.eval()


def test_student_config_is_the_student_without_what_trains_it():
    cfg = distillation(unet(10))
    before = copy.deepcopy(cfg.to_dict())
    alone = student_config(cfg)
    assert cfg.to_dict() == before
    assert alone.model.type == 'EncoderDecoder' and alone.model.backbone.depth == 10
    assert 'init_cfg' not in alone.model.backbone
    assert not {'schedule', 'train_cfg', 'val_cfg', 'optim_wrapper', 'custom_hooks', 'train_dataloader'} & set(alone)
    assert [metric.type for metric in alone.test_evaluator] == ['IoUMetric']
    assert alone.test_dataloader == cfg.test_dataloader


def test_a_plain_config_stays_what_it_is_and_a_missing_test_is_the_validation():
    cfg = Config(dict(model=fcn(8), val_dataloader=dict(batch_size=7), val_evaluator=dict(type='IoUMetric')))
    alone = student_config(cfg)
    assert 'pretrained' not in alone.model and alone.model.backbone.base_channels == 8
    assert alone.test_dataloader.batch_size == 7 and alone.test_cfg.type == 'TestLoop'
    with pytest.raises(KeyError, match='no `model`'):
        student_config(Config(dict(default_scope='mmseg')))


def test_the_preprocessor_and_the_scope_of_the_student_are_kept(tmp_path):
    (tmp_path / 'cls.py').write_text(f"default_scope = 'mmpretrain'\nmodel = {classifier()!r}\n"
                                     "data_preprocessor = dict(num_classes=2, mean=[9.] * 3, std=[3.] * 3)\n")
    cfg = distillation(dict(cfg=str(tmp_path / 'cls.py')))
    model = student_config(cfg).model
    assert model['_scope_'] == 'mmpretrain' and model.data_preprocessor.mean == [9.] * 3
    cfg = distillation(classifier(), default_scope='mmpretrain')
    cfg.model.data_preprocessor = dict(mean=[5.] * 3, std=[3.] * 3)
    model = student_config(cfg).model
    assert '_scope_' not in model and model.data_preprocessor.mean == [5.] * 3


@pytest.mark.parametrize('student, imports', [(unet(10), ['skd_mm']), (fcn(8), None)])
def test_exported_weights_are_the_students_and_no_trace_of_the_distiller_is_left(tmp_path, student, imports):
    init_default_scope('mmseg')
    cfg = distillation(student)
    network = randomise(build_network(student, 'student'))
    save_distiller(tmp_path / 'iter_3.pth', network)
    files = export_student(cfg, str(tmp_path / 'iter_*.pth'), tmp_path / 'new' / 'out', 'r10')
    assert [file.name for file in files] == ['r10.py', 'r10.pth']
    assert sorted(file.name for file in files[0].parent.iterdir()) == ['r10.pth', 'r10.py']

    loaded = torch.load(files[1], weights_only=True)
    assert loaded['meta'] == dict(dataset_meta=dict(classes=['road', 'car'], palette=META['palette']))
    assert set(loaded) == {'meta', 'state_dict'}
    assert list(loaded['state_dict']) == list(network.state_dict())
    exported = Config.fromfile(files[0])
    text = files[0].read_text().lower()
    assert not [word for word in ('distiller', 'teacher', 'spot', 'schedule', 'phase', 'connector') if word in text]
    assert exported.get('custom_imports', {}).get('imports') == imports

    again = MODELS.build(exported.model).eval()
    again.load_state_dict(loaded['state_dict'])
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(again(images, mode='tensor'), network(images, mode='tensor'))


def test_own_imports_stay():
    cfg = distillation(fcn(8), custom_imports=dict(imports=['json', 'skd_mm.models']))
    assert exported_config(cfg).custom_imports.imports == ['json']


def test_a_classifier_is_exported_too(tmp_path):
    from mmpretrain import ImageClassificationInferencer

    cfg = distillation(classifier(), default_scope='mmpretrain')
    for key in ('test_dataloader', 'val_dataloader'):
        cfg[key].dataset = dict(type='CustomDataset', data_root=str(tmp_path), pipeline=[
            dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')])
    init_default_scope('mmpretrain')
    network = randomise(build_network(classifier(), 'student'))
    save_distiller(tmp_path / 'iter_3.pth', network)
    files = export_student(cfg, str(tmp_path / 'iter_3.pth'), tmp_path, 'r18')
    inferencer = ImageClassificationInferencer(str(files[0]), pretrained=str(files[1]), device='cpu')
    image = torch.randint(0, 9, (32, 32, 3), dtype=torch.uint8).numpy()
    result = inferencer(image)[0]
    with torch.no_grad():
        inputs = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        expected = network.head.predict(network.extract_feat(inputs))[0]
    assert result['pred_class'] == META['classes'][result['pred_label']]
    assert result['pred_scores'].tolist() == expected.pred_score.tolist()


def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    init_default_scope('mmseg')
    network = build_network(unet(10), 'student')
    save_distiller(tmp_path / 'iter_3.pth', network)
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match='does not fit the student'):
        export_student(distillation(unet(14)), str(tmp_path / 'iter_3.pth'), out, 'r14')
    with pytest.raises(FileNotFoundError, match=r"iter_4.pth'; did you mean 'iter_3.pth'"):
        export_student(distillation(unet(10)), str(tmp_path / 'iter_4.pth'), out, 'r10')
    assert not out.exists()

    def full_disk(*args):
        raise OSError('no space left')

    monkeypatch.setattr(export.torch, 'save', full_disk)
    with pytest.raises(OSError, match='no space'):
        export_student(distillation(unet(10)), str(tmp_path / 'iter_3.pth'), out, 'r10')
    assert list(out.iterdir()) == []


def test_classes_are_named_if_the_checkpoint_names_them(tmp_path):
    init_default_scope('mmseg')
    network = build_network(unet(10), 'student')
    for meta, expected in [(None, {}), (dict(classes=['a', 'b']), dict(classes=['a', 'b']))]:
        save_distiller(tmp_path / 'iter_3.pth', network, dataset_meta=meta)
        _, file = export_student(distillation(unet(10)), str(tmp_path / 'iter_3.pth'), tmp_path, 'r10')
        meta = torch.load(file, weights_only=True)['meta']
        assert json.loads(json.dumps(meta)) == dict(dataset_meta=expected)
