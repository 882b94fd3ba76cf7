import pytest
import torch

from skd_mm.utils import UNLABELLED
from tests.helpers import SPOTS, batch, build_distiller, calls
from tests.integration.ddp_worker import still

KD = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1))
IFVD = dict(name='ifvd', student=SPOTS[2], loss=dict(type='IFVDLoss', num_classes=3))
PKT = dict(name='pkt', student=SPOTS[2], loss=dict(type='PKTLoss'))


def distiller(*spots):
    return build_distiller(still(), spots=[*SPOTS, *spots])


def mixed(labelled, size=4, ignored=True):
    """A batch of which some samples are labelled, and its samples with all labels."""
    inputs, samples = batch(size)
    for i, sample in enumerate(samples):
        if ignored:
            sample.gt_sem_seg.data[:, :3 + i] = 255
        if i not in labelled:
            sample.set_metainfo({UNLABELLED: True})
    return inputs, samples


def rows(inputs, samples, chosen):
    return inputs[list(chosen)], [samples[i] for i in chosen]


def as_labelled(samples):
    for sample in samples:
        sample.set_metainfo({UNLABELLED: False})
    return samples


@pytest.mark.parametrize('labelled', [(1, 3), (0, ), (2, 1, 0)])
def test_the_task_loss_is_that_of_the_labelled_samples_alone(labelled):
    model = distiller(KD)
    model.activate('all', [SPOTS[1]], 0.5)
    inputs, samples = mixed(labelled)
    expected = model.student(*rows(inputs, samples, sorted(labelled)), mode='loss')
    losses = model.loss(inputs, samples)
    torch.testing.assert_close(losses['decode.loss_ce'], 0.5 * expected['decode.loss_ce'])
    whole = model.loss(inputs, as_labelled(samples))
    torch.testing.assert_close(losses[f'spots.{SPOTS[1]}.loss'], whole[f'spots.{SPOTS[1]}.loss'])
    assert not torch.allclose(losses['decode.loss_ce'], whole['decode.loss_ce'])


@pytest.mark.parametrize('task', [0, 1])
def test_a_loss_of_samples_gets_the_labels_that_there_are(task):
    model = distiller(KD)
    model.activate('all', ['logits'], task)
    inputs, samples = mixed((0, 2))
    value = model.loss(inputs, samples)['spots.logits.loss']
    labelled = model.loss(*rows(inputs, as_labelled(samples), (0, 2)))['spots.logits.loss']
    for sample in samples:
        sample.gt_sem_seg.data[:] = 0  # all pixels count
    others = model.loss(*rows(inputs, samples, (1, 3)))['spots.logits.loss']
    torch.testing.assert_close(value, (labelled + others) / 2)


@pytest.mark.parametrize('spot', [IFVD, PKT])
def test_a_loss_on_a_batch_without_labels_is_defined(spot):
    model = distiller(spot)
    model.activate('all', [spot['name']], 1)
    for labelled in ((), (1, )):
        inputs, samples = mixed(labelled)
        value = model.loss(inputs, samples)[f'spots.{spot["name"]}.loss']
        assert torch.isfinite(value) and value > 0


def test_a_relational_loss_compares_samples_of_both_kinds():
    model = distiller(PKT)
    model.activate('all', ['pkt'], 1)
    inputs, samples = mixed((0, 2))
    value = model.loss(inputs, samples)['spots.pkt.loss']
    torch.testing.assert_close(value, model.loss(inputs, as_labelled(samples))['spots.pkt.loss'])


@pytest.mark.parametrize('spots', [(), SPOTS[:1]])
def test_a_batch_without_labels_has_a_task_loss_of_zero_with_gradients(spots):
    model = distiller()
    model.activate('all', spots, 1)
    inputs, samples = mixed(())
    total, logged = model.parse_losses(model.loss(inputs, samples))
    total.backward()
    assert logged['task.loss'] == 0
    for name, parameter in model.trainable().items():
        assert parameter.grad is not None, name
        assert spots or not parameter.grad.any(), name


def test_no_network_runs_for_a_batch_that_no_loss_reads():
    model = distiller()
    model.activate('all', (), 1)
    inputs, samples = mixed((1, ))
    with calls(model.student, model.teacher) as (student, teacher):
        model.loss(inputs, samples)
        assert student['backbone'] == 1 and not teacher
        model.loss(*rows(inputs, samples, (0, 2)))
        assert student['backbone'] == 1


def test_each_sample_runs_once():
    model = distiller()
    model.activate('all', SPOTS, 1)
    seen = []
    model.student.backbone.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    inputs, samples = mixed((3, ))
    model.loss(inputs, samples)
    assert seen == [1, 3]


def test_a_routed_batch_of_both_is_refused():
    model = build_distiller(still(), router=dict(gamma=2), spots=[SPOTS[2], KD])
    inputs, samples = mixed((1, ))
    with pytest.raises(ValueError, match=r'model\.router does not work with batches that have unlabelled samples'):
        model.loss(inputs, samples)
