"""Connectors of pruned students start from the channels that they have kept."""

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

RESTORE = dict(type='RestoreChannels')
PRUNED = dict(type='PruneChannels', macs=0.5, min_channels=1)
SPOTS = [dict(student=name, connector=RESTORE) for name in UNET_SPOTS]


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


def kept(spot):
    """Return the channels that the connector of a spot puts in place."""
    weight = spot.connector[0].conv.weight[..., 0, 0]
    assert (weight.sum(0) == 1).all() and (weight.sum(1) <= 1).all() and set(weight.unique().tolist()) <= {0, 1}
    assert not spot.connector[0].conv.bias.any()
    return weight.argmax(0)


@pytest.mark.slow
def test_connectors_put_the_kept_channels_in_place(before):
    distiller = build_distiller(**networks(before), spots=SPOTS)
    distiller.init_weights()
    student, teacher = distiller.student, distiller.teacher
    stem = kept(distiller.spots['backbone/stem'])
    assert torch.equal(student.backbone.conv1.weight, teacher.backbone.conv1.weight[stem])
    assert student.backbone.conv1.weight.shape != teacher.backbone.conv1.weight.shape
    for name in UNET_SPOTS[1:]:  # the weights of a kept channel have lost the channels of its input only
        conv = name + '.0.conv2' if name.startswith('backbone') else name + '.conv2.conv'
        own, other = (network.get_submodule(conv).weight.abs().sum((1, 2, 3)) for network in (student, teacher))
        assert (own <= other[kept(distiller.spots[name.replace('.', '/')])] + 1e-6).all()
    # Nothing comes before the stem but the image: its channels return what they did, and the others are restored as 0.
    distiller.eval()
    distiller.activate([], ['backbone.stem'])
    images, _ = batch(2, side=64)
    feature = teacher.backbone.relu(teacher.backbone.bn1(teacher.backbone.conv1(images)))
    feature[:, stem] = 0
    loss = distiller.loss(*batch(2, side=64))['spots.backbone.stem.loss']
    torch.testing.assert_close(loss, feature.pow(2).mean())


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights(before, tmp_path):
    def run(folder):
        model = dict(type='skd_mm.Distiller', **networks(before), spots=SPOTS[:3])
        cfg = config(tmp_path / folder, model=model, schedule=dict(type='Stagewise', phase_iters=2))
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.update(side=32)
        cfg.val_evaluator = [dict(type=FirstIsBest)]
        return cfg

    train(run('whole'))
    train_killed(run('killed'), 'before_phase', 2)
    train(run('killed'), resume=True)
    assert not differing(*(dict(last_checkpoint(tmp_path / folder)['state_dict']) for folder in ('whole', 'killed')))


def test_a_student_whose_channels_are_not_known_is_refused():
    distiller = build_distiller(network(), network(), [dict(student='backbone.layers.1', connector=RESTORE)])
    with pytest.raises(ValueError, match=r"spot 'backbone.layers.1': .* RestoreChannels needs .*PruneChannels.*'auto'"):
        distiller.init_weights()


@pytest.mark.slow
def test_a_checkpoint_after_pruning_is_refused(before, tmp_path):
    distiller = build_distiller(**networks(before), spots=SPOTS)
    distiller.init_weights()
    torch.save(dict(state_dict=distiller.student.state_dict()), tmp_path / 'after.pth')
    distiller.student_checkpoint = str(tmp_path / 'after.pth')
    with pytest.raises(ValueError, match=r'a checkpoint of the network before pruning'):
        distiller.init_weights()


def test_an_element_of_an_output_is_refused():
    distiller = build_distiller(network(), network(), [dict(student='backbone[0]', connector=RESTORE)])
    distiller.student.kept_channels = {'backbone': [0, 1]}
    distiller.init_weights()  # all channels are left
    distiller.spots['backbone[0]'].connector[0].conv = torch.nn.Conv2d(2, 4, 1)
    with pytest.raises(ValueError, match=r"the channels that 'backbone\[0\]' has kept are not known: name the module"):
        distiller.init_weights()
