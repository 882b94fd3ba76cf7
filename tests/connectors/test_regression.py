import pytest
import torch

from skd_mm.connectors import ConvReg


@pytest.mark.parametrize(('scale', 'reference', 'weight'), [
    (1, (8, 6), (4, 3, 1, 1)), (2, (4, 3), (4, 3, 3, 3)), (0.5, (16, 12), (3, 4, 4, 4))])
def test_leads_to_the_partners_channels_and_resolution(scale, reference, weight):
    regressor = ConvReg(3, 4, scale)
    result = regressor(torch.randn(2, 3, 8, 6), torch.empty(2, 9, *reference))
    assert result.shape == (2, 4, *reference)
    assert regressor.conv.weight.shape == weight and regressor.conv.bias is not None


def test_is_convolution_bn_and_relu():
    regressor = ConvReg(3, 4)
    feature = torch.randn(2, 3, 8, 6)
    result = regressor(feature, feature)
    weight, bias = regressor.conv.weight[:, :, 0, 0], regressor.conv.bias[:, None, None]
    values = torch.einsum('oc,bcyx->boyx', weight, feature) + bias
    mean, std = values.mean((0, 2, 3), keepdim=True), values.var((0, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(result, ((values - mean) / (std + 1e-5).sqrt()).clamp(min=0), rtol=1e-4, atol=1e-5)
    assert ConvReg(3, 4, relu=False)(feature, feature).min() < 0


def test_at_equal_resolution_a_resize_may_follow():
    assert ConvReg(3, 4)(torch.randn(2, 3, 8, 6), torch.empty(2, 4, 5, 5)).shape == (2, 4, 8, 6)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'scale.*1, 2 or 0.5, not 4.*Resize'):
        ConvReg(3, 4, scale=4)
    with pytest.raises(ValueError, match=r'scale=2\) makes \[4, 3\] of \[8, 6\].*\[8, 6\]'):
        ConvReg(3, 4, scale=2)(torch.randn(2, 3, 8, 6), torch.empty(2, 4, 8, 6))
