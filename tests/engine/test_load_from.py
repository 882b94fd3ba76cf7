"""Checkpoints of plain networks and of distillers, as ``load_from``."""

import logging

import pytest
import torch

from skd_mm.engine.load_from import adapt_weights
from tests.helpers import SPOTS, build_distiller, config, differing, network, train

LOGGER = logging.getLogger('test_load_from')


@pytest.fixture
def distiller():
    return build_distiller(spots=[dict(student=SPOTS[0], connector=dict(type='Conv1x1'))])


def plain(distiller, prefix=''):
    return {prefix + name: value + 1 for name, value in distiller.student.state_dict().items()}


@pytest.mark.parametrize('prefix', ['', 'module.', 'student.', 'module.student.'])
@pytest.mark.parametrize('nested', [True, False])
def test_weights_of_a_student_fit_a_distiller(distiller, prefix, nested, caplog):
    weights = plain(distiller, prefix)
    checkpoint = dict(state_dict=weights, meta={}) if nested else weights
    adapt_weights(checkpoint, distiller, LOGGER)
    assert not caplog.records
    expected = {f'student.{name}': value for name, value in plain(distiller).items()}
    assert not differing(expected, dict(checkpoint['state_dict']))


def test_a_distillers_own_checkpoint_stays_whole(distiller):
    own = dict(distiller.state_dict())
    checkpoint = dict(state_dict=dict(own))
    adapt_weights(checkpoint, distiller, LOGGER)
    assert not differing(own, checkpoint['state_dict'])


def test_a_part_of_the_student_is_loaded_with_a_warning(distiller, caplog):
    weights = plain(distiller)
    weights['decode_head.conv_seg.weight'] = torch.zeros(7, 4, 1, 1)
    adapt_weights(dict(state_dict=weights), distiller, LOGGER)
    record, = caplog.records
    assert f'{len(weights) - 1} of the {len(weights)} weights' in record.message
    assert "['student.decode_head.conv_seg.weight']" in record.message


@pytest.mark.parametrize('weights', [{'net.a': torch.zeros(1)}, {}])
def test_a_checkpoint_of_another_network_is_refused(distiller, weights):
    with pytest.raises(ValueError, match=r'load_from: the checkpoint has none of the \d+ weights of model\.student'):
        adapt_weights(dict(state_dict=weights), distiller, LOGGER)


def test_a_run_starts_from_a_plain_student(tmp_path):
    student = build_distiller(network(), None, [], seed=7).student
    torch.save(dict(state_dict=student.state_dict(), meta={}), tmp_path / 'student.pth')
    runner = train(config(tmp_path / 'run', load_from=str(tmp_path / 'student.pth'), param_scheduler=[],
                          schedule=dict(type='NoTeacher', phase_iters=1),
                          optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.))))
    trained = dict(runner.model.student.state_dict())
    for name, _ in student.named_parameters():
        assert torch.equal(trained[name], student.state_dict()[name]), name
