import torch
from mmengine.registry import MODELS


def test_rows_of_a_table():
    net = MODELS.build(dict(type='skd_mm.MLP', in_channels=13, channels=(8, 5)))
    feature, = net(torch.randn(4, 13, 1, 1))
    assert feature.shape == (4, 5) and (feature >= 0).all()
    assert [tuple(layer.weight.shape) for layer in net.layers if hasattr(layer, 'weight')] == [(8, 13), (5, 8)]
