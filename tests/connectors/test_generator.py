import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skd_mm.connectors import MaskedGenerator
from skd_mm.losses import MSELoss


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_aligns_masks_and_generates(monkeypatch):
    connector = MaskedGenerator(3, 5)
    feature, draw = torch.randn(2, 3, 4, 6), torch.rand(2, 1, 4, 6)
    monkeypatch.setattr(torch, 'rand', lambda *shape, **kwargs: draw.reshape(shape))
    result = connector(feature, torch.zeros(2, 5, 4, 6))
    aligned = torch.einsum('dc,bcyx->bdyx', connector.align.weight[:, :, 0, 0], feature)
    aligned = aligned + connector.align.bias[:, None, None]  # a masked position has no bias either
    for b in range(2):
        for y in range(4):
            for x in range(6):
                if draw[b, 0, y, x] > 0.25:
                    aligned[b, :, y, x] = 0
    first, _, second = connector.generator
    expected = F.conv2d(F.conv2d(aligned, first.weight, first.bias, padding=1).clamp(min=0), second.weight, second.bias,
                        padding=1)
    torch.testing.assert_close(result, expected)
    assert result.shape == (2, 5, 4, 6)


def test_equal_channels_are_not_aligned():
    assert isinstance(MaskedGenerator(3, 3).align, nn.Identity)
    assert parameters(MaskedGenerator(3, 3)) == 2 * (3 * 3 * 9 + 3)


def test_the_share_that_is_masked_and_a_new_mask_for_every_image_and_step():
    connector = MaskedGenerator(2, 2, mask_ratio=0.6)
    connector.generator = nn.Identity()
    masks = torch.stack([connector(torch.ones(3, 2, 50, 50), torch.ones(1)) for _ in range(2)])
    assert set(masks.unique().tolist()) == {0, 1}
    assert masks.mean().item() == pytest.approx(0.4, abs=0.01)
    assert torch.equal(masks[:, :, 0], masks[:, :, 1])
    assert not torch.equal(masks[0], masks[1]) and not torch.equal(masks[0, 0], masks[0, 1])


def test_nothing_is_masked_in_eval_mode_and_at_ratio_zero():
    connector, feature = MaskedGenerator(3, 5).eval(), torch.randn(2, 3, 4, 6)
    expected = connector.generator(connector.align(feature))
    assert torch.equal(connector(feature, feature), expected)
    connector.mask_ratio = 0
    assert torch.equal(connector.train()(feature, feature), expected)


def test_a_narrow_generator():
    connector = MaskedGenerator(3, 8, width=2)
    shapes = [tuple(layer.weight.shape) for layer in connector.generator if isinstance(layer, nn.Conv2d)]
    assert shapes == [(2, 8, 1, 1), (2, 2, 3, 3), (8, 2, 1, 1)]
    assert connector(torch.randn(2, 3, 4, 6), torch.zeros(1)).shape == (2, 8, 4, 6)


def test_the_costs_that_the_docs_state():
    assert parameters(MaskedGenerator(2048, 2048).generator) == pytest.approx(75.5e6, rel=0.01)
    narrow = MaskedGenerator(2048, 2048, width=256)
    weights = sum(layer.weight.numel() for layer in narrow.generator if isinstance(layer, nn.Conv2d))
    assert parameters(narrow) == pytest.approx(1.64e6, rel=0.01)
    assert weights * 64**2 == pytest.approx(6.7e9, rel=0.01)


def test_the_published_loss_and_its_mean():
    """A sum over everything, over the number of images, times 2e-5."""
    student, teacher = torch.randn(2, 8, 4, 6), torch.randn(2, 8, 4, 6)
    expected = 2e-5 * F.mse_loss(student, teacher, reduction='sum') / 2
    torch.testing.assert_close(2e-5 * MSELoss('sum')(student, teacher).mean(), expected)
    torch.testing.assert_close(2e-5 * 8 * 4 * 6 * MSELoss()(student, teacher).mean(), expected)
    assert round(2e-5 * 2048 * 64 * 64) == 168


def test_half_precision():
    connector, feature = MaskedGenerator(3, 5), torch.randn(2, 3, 4, 6)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert connector(feature, feature).dtype == torch.bfloat16
    assert connector.bfloat16()(feature.bfloat16(), feature).dtype == torch.bfloat16


def test_refuses_numbers_that_make_no_sense():
    for key, value in (('mask_ratio', 1), ('mask_ratio', -.1), ('width', 0), ('width', True), ('width', 2.)):
        with pytest.raises(ValueError, match=f'MaskedGenerator: `{key}`'):
            MaskedGenerator(3, 5, **{key: value})
