"""Probing a network by running it on zeros."""

import pytest
import torch

from skd_mm.distillers.probing import features_at, pooled_feature, probe, stage_entries, stage_pairs
from tests.helpers import SPOTS, build_distiller, unet

SHAPE = (3, 16, 16)


@pytest.fixture
def network():
    return build_distiller().student_network


def test_features_at_modules_in_any_order(network):
    features = features_at(network, SHAPE, [SPOTS[2], SPOTS[0]])
    assert list(features) == [SPOTS[2], SPOTS[0]]
    expected = network.run(lambda: network.model.eval()(torch.zeros(1, *SHAPE), mode='tensor'), capture=[SPOTS[0]])[1]
    assert torch.equal(features[SPOTS[0]], expected[SPOTS[0]])


def test_the_modes_are_afterwards_what_they_were(network):
    network.model.train()
    network.model.backbone.layers[1].eval()
    before = [module.training for module in network.model.modules()]
    with pytest.raises(ValueError, match=r'could not be run on zeros of shape \[4, 16, 16\]'):
        probe(network, (4, 16, 16), lambda call: call())
    assert [module.training for module in network.model.modules()] == before


def test_stages_are_paired_by_resolution_or_as_they_are_given(network):
    teacher = build_distiller(unet(), None, []).student_network
    shape = (3, 64, 64)
    assert stage_pairs(teacher, None, shape)[0] == ('backbone.layer1', ) * 2
    assert stage_pairs(teacher, teacher, shape, ['backbone.layer2'], ['backbone.layer2']) == [('backbone.layer2', ) * 2]


def test_where_a_network_is_pooled(network):
    assert pooled_feature(network, SHAPE) == SPOTS[2]


def test_entries_lead_to_the_same_output(network):
    network.model.eval()
    ends = [*SPOTS, 'decode_head.conv_seg']
    entries = stage_entries(network, SHAPE, ends)
    assert [entry.end for entry in entries] == ends
    inputs = torch.randn(2, *SHAPE)
    expected, features = network.run(lambda: network.model(inputs, mode='tensor'), capture=SPOTS)
    replay = {path: features[SPOTS[0]] if path == SPOTS[0] else None for path in entries[0].modules}
    assert torch.equal(network.run(lambda: network.model(inputs * 0, mode='tensor'), replay=replay)[0], expected)
