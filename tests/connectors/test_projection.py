import torch

from skd_mm.connectors import Conv1x1


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
