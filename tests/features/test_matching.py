import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from skd_mm.features import match_stages
from tests.helpers import batch, network


def outputs(**sides):
    return [(name, torch.zeros(1, 2, side, side)) for name, side in sides.items()]


def test_as_many_stages_are_paired_in_their_order():
    assert match_stages(outputs(a=8, b=4, c=4), outputs(x=16, y=8, z=2)) == ([('a', 'x'), ('b', 'y'), ('c', 'z')], [])


def test_other_numbers_of_stages_are_paired_by_resolution_and_the_rest_is_named():
    pairs, alone = match_stages(outputs(a=8, b=8, c=4, d=2), outputs(w=16, x=8, y=4, z=4, u=1))
    assert pairs == [('b', 'x'), ('c', 'z')]  # the last of each resolution
    assert alone == ['a', 'd', 'w', 'y', 'u']


@pytest.mark.parametrize(('teacher', 'kinds'), [
    (network(), []),
    (network(width=6), ['Conv1x1']),
    (network(stride=2), ['Resize']),
    (network(width=6, stride=2), ['Conv1x1', 'Resize'])])
def test_what_differs_is_bridged(teacher, kinds):
    init_default_scope('mmseg')
    distiller = MODELS.build(dict(type='skd_mm.Distiller', student=network(), teacher=teacher, spots='backbone'))
    assert [spot.student for spot in distiller.spots.values()] == [f'backbone.layers.{i}' for i in range(3)]
    connectors = [[type(part).__name__ for part in spot.connector] for spot in distiller.spots.values()]
    assert connectors == [[kind for kind in kinds if kind != 'Resize'], kinds, kinds]
    inputs, samples = batch()
    for spot in distiller.spots.values():
        distiller.activate([spot.name], [spot.name])
        assert torch.isfinite(distiller(inputs, samples, mode='loss')[f'spots.{spot.name}.loss'])
