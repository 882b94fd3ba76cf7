
"""Spot-adaptive distillation: one step of a routed distiller against the algorithm written out."""

import copy
from dataclasses import replace

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch.nn import functional as F

from skd_mm.features import FeatureCache
from tests.helpers import SPOTS, batch, build_distiller, calls, differing, network, state, total

LOGITS = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=4))
AT = [dict(student=name, loss=dict(type='ATLoss'), weight=30) for name in SPOTS]
WIDE = dict(student=network(), teacher=network(widths=[4, 5, 6]))


def routed(gate='policy', seed=0, student=None, **router):
    distiller = build_distiller(**dict(WIDE, student=student or network()), spots=[*AT, LOGITS], seed=seed,
                                router=dict(gate=gate, **router))
    return distiller.double().train()


def double_batch(size=4):
    inputs, samples = batch(size)
    return inputs.double(), samples


def reference_step(distiller, inputs, samples, gamma, lr):
    """One iteration in the order of the authors' code: the policy first, by its own backward and step."""
    student, teacher, router = distiller.student, distiller.teacher, distiller.router
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])

    def run(model, x):
        features = []
        for layer in model.backbone.layers:
            x = layer(x)
            features.append(x)
        return features, model.decode_head.conv_seg(model.decode_head.convs(x))

    def cross_entropy(logits):
        return F.cross_entropy(F.interpolate(logits, size=labels.shape[1:], mode='bilinear'), labels)

    with torch.no_grad():
        targets, target_logits = run(teacher, inputs)
    features, logits = run(student.train(), inputs)
    own = cross_entropy(logits)
    pools = [feature[-1].mean((2, 3)).detach() for feature in (features, targets)]
    gates = router.policy(*pools)
    a = gates.detach()

    loss = own
    for k in range(3):
        q_s, q_t = (F.normalize(side[k].pow(2).mean(1).flatten(1)) for side in (features, targets))
        loss = loss + 30 * (a[:, k] * (q_s - q_t).square().mean(1)).sum() / len(inputs)
    p_t = (target_logits / 4).softmax(1)
    kl = 16 * (p_t * (p_t.log() - (logits / 4).log_softmax(1))).sum(1).mean((1, 2))
    loss = loss + (a[:, 3] * kl).sum() / len(inputs)

    student.eval()
    u_s = u_t = inputs
    for k in range(3):
        o_s, o_t = student.backbone.layers[k](u_s), teacher.backbone.layers[k](u_t)
        gate = gates[:, k, None, None, None]
        to_teacher, to_student = router.to_teacher[k][0], router.to_student[k][0]
        phi = to_teacher.relu(to_teacher.bn(to_teacher.conv(o_s)))
        psi = to_student.relu(to_student.bn(to_student.conv(o_t)))
        u_t, u_s = (1 - gate) * phi + gate * o_t, (1 - gate) * o_s + gate * psi
    o_s, o_t = (model.decode_head.conv_seg(model.decode_head.convs(u)) for model, u in ((student, u_s), (teacher, u_t)))
    gate = gates[:, 3, None, None, None]
    mixed = cross_entropy((1 - gate) * o_s + gate * o_t)
    policy_loss = mixed * (gamma if mixed > own else 1 / gamma) + F.relu(len(inputs) / 2 - gates[:, 3].sum())
    student.train()

    policy = torch.optim.SGD(router.parameters(), lr=lr / 2, momentum=0.9, weight_decay=1e-3)
    main = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    policy.zero_grad()
    policy_loss.backward(retain_graph=True)
    policy.step()
    main.zero_grad()
    loss.backward()
    main.step()
    return gates


