"""Pruned students are compared with the channels that they have kept."""

import pytest
import torch

from tests.helpers import (
    UNET_SPOTS,
    batch,
    build_distiller,
    config,
    differing,
    last_checkpoint,
    network,
    train,
    train_killed,
    unet,
)
from tests.integration.quantised_runs import FirstIsBest

KEPT = dict(type='KeptChannels')
PRUNED = dict(type='PruneChannels', macs=0.5, min_channels=1)
SPOTS = [dict(student=name, teacher_connector=KEPT) for name in UNET_SPOTS]


@pytest.fixture(autouse=True)
def needs_torch_pruning():
    pytest.importorskip('torch_pruning')


@pytest.fixture
def before(tmp_path):
    """A checkpoint of the network before pruning, in which other channels are strong than in a new network."""
    model = build_distiller(student=unet(width=1 / 8), teacher=None, spots=()).student
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and name.endswith('weight'):
            torch.nn.init.uniform_(parameter, 0.5, 2)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'before.pth')
    return str(tmp_path / 'before.pth')


def networks(before):
    return dict(teacher=dict(unet(width=1 / 8), checkpoint=before),
                student=dict(unet(width=1 / 8), checkpoint=before, transform=PRUNED))


def channels(distiller):
    return {name: spot.teacher_connector[0].channels.tolist() for name, spot in distiller.spots.items()}


@pytest.mark.slow
def test_a_pruned_feature_is_compared_with_the_channels_that_it_was(before):
    distiller = build_distiller(**networks(before), spots=SPOTS)
    at_first = channels(distiller)
    distiller.init_weights()
    kept = channels(distiller)
    assert kept != at_first  # which ones were kept depends on the checkpoint
    # Nothing comes before the stem but the image, so its channels still return what they did, and others return less.
    spot = distiller.spots['backbone/stem']
    student, teacher = distiller.student.backbone, distiller.teacher.backbone
    assert torch.equal(student.conv1.weight, teacher.conv1.weight[spot.teacher_connector[0].channels])
    assert student.conv1.weight.shape != teacher.conv1.weight.shape
    for name in UNET_SPOTS[1:]:
        conv = name + '.0.conv2' if name.startswith('backbone') else name + '.conv2.conv'
        own, other = (net.get_submodule(conv).weight.abs().sum((1, 2, 3)) for net in (distiller.student,
                                                                                      distiller.teacher))
        assert (own <= other[kept[name.replace('.', '/')]] + 1e-6).all()
    distiller.eval()
    distiller.activate([], ['backbone.stem'])
    assert distiller.loss(*batch(2, side=64))['spots.backbone.stem.loss'] == 0


@pytest.mark.slow
def test_channels_are_resumed(before, tmp_path):
    def run(folder):
        model = dict(type='skd_mm.Distiller', **networks(before), spots=SPOTS[:3])
        cfg = config(tmp_path / folder, model=model, schedule=dict(type='Stagewise', phase_iters=2))
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.update(side=32)
        cfg.val_evaluator = [dict(type=FirstIsBest)]
        return cfg

    whole = train(run('whole')).model
    train_killed(run('killed'), 'before_phase', 2)
    train(run('killed'), resume=True)
    states = [dict(last_checkpoint(tmp_path / folder)['state_dict']) for folder in ('whole', 'killed')]
    assert not differing(*states)
    key = 'spots.backbone/stem.teacher_connector.0.channels'
    assert states[0][key].tolist() == channels(whole)['backbone/stem']


def test_a_student_whose_channels_are_not_known_is_refused(before, tmp_path):
    spots = [dict(student='backbone.layers.1', teacher_connector=KEPT)]
    with pytest.raises(ValueError, match=r"spot 'backbone.layers.1': .* KeptChannels needs .*PruneChannels.*'auto'"):
        build_distiller(network(), network(), spots)


@pytest.mark.slow
def test_a_checkpoint_after_pruning_is_refused(before, tmp_path):
    distiller = build_distiller(**networks(before), spots=SPOTS)
    distiller.init_weights()
    torch.save(dict(state_dict=distiller.student.state_dict()), tmp_path / 'after.pth')
    distiller.student_checkpoint = str(tmp_path / 'after.pth')
    with pytest.raises(ValueError, match=r'a checkpoint of the network before pruning'):
        distiller.init_weights()
