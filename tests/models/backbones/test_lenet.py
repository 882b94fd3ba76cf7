import torch
from mmengine.registry import MODELS


def test_the_shapes_and_parameters_of_lenet_5():
    net = MODELS.build(dict(type='skd_mm.LeNet5'))
    assert net(torch.zeros(1, 1, 32, 32))[0].shape == (1, 84)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == 6 * 26 + 16 * 151 + 401 * 120 + 121 * 84
    assert count + 85 * 100 == 69_356  # with a head for 100 classes
    kinds = [type(layer).__name__ for layer in net.layers]
    assert kinds.count('ReLU') == 4 and kinds.count('MaxPool2d') == 2 and 'Tanh' not in kinds
