import copy

import pytest
import torch
from torch import nn

from skd_mm.features import FeatureCache
from skd_mm.utils import UNLABELLED
from tests.helpers import SPOTS, batch, build_distiller, network

LAYERS = [f'backbone.layers.{k}' for k in range(3)]
INPUTS = dict(input_connector='auto', connector='auto')


def distiller(**kwargs):
    model = build_distiller(**kwargs)
    with torch.no_grad():  # the teacher's is another network, with features that are far from the student's
        for parameter in model.teacher.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model.train()


def by_hand(model, inputs):
    """The losses of the three layers, each run alone on the teacher's feature."""
    student, teacher = copy.deepcopy(model.student), model.teacher
    losses, given = [], inputs
    for one, other in zip(student.backbone.layers, teacher.backbone.layers, strict=True):
        feature = one(given)
        with torch.no_grad():
            given = other(given)
        losses.append((feature - given).square().mean())
    return losses, student


def test_each_stage_is_trained_on_the_teachers_features():
    model = distiller()
    model.activate(SPOTS, SPOTS, teacher_forcing=SPOTS)
    inputs, samples = batch()
    expected, student = by_hand(model, inputs)
    losses = model.loss(inputs, samples)
    torch.testing.assert_close([losses[f'spots.{spot}.loss'] for spot in SPOTS], expected)
    sum(losses.values()).backward()
    sum(expected).backward()
    for name, parameter in model.student.backbone.named_parameters():
        torch.testing.assert_close(parameter.grad, student.backbone.get_parameter(name).grad, msg=name)


def test_no_stage_is_trained_for_a_later_one():
    model = distiller()
    model.activate(SPOTS, SPOTS, teacher_forcing=SPOTS)
    losses = model.loss(*batch())
    losses[f'spots.{SPOTS[2]}.loss'].backward()
    reached = {name for name, parameter in model.student.named_parameters() if parameter.grad is not None}
    assert reached == {f'{LAYERS[2]}.{name}' for name, _ in model.student.get_submodule(LAYERS[2]).named_parameters()}


def test_the_task_head_is_trained_on_the_teachers_feature():
    model = distiller()
    model.activate('all', SPOTS, 1.0, teacher_forcing=SPOTS)
    model.loss(*batch())['decode.loss_ce'].backward()
    assert all(parameter.grad is None for parameter in model.student.backbone.parameters())
    assert model.student.decode_head.conv_seg.weight.grad.any()


def test_what_is_not_named_goes_on_with_its_own_feature():
    model = distiller()
    model.activate('all', SPOTS, teacher_forcing=[SPOTS[1]])
    losses = model.loss(*batch())
    losses[f'spots.{SPOTS[1]}.loss'].backward(retain_graph=True)
    assert model.student.backbone.layers[0][0].weight.grad is not None
    model.zero_grad()
    losses[f'spots.{SPOTS[2]}.loss'].backward()
    assert model.student.backbone.layers[1][0].weight.grad is None


@pytest.mark.parametrize('task', [0, 1])
def test_validation_runs_the_student_as_it_is(task):
    model = distiller()
    model.activate('all', SPOTS, task, teacher_forcing=SPOTS)
    plain = copy.deepcopy(model)
    plain.activate('all', SPOTS, task)
    inputs, samples = batch()
    with torch.no_grad():
        found, expected = (net.eval().predict(inputs, copy.deepcopy(samples)) for net in (model, plain))
    for one, other in zip(found, expected, strict=True):
        if task:
            assert torch.equal(one.seg_logits.data, other.seg_logits.data)
        else:
            assert one.spot_losses == other.spot_losses


def test_a_module_that_changes_its_input_in_place_does_not_change_the_target():
    model = distiller()
    layers = model.student.backbone.layers
    layers[1] = nn.Sequential(nn.Hardtanh(0, 0.1, inplace=True), layers[1])
    plain = copy.deepcopy(model)
    for net in (model, plain):
        net.activate('all', SPOTS, teacher_forcing=SPOTS)
    plain.student.backbone.layers[1][0] = nn.Hardtanh(0, 0.1)
    inputs, samples = batch()
    assert model.loss(inputs, samples) == plain.loss(inputs, samples)


def test_the_cache_changes_nothing():
    inputs, samples = batch()
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(sample_idx=i, sample_key=(i,)))
    model = distiller()
    losses = []
    for cache in (None, FeatureCache(2**30)):
        model.activate(SPOTS[1:], SPOTS[1:], cache=cache, teacher_forcing=SPOTS[1:])
        losses += [model.loss(inputs, samples) for _ in range(2)]
    assert losses[1:] == losses[:1] * 3


