import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from skd_mm.features import match_stages
from tests.helpers import batch, network


def outputs(**sides):
    return [(name, torch.zeros(1, 2, side, side)) for name, side in sides.items()]


def test_as_many_stages_are_paired_in_their_order():
    assert match_stages(outputs(a=8, b=4, c=4), outputs(x=16, y=8, z=2)) == ([('a', 'x'), ('b', 'y'), ('c', 'z')], [])


@pytest.mark.parametrize(('student', 'teacher', 'expected', 'alone'), [
    # Equal strides first ...
    (dict(a=16, b=8, c=4, d=2), dict(v=32, w=16, x=8, y=4, z=2), ['aw', 'bx', 'cy', 'dz'], ['v']),
    (dict(v=32, w=16, x=8, y=4, z=2), dict(a=16, b=8, c=4, d=2), ['wa', 'xb', 'yc', 'zd'], ['v']),
    # ... then equal depths: STDC and a dilated ResNet, four stages and the blocks of a ViT.
    (dict(a=32, b=16, c=8, d=4, e=2), dict(w=16, x=8, y=8, z=8), ['bw', 'cx', 'dy', 'ez'], ['a']),
    (dict(a=16, b=8), dict(u=4, v=4, w=4, x=4, y=4, z=4), ['aw', 'bz'], ['u', 'v', 'x', 'y']),
    # The last stages are always a pair, and the order is kept.
    (dict(a=16, b=8, c=4), dict(y=16, z=8), ['ay', 'cz'], ['b']),
    (dict(a=8), dict(x=8, y=4, z=2), ['az'], ['x', 'y']),
])
def test_other_numbers_of_stages_are_paired_by_stride_then_by_depth(student, teacher, expected, alone):
    pairs, left = match_stages(outputs(**student), outputs(**teacher))
    assert ([''.join(pair) for pair in pairs], left) == (expected, alone)


def test_tokens_have_a_stride_and_images_may_differ():
    """A map of stride 16 of 64x64 and tokens of stride 16 of 32x64, with a class token."""
    student = outputs(a=16, b=4, c=2)
    teacher = [('y', torch.zeros(1, 8 + 1, 5)), ('z', torch.zeros(1, 2, 5))]
    pairs, alone = match_stages(student, teacher, ((64, 64), (32, 64)))
    assert (pairs, alone) == ([('b', 'y'), ('c', 'z')], ['a'])


def test_no_stages():
    assert match_stages([], outputs(a=4)) == ([], ['a'])


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
