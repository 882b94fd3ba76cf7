"""The adversarial term: who gets which gradient, what is masked, and what is active."""

import pytest
import torch
from torch.nn import functional as F

from skd_mm.features import FeatureCache
from tests.helpers import batch, build_distiller, differing, network, state

BANK = dict(type='skd_mm.TargetBank', num_classes=3, rows=4, stride=1)
SPOT = dict(name='logits', student='decode_head.conv_seg', teacher='bank', loss=dict(type='KDLoss', temperature=2),
            discriminator=dict(type='LabelDiscriminator', embedding=4, channels=(8, 6)))

D_LOSS = 'spots.logits.discriminator.discriminator_loss'


def adversarial(**kwargs):
    distiller = build_distiller(**dict(dict(student=network(), teacher=BANK, spots=[SPOT]), **kwargs))
    distiller.activate('all', {'logits': 0.9, 'logits.discriminator': 0.1}, 0.1)
    return distiller


def case_of(distiller, ignored=False):
    inputs, samples = batch()
    if ignored:
        for sample in samples:
            sample.gt_sem_seg.data[0, :6] = 255
    torch.manual_seed(1)
    losses, cases = distiller(inputs, samples, mode='adversarial')
    return losses, cases


def test_the_terms_are_those_of_the_formulas():
    distiller = adversarial()
    (_, (case, )), discriminator = case_of(distiller), distiller.spots['logits'].discriminator.eval()
    odds = [discriminator(side, case.labels) for side in (case.student, case.teacher)]
    for side in (case.student, case.teacher):
        torch.testing.assert_close(side.sum(1), torch.ones(2, 12, 12))
    expected = 0.1 * F.softplus(-odds[0]).mean()
    torch.testing.assert_close(distiller.active.generator_loss([case])['spots.logits.discriminator.loss'], expected)
    judged = distiller.active.discriminator_model()([case])
    assert list(judged) == ['spots.logits.discriminator.discriminator_loss']
    torch.testing.assert_close(judged['spots.logits.discriminator.discriminator_loss'],
                               F.softplus(-odds[1]).mean() + F.softplus(odds[0]).mean())


def test_predictions_are_softened_as_the_loss_softens_them():
    distiller = adversarial()
    inputs, samples = batch()
    distiller.eval()
    torch.manual_seed(1)
    _, (case, ) = distiller(inputs, samples, mode='adversarial')
    torch.testing.assert_close(case.student, (distiller.student(inputs, mode='tensor') / 2).softmax(1))
    torch.manual_seed(1)
    torch.testing.assert_close(case.teacher, (distiller.teacher(inputs, samples) / 2).softmax(1))


def test_each_gets_its_own_gradient():
    distiller = adversarial()
    _, cases = case_of(distiller)
    own = [name for name in distiller.trainable() if 'discriminator' in name]
    assert own
    distiller.active.discriminator_model()(cases)['spots.logits.discriminator.discriminator_loss'].backward(retain_graph=True)
    grads = {name: parameter.grad for name, parameter in distiller.named_parameters()}
    assert {name for name, grad in grads.items() if grad is not None} == set(own)
    distiller.zero_grad(set_to_none=True)
    distiller.active.generator_loss(cases)['spots.logits.discriminator.loss'].backward()
    reached = {name for name, parameter in distiller.named_parameters() if parameter.grad is not None}
    assert reached and all(name.startswith('student.') for name in reached)


def test_pixels_without_a_label_do_not_count():
    distiller = adversarial()
    _, (case, ) = case_of(distiller, ignored=True)
    assert (case.valid.sum((1, 2)) == 72).all()
    for term in (lambda case: distiller.active.generator_loss([case])['spots.logits.discriminator.loss'],
                 lambda case: distiller.active.discriminator_model()([case])[D_LOSS]):
        distiller.eval()
        one = term(case)
        changed = case._replace(student=torch.where(case.valid[:, None], case.student, 7.0))
        torch.testing.assert_close(term(changed), one)
        assert term(case._replace(valid=torch.zeros_like(case.valid))) == 0


def test_a_sample_of_the_pixels_is_judged():
    few = dict(SPOT, discriminator=dict(SPOT['discriminator'], pixels=5000))
    distiller, whole = adversarial(spots=[few]), adversarial()
    whole.load_state_dict(distiller.state_dict())
    (_, (case, )), (_, (every, )) = case_of(distiller, ignored=True), case_of(whole, ignored=True)
    assert case.student.shape == case.teacher.shape == (2, 3, 5000) and case.labels.shape == (2, 5000)
    assert case.valid.all() and not every.valid.all()
    seen, there = case.teacher.movedim(1, -1), every.teacher.movedim(1, -1)[every.valid]
    torch.testing.assert_close(seen.round(decimals=4).unique(), there.round(decimals=4).unique())
    for image, labels in zip(seen, case.labels, strict=True):  # a class has one row in an image: labels are the pixels'
        assert len(torch.cat([image.round(decimals=4), labels[:, None].float()], 1).unique(dim=0)) == len(
            labels.unique())
    # Each valid pixel is as likely as another: their mean is that of all but for what the draw adds to it.
    for name in ('generator_loss', 'discriminator_loss'):
        one, other = (getattr(each.active.discriminators[0][0], name)(its)
                      for each, its in ((distiller, case), (whole, every)))
        torch.testing.assert_close(one, other, rtol=0.01, atol=0)
    again = case_of(distiller, ignored=True)[1][0]
    assert torch.equal(case.labels, again.labels)  # from the random state of the step alone
    empty = distiller.active.discriminators[0][0].case(torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4),
                                             dict(labels=torch.full((2, 4, 4), 255)))
    assert not empty.valid.any() and not distiller.active.discriminators[0][0].generator_loss(empty).any()


