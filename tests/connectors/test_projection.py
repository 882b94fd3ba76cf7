import pytest
import torch
from torch import nn

from skd_mm.connectors import Conv1x1, Projector, RestoreChannels


def test_projects_channels_and_nothing_else():
    connector = Conv1x1(3, 5)
    feature = torch.randn(2, 3, 4, 6)
    projected = connector(feature, torch.zeros(2, 5, 1, 1))
    assert projected.shape == (2, 5, 4, 6)
    weight, bias = connector.conv.weight[:, :, 0, 0], connector.conv.bias
    torch.testing.assert_close(projected[1, :, 2, 3], weight @ feature[1, :, 2, 3] + bias)


def test_the_bias_can_be_left_out():
    connector = Conv1x1(3, 5, bias=False)
    assert [name for name, _ in connector.named_parameters()] == ['conv.weight']
    assert not connector(torch.zeros(1, 3, 2, 2), torch.zeros(1)).any()


def test_the_projection_head_is_two_convolutions_with_bn_and_relu():
    projector = Projector(3, 5)
    feature = torch.randn(2, 3, 4, 6)
    result = projector(feature, torch.zeros(1))
    first, norm, _, second = projector.layers
    values = torch.einsum('dc,bcyx->bdyx', first.weight[:, :, 0, 0], feature)
    values = nn.functional.batch_norm(values, None, None, norm.weight, norm.bias, training=True)
    expected = torch.einsum('dc,bcyx->bdyx', second.weight[:, :, 0, 0], values.clamp(min=0))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
    assert result.shape == (2, 5, 4, 6) and first.bias is None and second.bias is None


def test_restored_channels_begin_in_their_place_and_the_others_as_zero():
    connector = RestoreChannels(3, 5)
    connector.start_from([0, 2, 4])
    pruned = torch.randn(2, 3, 4, 6)
    restored = connector(pruned, torch.zeros(2, 5, 4, 6))
    torch.testing.assert_close(restored[:, ::2], pruned)
    assert not restored[:, 1::2].any()
    with pytest.raises(ValueError, match='the pruned feature has 3 channels, and 2 were kept'):
        connector.start_from([0, 1])
