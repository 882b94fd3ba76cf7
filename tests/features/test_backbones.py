import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from skd_mm.features import FeatureExtractor, backbone_stages


def stages(backbone, side=32):
    init_default_scope('mmpretrain')
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'))).eval()
    found = backbone_stages(FeatureExtractor(model), lambda: model(torch.zeros(1, 3, side, side), mode='tensor'))
    return {name: tuple(output.shape[1:]) for name, output in found}


@pytest.mark.parametrize(('backbone', 'expected'), [
    (dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
     {'layer1': (4, 32, 32), 'layer2': (8, 16, 16), 'layer3': (16, 8, 8), 'layer4': (32, 4, 4)}),
    (dict(type='skd_mm.CIFARResNet', depth=8),
     {'layer1': (16, 32, 32), 'layer2': (32, 16, 16), 'layer3': (64, 8, 8)}),
    (dict(type='skd_mm.WideResNet', depth=10),
     {'stem': (16, 32, 32), 'layer1': (16, 32, 32), 'layer2': (32, 16, 16), 'layer3': (64, 8, 8)}),
    # Lists of modules in place of lists of names.
    (dict(type='ShuffleNetV2', widen_factor=0.5),
     {'layers.0': (48, 4, 4), 'layers.1': (96, 2, 2), 'layers.2': (192, 1, 1), 'layers.3': (1024, 1, 1)}),
    (dict(type='ConvNeXt', arch=dict(depths=[1] * 4, channels=[4, 8, 16, 32]), gap_before_final_norm=False),
     {f'stages.{i}': (4 * 2**i, 8 // 2**i, 8 // 2**i) for i in range(4)}),
])
def test_a_backbones_own_stages(backbone, expected):
    found = stages(backbone)
    assert list(found.items()) == [(f'backbone.{name}', shape) for name, shape in expected.items()]


def test_backbones_without_stages_say_so():
    class Flat(nn.Module):
        def __init__(self, **parts):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, x):
            return self.backbone(x) if hasattr(self, 'backbone') else x

    for model, words in ((Flat(), r'has no backbone'), (Flat(backbone=nn.Identity()), 'no module that returns a map')):
        with pytest.raises(ValueError, match=f'{words}.*name the spots one by one'):
            backbone_stages(FeatureExtractor(model, 'teacher'), lambda model=model: model(torch.zeros(1, 3, 4, 4)))