@pytest.mark.parametrize('seed', range(4))
def test_one_backward_is_the_authors_two(seed):
    distiller = routed(gamma=2.0, seed=seed)
    reference = copy.deepcopy(distiller)
    inputs, samples = double_batch()
    torch.manual_seed(seed)
    gates = reference_step(reference, inputs, samples, gamma=2.0, lr=0.05)
    assert 0 < gates.mean() < 1

    wrapper = build_optim_wrapper(distiller, dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4),
        paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5, decay_mult=2)})))
    before = state(distiller)
    torch.manual_seed(seed)
    losses = distiller.loss(inputs, samples)
    wrapper.update_params(total(losses))
    found, expected = state(distiller), state(reference)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6, msg=name)
    moved = {name for name in found if not torch.equal(found[name], before[name])}
    assert {name.split('.')[0] for name in moved} == {'student', 'router'}
    assert {name.split('.')[1] for name in moved if name.startswith('router')} == {'policy', 'to_student', 'to_teacher'}


def test_a_step_costs_one_more_forward_of_each_network_and_the_first_stage_of_the_teacher_is_not_run_again():
    distiller = routed()
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller.loss(*double_batch())
    for path in ('backbone.layers.0.0', 'backbone.layers.1.0', 'backbone.layers.2.0', 'decode_head.convs.0.conv'):
        assert student[path] == 2 and teacher[path] == (1 if path.startswith('backbone.layers.0') else 2)
    for gate in ('always', 'never', 'random'):
        other = routed(gate)
        with calls(other.student, other.teacher) as (student, teacher):
            other.loss(*double_batch())
        assert student['backbone.layers.1.0'] == teacher['backbone.layers.1.0'] == 1


def test_with_all_gates_open_it_is_the_plain_distiller_bit_for_bit():
    inputs, samples = double_batch()
    results = []
    for router in (None, dict(gate='always'), dict(gate='random', keep=1.0)):
        distiller = build_distiller(**WIDE, spots=[*AT, LOGITS], router=router).double().train()
        losses = distiller.loss(inputs, samples)
        total(losses).backward()
        results.append((state(distiller), {name: p.grad for name, p in distiller.named_parameters()}, total(losses)))
    for weights, gradients, loss in results[1:]:
        assert not differing(results[0][0], weights)
        assert not differing(results[0][1], gradients)
        assert torch.equal(results[0][2], loss)


def test_never_is_training_without_a_teacher():
    inputs, samples = double_batch()
    distiller = routed('never')
    losses = distiller.loss(inputs, samples)
    total(losses).backward()
    gradients = {name: p.grad.clone() for name, p in distiller.student.named_parameters()}
    distiller.zero_grad()
    total(distiller.student.loss(inputs, samples)).backward()
    for name, parameter in distiller.student.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)


def test_the_student_learns_nothing_from_the_router_and_moves_its_statistics_once():
    inputs, samples = double_batch()
    one, other = routed(), routed()
    torch.manual_seed(3)
    losses = one.loss(inputs, samples)
    total(losses).backward()
    other.active = replace(other.active, multi_path=False)
    torch.manual_seed(3)
    plain = other.loss(inputs, samples)
    total({key: value for key, value in plain.items() if not key.startswith('router')}).backward()
    assert not differing({name: p.grad for name, p in one.student.named_parameters()},
                         {name: p.grad for name, p in other.student.named_parameters()})
    assert not differing(dict(one.student.named_buffers()), dict(other.student.named_buffers()))
    assert all(parameter.requires_grad for parameter in one.student.parameters()) and one.student.training


def test_the_log_says_what_is_kept():
    distiller = routed('random', keep={'logits': 1.0, SPOTS[0]: 0.0})
    losses = distiller.loss(*double_batch())
    assert losses['router.keep.logits'] == 1 and losses[f'router.keep.{SPOTS[0]}'] == 0
    assert not [key for key in losses if key.startswith('router') and 'loss' in key]
    policy = routed().loss(*double_batch())
    assert {'router.loss', 'router.keep_loss', 'router.ratio', 'router.keep.logits'} <= policy.keys()


