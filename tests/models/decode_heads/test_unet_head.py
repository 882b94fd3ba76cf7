"""The U-Net head: counts, shapes, skips, hooks, padding."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import nn

from skd_mm.models import ResNet, UNetHead
from skd_mm.registry import MODELS

UNETS = {10: 8_059_084, 14: 13_960_396, 18: 14_329_804, 20: 15_510_476, 26: 20_600_524, 34: 24_437_964}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def unet(num_classes=12, width=0.25, depth=10, **head):
    preprocessor = dict(type='mmseg.SegDataPreProcessor', mean=[0.] * 3, std=[255.] * 3, size_divisor=32,
                        test_cfg=dict(size_divisor=32))
    return EncoderDecoder(
        data_preprocessor=preprocessor,
        backbone=dict(type='skd_mm.ResNet', depth=depth, width=width),
        decode_head=dict(type='skd_mm.UNetHead', num_classes=num_classes, width=width, **head),
        test_cfg=ConfigDict(mode='whole'))


@pytest.mark.parametrize('depth', UNETS)
def test_parameters_of_the_whole_net(depth):
    assert count(unet(depth=depth, width=1)) == UNETS[depth]


def test_parameters_of_the_parts():
    head = UNetHead(num_classes=12)
    assert [count(block) for block in head.blocks] == [2_360_320, 590_336, 147_712, 46_208, 6_976]
    assert count(head.blocks) == 3_151_552
    assert count(head.conv_seg) == 1_740
    assert count(head) == 3_151_552 + 1_740
    assert head.dropout is None


def test_shapes_at_the_papers_size():
    seen = {}
    model = unet(width=0.25).eval()
    for index in range(5):
        model.get_submodule(f'decode_head.blocks.{index}').register_forward_hook(
            lambda _, __, out, index=index: seen.update({index: out}))
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 480, 640))
    assert logits.shape == (1, 12, 480, 640)
    assert [tuple(seen[index].shape[1:]) for index in range(5)] == [
        (64, 30, 40), (32, 60, 80), (16, 120, 160), (8, 240, 320), (4, 480, 640)]
    assert all((out >= 0).all() for out in seen.values())


def test_each_skip_reaches_its_block_only():
    head = UNetHead(num_classes=3, width=0.25).eval()
    features = [torch.randn(1, channels, 32 >> level, 32 >> level)
                for level, channels in enumerate((16, 16, 32, 64, 128))]
    seen = []
    for block in head.blocks:
        block.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        head(features)
        before, seen[:] = list(seen), []
        features[1] = features[1] + 1  # layer1, the skip of blocks.2
        head(features)
    assert [torch.equal(old, new) for old, new in zip(before, seen, strict=True)] == [True, True, False, False, False]


def test_upsamples_by_the_nearest():
    head = UNetHead(num_classes=3, width=0.25).eval()
    block = head.blocks[4]
    received = []
    block.conv1.register_forward_hook(lambda _, inputs, __: received.append(inputs[0]))
    x = torch.randn(1, 8, 4, 4)
    block(x)
    assert torch.equal(received[0], x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_block_outputs_are_never_written_to():
    model = unet()
    captured = []
    for block in model.decode_head.blocks:
        block.register_forward_hook(lambda _, __, out: captured.append((out, out.clone())))
    model(torch.randn(1, 3, 64, 64))
    assert len(captured) == 5 and all(torch.equal(seen, copy) for seen, copy in captured)


def test_head_is_a_3x3_with_bias():
    conv = UNetHead(num_classes=12).conv_seg
    assert conv.kernel_size == (3, 3) and conv.padding == (1, 1) and conv.bias is not None


def test_initialisation():
    torch.manual_seed(0)
    head = UNetHead(num_classes=12)
    head.init_weights()
    weight = head.blocks[0].conv1.conv.weight  # Kaiming uniform, fan-in: bound sqrt(6 / fan_in)
    assert weight.abs().max().item() == pytest.approx((6 / (768 * 9))**0.5, rel=0.001)
    seg = head.conv_seg.weight  # Xavier uniform: bound sqrt(6 / (fan_in + fan_out))
    assert seg.abs().max().item() == pytest.approx((6 / (16 * 9 + 12 * 9))**0.5, rel=0.02)
    assert (head.conv_seg.bias == 0).all()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()


def _sample(height, width):
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 12, (1, height, width))))
    sample.set_metainfo(dict(img_shape=(height, width), ori_shape=(height, width), pad_shape=(height, width)))
    return sample


@pytest.mark.parametrize('height, width', [(360, 480), (33, 40)])
def test_any_size_works_through_the_data_preprocessor(height, width):
    model = unet().eval()
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    result = model.test_step(dict(inputs=[image], data_samples=[_sample(height, width)]))[0]
    assert result.pred_sem_seg.shape == (height, width)
    losses = model.train()(**model.data_preprocessor(
        dict(inputs=[image] * 2, data_samples=[_sample(height, width), _sample(height, width)]), True), mode='loss')
    assert losses['decode.loss_ce'].isfinite()


def test_a_side_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r'divisible by 32.*size_divisor=32'):
        unet()(torch.randn(1, 3, 72, 96))


def test_other_encoders_fit():
    head = UNetHead(num_classes=3, in_channels=(8, 12, 20), in_index=(0, 1, 2), block_channels=(16, 8, 4))
    features = [torch.randn(1, channels, 16 >> level, 16 >> level) for level, channels in enumerate((8, 12, 20))]
    assert head(features).shape == (1, 3, 32, 32)


@pytest.mark.parametrize('kwargs, message', [
    (dict(width=0.05), 'width=0.05'),
    (dict(in_channels=(64, 64)), 'has 2 features, .* has 5 blocks'),
])
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        UNetHead(num_classes=3, **kwargs)


def test_is_registered():
    assert MODELS.get('skd_mm.UNetHead') is UNetHead
    assert MODELS.get('skd_mm.ResNet') is ResNet