def test_labels_are_those_at_the_nearest_pixel_and_the_losss_own_value_has_none():
    spot = dict(SPOT, loss=dict(type='KDLoss', temperature=2, ignore_index=2))
    distiller = adversarial(student=network(stride=2), teacher=dict(BANK, stride=2, ignore_index=2), spots=[spot])
    inputs, samples = batch()
    _, (case, ) = distiller(inputs, samples, mode='adversarial')
    labels = torch.stack([sample.gt_sem_seg.data[0, ::2, ::2] for sample in samples])
    assert case.student.shape[2:] == labels.shape[1:] == (6, 6)
    assert torch.equal(case.valid, labels != 2) and torch.equal(case.labels, labels.masked_fill(labels == 2, 0))


def test_images_without_a_label_are_refused():
    distiller = adversarial(teacher=network(), spots=[dict(SPOT, teacher='decode_head.conv_seg')])
    spot, _ = distiller.active.discriminators[0]
    with pytest.raises(ValueError, match=r"spot 'logits\.discriminator': a discriminator needs one label, or map"):
        spot.case(torch.zeros(2, 3), torch.zeros(2, 3), {})


def test_a_spot_without_its_discriminator_leaves_it_alone():
    distiller = adversarial()
    distiller.activate('all', {'logits': 1.0}, 1.0)
    assert distiller.active.discriminator_model() is None
    assert not [name for name in distiller.trainable() if 'discriminator' in name]
    inputs, samples = batch()
    assert set(distiller(inputs, samples, mode='loss')) & {'spots.logits.loss'}


@pytest.mark.parametrize('order', [('logits', 'logits.discriminator'), ('logits.discriminator', 'logits'),
                                   ('logits.discriminator', )])
def test_what_learns_does_not_depend_on_the_order(order):
    distiller = adversarial()
    distiller.activate('all', order, 1.0)
    assert len([name for name in distiller.trainable() if 'discriminator' in name]) == 7
    losses, cases = case_of(distiller)
    assert len(cases) == 1 and ('spots.logits.loss' in losses) == ('logits' in order)


def test_neither_the_teacher_nor_the_discriminator_is_in_the_student():
    distiller = adversarial()
    assert not [name for name in distiller.state_dict() if 'bank' in name]
    assert [name for name in distiller.state_dict() if name.startswith('spots.logits.discriminator')]
    assert not [name for name in distiller.student.state_dict() if 'discriminator' in name]


def test_half_precision_is_left_behind():
    distiller = adversarial()
    inputs, samples = batch()
    with torch.autocast('cpu', torch.bfloat16):
        _, (case, ) = distiller(inputs, samples, mode='adversarial')
        assert case.student.dtype == case.teacher.dtype == torch.float32
        loss = distiller.active.discriminator_model()([case])['spots.logits.discriminator.discriminator_loss']
    torch.testing.assert_close(loss, distiller.eval().active.discriminator_model()([case])[D_LOSS],
                               rtol=0.05, atol=0.05)
    assert loss.dtype == torch.float32


def test_a_phase_without_the_task_is_judged_by_its_spots_alone():
    distiller = adversarial()
    distiller.activate('all', {'logits': 1.0, 'logits.discriminator': 0.1})
    before = state(distiller)
    found = distiller.eval()(*batch(), mode='predict')
    assert list(found[0].metainfo['spot_losses']) == ['logits'] and not differing(before, state(distiller))


def test_a_random_teacher_is_not_cached():
    distiller = adversarial()
    with pytest.raises(ValueError, match=r'the teacher draws its answers.*`schedule.cache=0`'):
        distiller.activate('all', ['logits'], cache=FeatureCache(2**20))
    adversarial(teacher=dict(BANK, target='mean')).activate('all', ['logits'], cache=FeatureCache(2**20))