@pytest.mark.parametrize('option', ['with_cp', 'gradient_checkpointing'])
def test_activation_checkpointing_gives_the_same_gradients(option):
    def resnet(with_cp):
        cfg = network()
        cfg['backbone'] = dict(type='mmseg.ResNetV1c', depth=18, base_channels=4, stem_channels=4, with_cp=with_cp,
                               strides=(1, 2, 1, 1), dilations=(1, 1, 1, 1), norm_cfg=dict(type='BN'))
        cfg['decode_head'].update(in_channels=32, in_index=3)
        return cfg

    spots = [dict(backbone_stage='all', loss=dict(type='ATLoss')), LOGITS]
    gradients = []
    for on in (False, True):
        torch.manual_seed(0)
        with_cp = on and option == 'with_cp'
        distiller = build_distiller(resnet(with_cp), resnet(False), spots=spots, router={},
                                    gradient_checkpointing=on and option == 'gradient_checkpointing').train()
        assert distiller.spot_names() == ['stage1', 'stage2', 'stage3', 'stage4', 'logits']
        torch.manual_seed(1)
        total(distiller.loss(*batch(3, side=24))).backward()
        gradients.append({name: p.grad for name, p in distiller.named_parameters()})
        assert [module.with_cp for module in distiller.student.modules() if hasattr(module, 'with_cp')].count(with_cp)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_auxiliary_heads_are_no_part_of_what_the_policy_learns_from():
    student = network()
    student['auxiliary_head'] = dict(student['decode_head'], in_index=1)
    distiller = build_distiller(student, network(), spots=[*AT, LOGITS], router={}).train()
    losses = distiller.loss(*batch(3))
    assert losses['aux.loss_ce'].isfinite() and losses['router.loss'].isfinite()
    total(losses).backward()
    assert all(p.grad.isfinite().all() for p in distiller.parameters() if p.grad is not None)


def test_in_mixed_precision_and_with_accumulation():
    distiller = build_distiller(**WIDE, spots=[*AT, LOGITS], router={}).train()
    wrapper = OptimWrapper(torch.optim.SGD(distiller.parameters(), 0.01), accumulative_counts=2)
    before = state(distiller)
    for _ in range(2):
        with torch.autocast('cpu', torch.bfloat16):
            losses = distiller.loss(*batch())
        wrapper.update_params(total(losses))
    after = state(distiller)
    assert all(value.isfinite().all() for value in after.values())
    assert not torch.equal(before['router.policy.linear.weight'], after['router.policy.linear.weight'])


def test_phases_without_a_task_are_not_routed_and_the_router_is_fixed_in_them():
    distiller = routed()
    distiller.activate(['all'], SPOTS)
    assert not [name for name in distiller.trainable() if name.startswith('router')]
    assert not [key for key in distiller.loss(*double_batch()) if key.startswith('router')]
    distiller.activate(['all'], [], 1.0)
    assert not distiller.active.routed
    distiller.activate(['all'], SPOTS[:1], 1.0)
    assert [name for name in distiller.trainable() if name.startswith('router.policy')]


def test_validation_and_prediction_use_the_student_alone():
    distiller = routed().eval()
    inputs, samples = double_batch()
    with calls(distiller.student, distiller.teacher) as (student, teacher), torch.no_grad():
        distiller.predict(inputs, samples)
    assert student['backbone'] == 1 and not teacher


@pytest.mark.parametrize('changes,error,message', [
    (dict(spots=[SPOTS[0], LOGITS], router=dict(gat='policy')), ValueError, "takes no 'gat'; did you mean 'gate'"),
    (dict(spots=SPOTS, router={}), ValueError, r"'backbone.layers.2' does not give the logits"),
    (dict(spots=[], router={}), ValueError, 'needs a teacher and spots'),
    (dict(spots=[LOGITS], router=dict(policy_input='backbone.layer')), KeyError, r"no module 'backbone.layer'"),
])
def test_a_router_that_cannot_work_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        build_distiller(**changes)


def test_what_is_cached_cannot_be_mixed():
    with pytest.raises(ValueError, match=r'cached .* router .*schedule.cache=0'):
        routed().activate(['all'], SPOTS, 1.0, cache=FeatureCache(1))
