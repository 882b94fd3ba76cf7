import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from skd_mm.config import check_config
from skd_mm.config.check import ConfigError
from skd_mm.distillers import build_network
from skd_mm.distillers.networks import load_weights
from tests.helpers import batch, config, network

VIT = dict(type='mmpretrain.VisionTransformer', arch=dict(embed_dims=12, num_layers=2, num_heads=2,
                                                          feedforward_channels=24), img_size=28, patch_size=14)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def teacher(**changes):
    return build_network(dict(VIT, **changes), 'teacher')


def test_a_teacher_may_be_a_backbone_alone():
    model = teacher(data_preprocessor=IMAGENET)
    assert type(model).__name__ == 'BareBackbone' and type(model.backbone).__name__ == 'VisionTransformer'
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx(IMAGENET['mean'])
    image = torch.randn(1, 3, 28, 28)
    assert torch.equal(model.eval()(image)[0], model.backbone(image)[0])
    assert teacher().data_preprocessor is None
    with pytest.raises(NotImplementedError, match="without a head has no mode 'loss'"):
        model(image, mode='loss')


def test_the_check_of_a_config_knows_it(tmp_path):
    cfg = config(tmp_path, {'model.teacher': dict(VIT, data_preprocessor=IMAGENET, _delete_=True)})
    assert check_config(cfg) == []
    cfg.model.teacher.patch_sise = 14
    with pytest.raises(ConfigError, match=r"model\.teacher\.backbone\.patch_sise: a Vision.*mean 'patch_size'"):
        check_config(cfg)


def test_it_is_distilled_with_its_own_input_size():
    """12 x 12 images become 14 x 14, one patch and the class token."""
    cfg = dict(type='skd_mm.Distiller', student=network(), teacher=VIT,
               spots=[dict(student='backbone.layers.2', teacher='backbone.layers.1', connector='auto')])
    distiller = MODELS.build(cfg)
    inputs, samples = batch()
    seen = []
    distiller.teacher.register_forward_hook(lambda module, given, output: seen.append(tuple(given[0].shape[2:])))
    losses = distiller(inputs, samples, mode='loss')
    losses['spots.backbone.layers.2.loss'].backward()
    assert not seen  # it stops at its last feature
    features = distiller.pair.run(inputs, samples, 'loss')
    assert features.targets['backbone.layers.1'].shape[1:] == (2, 12) and features.images == ((12, 12), (14, 14))
    assert all(part.grad is not None for part in distiller.spots.parameters())


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_weights_of_the_backbone_and_of_a_model_around_it(tmp_path, prefix):
    saved = teacher().backbone.state_dict()
    weights = {prefix + name: torch.full_like(value, 0.5) for name, value in saved.items()} | {'head.fc': torch.ones(3)}
    torch.save(weights, tmp_path / 'weights.pth')
    model = teacher()
    load_weights(model, str(tmp_path / 'weights.pth'), 'teacher')
    assert all((value == 0.5).all() for value in model.state_dict().values())


def test_weights_that_lack_some_of_the_backbones_are_refused(tmp_path):
    weights = dict(teacher().backbone.state_dict())
    weights.pop('cls_token')
    torch.save(weights, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=r'does not fit the teacher \(BareBackbone\).*missing backbone.cls_token'):
        load_weights(teacher(), str(tmp_path / 'weights.pth'), 'teacher')


@pytest.mark.slow
def test_a_timm_model_takes_timms_weights(tmp_path):
    timm = pytest.importorskip('timm')
    options = dict(embed_dim=16, depth=2, num_heads=2, img_size=32)
    torch.save(timm.create_model('vit_small_patch16_dinov3', **options, num_classes=5).state_dict(),
               tmp_path / 'weights.pth')
    model = build_network(dict(type='mmpretrain.TIMMBackbone', model_name='vit_small_patch16_dinov3', **options),
                          'teacher')
    load_weights(model, str(tmp_path / 'weights.pth'), 'teacher')
    tokens = model(torch.randn(2, 3, 32, 32))[0]
    assert tokens.shape == (2, 4 + 5, 16)  # a class token and four registers


@pytest.mark.slow
def test_a_hugging_face_classifier(tmp_path):
    transformers = pytest.importorskip('transformers')
    init_default_scope('mmpretrain')
    transformers.ViTConfig(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                           image_size=32, num_labels=3, architectures=['ViTForImageClassification']
                           ).save_pretrained(tmp_path)
    other = dict(type='mmpretrain.HuggingFaceClassifier', model_name=str(tmp_path), data_preprocessor=IMAGENET)
    student = dict(type='mmpretrain.ImageClassifier', backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=4,
                                                                    stem_channels=4),
                   neck=dict(type='mmpretrain.GlobalAveragePooling'),
                   head=dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=32))
    distiller = MODELS.build(dict(
        type='skd_mm.Distiller', student=student, teacher=other, input_shape=(3, 32, 32),
        spots=[dict(student='backbone.layer4', teacher='model.vit.layernorm', connector='auto'),
               dict(student='head.fc', teacher='model.classifier', loss=dict(type='KDLoss'))]))
    (end, logits) = distiller.spots.values()
    assert end.shapes == ((32, 1, 1), (5, 12)) and logits.shapes == ((3, ), (3, ))