def test_samples_without_labels_count_at_the_spots():
    model = distiller()
    model.activate('all', SPOTS, 1.0, teacher_forcing=SPOTS)
    inputs, samples = batch(4)
    expected = model.loss(inputs, samples)
    for sample in samples[2:]:
        sample.set_metainfo({UNLABELLED: True})
    found = model.loss(inputs, samples)
    first = f'spots.{SPOTS[0]}.loss'
    torch.testing.assert_close(found[first], expected[first], rtol=0.2, atol=0)  # BN sees the halves alone
    assert found['decode.loss_ce'] != expected['decode.loss_ce']
    sum(found.values()).backward()
    assert model.student.backbone.layers[1][0].weight.grad.any()


def wider():
    return distiller(teacher=network(width=6), spots=[dict(student=spot, **INPUTS) for spot in SPOTS])


def test_connectors_bring_the_teachers_features_to_the_students_width():
    model = wider()
    model.activate('all', SPOTS, teacher_forcing=SPOTS)
    inputs, samples = batch()
    losses = model.loss(inputs, samples)
    names = {f'spots.{spot}.input.loss' for spot in SPOTS[:2]}  # nothing reads the last feature
    assert names == {name for name in losses if name.endswith('.input.loss')}
    sum(losses[name] for name in names).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained and all('.input_connector.' in name for name in trained)
    # The teacher's feature as the connector maps it is what the next stage is run on.
    with torch.no_grad():
        target = model.teacher.backbone.layers[0](inputs)
        given = model.spots[SPOTS[0].replace('.', '/')].input_connector[0](target, target)
        expected = model.student.backbone.layers[0](inputs)
        torch.testing.assert_close(losses[f'spots.{SPOTS[0]}.input.loss'], (given - expected).square().mean())
        feature = model.student.backbone.layers[1](given)
        spot = model.spots[SPOTS[1].replace('.', '/')]
        target = model.teacher.backbone.layers[1](target)
        torch.testing.assert_close(losses[f'spots.{SPOTS[1]}.loss'], spot(feature, target).mean())


def test_the_input_connectors_are_trained_in_such_phases_only():
    model = wider()
    model.activate('all', SPOTS)
    assert not any('.input_connector.' in name for name in model.trainable())
    assert not any(name.endswith('input.loss') for name in model.loss(*batch()))
    model.activate('all', SPOTS, teacher_forcing=[SPOTS[1]])
    assert connectors_trained(model) == SPOTS[1:2]
    model.activate('all', SPOTS, teacher_forcing=SPOTS)
    assert connectors_trained(model) == SPOTS[:2]  # a data-parallel wrapper would wait for a gradient of the last one
    model.activate('all', SPOTS, 1.0, teacher_forcing=SPOTS)
    assert connectors_trained(model) == SPOTS


def connectors_trained(model):
    trained = {name.split('.')[1].replace('/', '.') for name in model.trainable() if '.input_connector.' in name}
    return sorted(trained)


def test_of_several_spots_at_a_module_one_replaces_the_feature():
    spots = [dict(name='plain', student=SPOTS[0], connector='auto'), dict(name='forced', student=SPOTS[0], **INPUTS)]
    model = distiller(teacher=network(width=6), spots=spots)
    model.activate('all', ['plain', 'forced'], 1.0, teacher_forcing=['plain', 'forced'])
    assert [spot.name for spot in model.active.forced] == ['forced']


@pytest.mark.parametrize(('spots', 'names', 'words'), [
    ([dict(student=SPOTS[0], connector='auto')], [SPOTS[0]],
     r"teacher_forcing: at spot 'backbone.layers.0' the teacher's feature \[6, .*input_connector='auto'"),
    ([dict(student='backbone[0]', **INPUTS), dict(student='backbone[2]', **INPUTS)],
     ['backbone[0]'], r"'backbone\[0\]' cannot be replaced.*'backbone' contains 'backbone.layers.1"),
    ([dict(name='two', student=SPOTS[:2], loss=dict(type='FSPLoss'))], ['two'], r"spot 'two' compares several modules"),
    ([dict(student=SPOTS[0], connector='auto')], ['nowhere'], 'nowhere')])
def test_what_cannot_be_replaced(spots, names, words):
    model = distiller(teacher=network(width=4 if names == ['two'] else 6), spots=spots)
    with pytest.raises((KeyError, ValueError), match=words):
        model.activate('all', list(model.resolver.spots), teacher_forcing=names)


def test_an_input_connector_of_another_shape():
    with pytest.raises(ValueError, match=r'spot .*: its input_connector makes \[6, 12, 12\].*not \[4, 12, 12\]'):
        distiller(teacher=network(width=6), spots=[dict(INPUTS, student=SPOTS[0], input_connector=dict(type='Resize'))])


def test_no_router():
    model = distiller(router=dict(gate='never'))
    with pytest.raises(ValueError, match='teacher_forcing does not work with a router'):
        model.activate('all', SPOTS, 1.0, teacher_forcing=SPOTS)
