import torch
from torch import nn

from skd_mm.connectors import Paraphraser, ParaphraserDecoder, Translator
from skd_mm.losses import FTLoss, MSELoss


def layers(module, kind):
    return [tuple(layer.weight.shape) for layer in module.modules() if isinstance(layer, kind)]


def test_the_factor_has_half_the_teachers_channels_on_both_sides():
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 8, 4, 4)
    translator, paraphraser = Translator(3, 8), Paraphraser(8, 3)
    assert translator(student, teacher).shape == paraphraser(teacher, student).shape == (2, 4, 4, 4)
    assert Translator(3, 8, rate=0.75)(student, teacher).shape[1] == 6
    assert FTLoss()(translator(student, teacher), paraphraser(teacher, student)).shape == (2,)


def test_the_layers_are_those_of_the_table():
    assert layers(Translator(3, 8), nn.Conv2d) == [(3, 3, 3, 3), (4, 3, 3, 3), (4, 4, 3, 3)]
    assert layers(Paraphraser(8), nn.Conv2d) == [(8, 8, 3, 3), (4, 8, 3, 3), (4, 4, 3, 3)]
    assert layers(ParaphraserDecoder(3, 8), nn.ConvTranspose2d) == [(4, 4, 3, 3), (4, 8, 3, 3), (8, 8, 3, 3)]
    assert layers(Translator(3, 8), nn.BatchNorm2d) == [(3,), (4,), (4,)]
    for module in (Paraphraser(8), ParaphraserDecoder(3, 8)):
        assert not layers(module, nn.BatchNorm2d)
    for module in (Translator(3, 8), Paraphraser(8), ParaphraserDecoder(3, 8)):
        slopes = [layer.negative_slope for layer in module.modules() if isinstance(layer, nn.LeakyReLU)]
        assert slopes == [0.1] * 3


def test_paraphraser_and_decoder_learn_to_reproduce_a_feature():
    feature = torch.randn(4, 2, 3, 3).relu().repeat_interleave(2, 1)  # half as many channels say it all
    paraphraser, decoder = Paraphraser(4, 4), ParaphraserDecoder(4, 4)
    losses = []
    for _ in range(60):
        losses.append(MSELoss()(decoder(paraphraser(feature, feature), feature), feature).mean())
        weights = [*paraphraser.parameters(), *decoder.parameters()]
        for weight, grad in zip(weights, torch.autograd.grad(losses[-1], weights), strict=True):
            weight.data -= 0.5 * grad
    assert losses[-1] < 0.5 * losses[0]