def test_a_bank_for_another_number_of_classes_is_refused(tmp_path):
    torch.save(dict(meta={}, state_dict={'bank.logits': torch.zeros(10, 4, 10)}), tmp_path / 'bank.pth')
    with pytest.raises(ValueError, match=r'does not fit the teacher \(TargetBank\).*bank.logits is \(10, 4, 10\), not '
                                         r'\(3, 4, 3\)'):
        adversarial(teacher=dict(BANK, checkpoint=str(tmp_path / 'bank.pth')))
    with pytest.raises(ValueError, match=r"spot 'logits': the student's.*\[3, 12, 12\].*\[5, 12, 12\]"):
        adversarial(teacher=dict(BANK, num_classes=5))


def test_a_discriminator_at_several_modules_is_refused():
    several = dict(SPOT, student=['backbone.layers.0', 'backbone.layers.1'],
                   teacher=['backbone.layers.0', 'backbone.layers.1'], loss=dict(type='FSPLoss'))
    with pytest.raises(ValueError, match='a discriminator judges the logits of one module'):
        build_distiller(network(), spots=[several])


def test_a_misspelt_discriminator_is_refused():
    with pytest.raises(ValueError, match="did you mean 'LabelDiscriminator'"):
        adversarial(spots=[dict(SPOT, discriminator=dict(type='LabelDiscriminatr'))])
    with pytest.raises(KeyError, match=r"no spot 'logits.discriminato'; did you mean 'logits.discriminator'"):
        adversarial().activate('all', ['logits.discriminato'])


HOLISTIC = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1),
                discriminator=dict(type='HolisticDiscriminator', channels=4, depth=2))


def holistic(**changes):
    spot = dict(HOLISTIC, discriminator=dict(HOLISTIC['discriminator'], **changes))
    distiller = build_distiller(student=network(), teacher=network(), spots=[spot])
    distiller.activate('all', {'logits': 10, 'logits.discriminator': 0.001}, 1)
    return distiller


def test_raw_logits_are_judged_without_labels():
    distiller = holistic()
    inputs, _ = batch()
    distiller.activate('all', {'logits.discriminator': 0.001})  # and no spot or loss that needs labels
    losses, (case, ) = distiller.eval()(inputs, None, mode='adversarial')
    assert not losses and case.labels is None and case.valid is None
    torch.testing.assert_close(case.student, distiller.student(inputs, mode='tensor'))
    torch.testing.assert_close(case.teacher, distiller.teacher(inputs, mode='tensor'))


@pytest.mark.parametrize('objective', ['hinge', 'wgan-gp'])
def test_the_terms_without_labels_are_those_of_the_formulas(objective, monkeypatch):
    distiller = holistic(objective=objective, penalty=3)
    _, (case, ) = case_of(distiller)
    discriminator = distiller.spots['logits'].discriminator.eval()
    student, teacher = discriminator(case.student), discriminator(case.teacher)
    expected = -0.001 * student.mean()
    torch.testing.assert_close(distiller.active.generator_loss([case])['spots.logits.discriminator.loss'], expected)
    if objective == 'hinge':
        expected = F.relu(1 - teacher).mean() + F.relu(1 + student).mean()
    else:
        mix = torch.tensor([.3, .6]).view(2, 1, 1, 1)
        monkeypatch.setattr(torch, 'rand', lambda *shape, **kwargs: mix)
        between = (mix * case.teacher + (1 - mix) * case.student).detach().requires_grad_()
        (gradient, ) = torch.autograd.grad(discriminator(between).sum(), between)
        expected = student.mean() - teacher.mean() + 3 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(distiller.active.discriminator_model()([case])[D_LOSS], expected)


@pytest.mark.parametrize('objective', ['hinge', 'wgan-gp'])
def test_each_gets_its_own_gradient_without_labels(objective):
    distiller = holistic(objective=objective)
    _, cases = case_of(distiller)
    own = {name for name in distiller.trainable() if 'discriminator' in name}
    distiller.active.discriminator_model()(cases)[D_LOSS].backward()
    reached = {name for name, parameter in distiller.named_parameters() if parameter.grad is not None}
    assert reached == own
    distiller.zero_grad(set_to_none=True)
    distiller.active.generator_loss(cases)['spots.logits.discriminator.loss'].backward()
    reached = {name for name, parameter in distiller.named_parameters() if parameter.grad is not None}
    assert reached and all(name.startswith('student.') for name in reached)


def test_bn_normalises_the_logits_of_each_network_by_themselves():
    distiller = holistic()
    _, (case, ) = case_of(distiller)
    adversary = distiller.active.discriminators[0][0]
    torch.manual_seed(2)
    one = adversary.discriminator_loss(case)
    adversary.discriminator.load_state_dict(holistic().spots['logits'].discriminator.state_dict())
    shifted = case._replace(teacher=100 + case.teacher)
    torch.testing.assert_close(adversary.discriminator_loss(shifted), one, rtol=1e-3, atol=1e-4)


def test_a_loss_without_an_ignored_label_can_have_a_discriminator():
    spot = dict(SPOT, loss=dict(type='KDLoss', temperature=2, ignore_index=None))
    distiller = adversarial(spots=[spot])
    assert distiller.active.discriminators[0][0].ignore_index == 255
