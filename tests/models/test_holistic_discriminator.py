import pytest
import torch
from torch import nn

from skd_mm.losses.adversarial import gradient_penalty
from skd_mm.models import HolisticDiscriminator
from skd_mm.models.holistic_discriminator import SelfAttention
from skd_mm.registry import MODELS, build


@pytest.mark.parametrize(('depth', 'size', 'result'), [
    (4, (64, 64), (1, 1)), (4, (65, 65), (1, 1)), (4, (64, 128), (1, 5)), (3, (45, 45), (2, 2)), (4, (45, 45), (1, 1)),
    (4, (8, 8), (1, 1)), (1, (8, 9), (1, 1)), (2, (1, 40), (1, 7))])
def test_every_size_has_scores(depth, size, result):
    network = HolisticDiscriminator(3, channels=4, depth=depth)
    scores = network(torch.randn(2, 3, *size))
    assert scores.shape == (2, 1, *result)
    scores.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_the_layers_are_those_of_the_published_code():
    network = HolisticDiscriminator(19)
    shapes = [tuple(layer.weight.shape) for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert shapes == [(64, 19, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4)]
    attention = [(i, layer.query.out_channels, layer.value.out_channels) for i, layer in enumerate(network.layers)
                 if isinstance(layer, SelfAttention)]
    assert attention == [(6, 32, 256), (9, 64, 512)]
    slopes = [layer.negative_slope for layer in network.layers if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.1] * 4
    assert network.norm.num_features == 19 and (network.objective, network.penalty) == ('hinge', 10)


def test_layers_but_the_last_have_norm_one():
    network = HolisticDiscriminator(3, channels=4, depth=2).train()
    for _ in range(100):
        network(torch.randn(2, 3, 16, 16))
    layers = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert norms[:-1] == pytest.approx([1, 1], abs=.02) and norms[-1] != pytest.approx(1, abs=.02)


def test_a_small_map_is_padded_with_zeros_after_the_norm():
    network = HolisticDiscriminator(3, channels=4, depth=2).eval()
    network.norm.running_mean.fill_(2)
    small = torch.randn(2, 3, 9, 16)
    padded = torch.cat([small, torch.full((2, 3, 7, 16), 2.)], 2)
    torch.testing.assert_close(network(small), network(padded))


def test_attention_equals_its_formula():
    attention = SelfAttention(8).double()
    nn.init.constant_(attention.gamma, .5)
    feature = torch.randn(2, 8, 2, 3).double()
    result = attention(feature)
    for b in range(2):
        places = [feature[b, :, y, x] for y in range(2) for x in range(3)]
        query, key, value = ([layer.weight[:, :, 0, 0] @ place + layer.bias for place in places]
                             for layer in (attention.query, attention.key, attention.value))
        for i, place in enumerate(places):
            weights = torch.stack([(query[i] * key[j]).sum() for j in range(6)]).softmax(0)
            expected = .5 * sum(weights[j] * value[j] for j in range(6)) + place
            torch.testing.assert_close(result[b, :, i // 3, i % 3], expected)
    assert SelfAttention(8).gamma == 0 and torch.equal(SelfAttention(8)(feature.float()), feature.float())


def test_the_penalty_trains_it():
    network = HolisticDiscriminator(3, channels=4, depth=2, objective='wgan-gp')
    gradient_penalty(network, torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)).mean().backward()
    first = network.layers[0].parametrizations.weight.original
    assert first.grad.any() and first.grad.isfinite().all()


def test_is_built_from_a_config_and_refuses_what_does_not_fit():
    network = build(MODELS, dict(type='HolisticDiscriminator', channels=4, depth=2), num_classes=5)
    assert network.norm.num_features == 5 and network.min_size == 16
    for key, value in (('depth', 0), ('depth', True), ('objective', 'gan')):
        with pytest.raises(ValueError, match=f'HolisticDiscriminator: `{key}`'):
            HolisticDiscriminator(3, **{key: value})
