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


class Net(nn.Module):
    """A model whose backbone has the given parts and forward pass."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.backbone = Backbone(forward, parts)

    def forward(self, x):
        return self.backbone(x)


class Backbone(nn.Module):
    def __init__(self, forward, parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.function(self, x)


def block(stride=1, channels=2, before=2):
    """Four convolutions, which are enough for a stage."""
    first = nn.Conv2d(before, channels, 3, stride, 1)
    return nn.Sequential(first, *(nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(3)))


def names(net, side=32):
    image = torch.zeros(1, 2, side, side)
    return [name.removeprefix('backbone.') for name, _ in backbone_stages(FeatureExtractor(net), lambda: net(image))]


def test_stages_end_before_a_lower_resolution_and_at_outputs():
    def forward(net, x):
        made = net.d(net.c(net.b(net.a(net.stem(x)))))
        return made, net.e(made)

    parts = dict(stem=nn.Conv2d(2, 2, 3, 2, 1), a=block(), b=block(), c=block(2), d=block(), e=block())
    # The stem has one convolution, a and b are one resolution, d and e are outputs.
    assert names(Net(forward, **parts)) == ['b', 'd', 'e']


def test_the_norm_of_the_pooled_feature_is_no_stage():
    def forward(net, x):
        return net.norm(net.b(net.a(x)).mean((2, 3), keepdim=True)).flatten(1)

    assert names(Net(forward, a=block(), b=block(2), norm=nn.GroupNorm(1, 2))) == ['a', 'b']


def test_branches_are_cut_where_each_changes_its_resolution_and_laterals_are_no_stages():
    def forward(net, x):
        x = net.a(x)
        low, high = net.low(x), net.high(x)
        lower = net.lower(low + net.down(high))
        return net.fuse(high + nn.functional.interpolate(net.lateral(lower), high.shape[2:]))

    parts = dict(a=block(), low=block(2), high=block(), down=nn.Conv2d(2, 2, 3, 2, 1), lower=block(2),
                 lateral=nn.Conv2d(2, 2, 1), fuse=block())
    assert names(Net(forward, **parts)) == ['a', 'low', 'high', 'fuse']


def test_a_wrapped_backbone_and_a_stage_that_ends_with_a_downsampling_are_opened():
    class Stage(nn.Module):
        def __init__(self, last=False):
            super().__init__()
            self.blocks = nn.ModuleList([block(), block()])
            self.merge = nn.Identity() if last else nn.Conv2d(2, 2, 2, 2)

        def forward(self, x):
            for one in self.blocks:
                x = one(x)
            return self.merge(x)

    net = Net(lambda net, x: net.inner(x), inner=nn.Sequential(Stage(), Stage(), Stage(last=True)))
    assert names(net) == ['inner.0.blocks.1', 'inner.1.blocks.1', 'inner.2']


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

    def forward(self, x):
        return x + self.layers(x)


class Tokens(nn.Module):
    """A transformer's skeleton: patches and a class token, blocks of one resolution, a final norm."""

    def __init__(self, depth):
        super().__init__()
        self.patches = nn.Conv2d(2, 4, 8, 8)
        self.blocks = nn.ModuleList(Residual() for _ in range(depth))
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([x[:, :1], x], dim=1)
        for one in self.blocks:
            x = one(x)
        return self.norm(x)[:, 0]


def test_blocks_of_one_resolution_are_cut_into_four_stages():
    for depth, expected in ((12, [2, 5, 8, 11]), (8, [1, 3, 5, 7]), (7, [6])):
        net = Net(lambda net, x: net.vit(x), vit=Tokens(depth))
        assert names(net) == [f'vit.blocks.{i}' for i in expected]


def test_tokens_have_a_resolution_with_or_without_a_class_token():
    def forward(net, x):
        tokens = net.a(x).flatten(2).transpose(1, 2)
        tokens = net.b(torch.cat([tokens[:, :1], tokens], dim=1))
        return net.c(tokens[:, 1::4])

    linear = [nn.Sequential(*(nn.Linear(2, 2) for _ in range(4))) for _ in range(2)]
    assert names(Net(forward, a=block(2), b=linear[0], c=linear[1])) == ['b', 'c']


def test_a_module_of_several_features_is_cut_at_the_first_one():
    class Fused(nn.Module):
        def __init__(self, **sizes):
            super().__init__()
            self.parts = nn.ModuleDict({name: block(stride) for name, stride in sizes.items()})

        def forward(self, high, low):
            high, low = self.parts['high'](high), self.parts['low'](low)
            return [high + nn.functional.interpolate(low, high.shape[2:]), low + high.mean((2, 3), keepdim=True)]

    def forward(net, x):
        x = net.a(x)
        high, low = net.fused(x, net.down(x))
        return net.b(nn.functional.max_pool2d(high, 4) + nn.functional.max_pool2d(low, 2))

    parts = dict(a=block(), down=nn.Conv2d(2, 2, 3, 2, 1), fused=Fused(high=1, low=1), b=block())
    assert names(Net(forward, **parts)) == ['a', 'fused[0]', 'b']
