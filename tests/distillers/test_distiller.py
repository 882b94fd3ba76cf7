"""The rules of the step: what moves, what is computed, what the teacher is; one model at a time, without a Runner."""

import copy
import gc
import weakref

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.features import FeatureCache
from tests.helpers import (
    SPOTS,
    UNET_SPOTS,
    ToyBackbone,
    batch,
    build_distiller,
    calls,
    differing,
    network,
    state,
    total,
    unet,
)

AUX = dict(type='mmseg.FCNHead', in_channels=4, in_index=1, channels=4, num_convs=1, num_classes=3, dropout_ratio=0,
           norm_cfg=dict(type='BN'), align_corners=False,
           loss_decode=dict(type='mmseg.CrossEntropyLoss', loss_weight=0.4))


def with_aux(**changes):
    return dict(network(**changes), auxiliary_head=dict(AUX))


def step(distiller, data=None, mode=True, lr=0.1):
    """One iteration as MMEngine's loops do it, with a fresh optimizer; the losses."""
    distiller.train(mode)
    optimizer = torch.optim.Adam(distiller.trainable().values(), lr=lr)
    losses = distiller(*(data or batch()), mode='loss')
    total(losses).backward()
    optimizer.step()
    optimizer.zero_grad()
    return losses


# Rule 1: outside the current phase nothing moves

@pytest.mark.parametrize(('train', 'spots', 'task'), [
    (['backbone.layers.0'], ['backbone.layers.0'], 0), (['backbone.layers.1'], ['backbone.layers.1'], 0),
    (['backbone.layers.2'], ['backbone.layers.2'], 0), (['task_head'], [], 1),
    (['decode_head.conv_seg'], [], 1), (['backbone.layers.0', 'task_head'], ['backbone.layers.1'], 1),
    (['all'], SPOTS, 1), (['backbone'], [SPOTS[2]], 0)])
def test_outside_what_learns_parameters_and_buffers_stay_bit_identical(train, spots, task):
    distiller = build_distiller(network(dropout=0.5))
    distiller.activate(train, spots, task)
    before, teacher = state(distiller.student), state(distiller.teacher)
    for seed in range(3):
        step(distiller, batch(seed=seed))
        distiller.eval()
        distiller(*batch(), mode='predict')
    moved = differing(before, state(distiller.student))
    paths = distiller.resolver.train_paths(train)
    inside = {name for name in before if any(not path or name.startswith(f'{path}.') for path in paths)}
    reached = {name for name in inside if task or 'decode_head' not in name}
    assert set(moved) == {name for name in reached if name not in ('data_preprocessor.mean', 'data_preprocessor.std')}
    assert not differing(teacher, state(distiller.teacher))


def test_only_what_learns_is_in_training_mode():
    distiller = build_distiller(network(dropout=0.5))
    distiller.activate(['backbone.layers.1'], ['backbone.layers.1'])
    for _ in range(2):  # MMEngine's loops call this every epoch or iteration
        distiller.train()
        for name, module in distiller.student.named_modules():
            if isinstance(module, _BatchNorm | nn.Dropout):
                assert module.training == name.startswith('backbone.layers.1'), name
        assert distiller.training
        distiller.eval()
        assert not any(module.training for module in distiller.modules())


def test_activating_anew_forgets_what_was_before():
    distiller = build_distiller()
    distiller.train()
    distiller.activate(['backbone.layers.1'], ['backbone.layers.1'])
    assert not distiller.student.backbone.layers[0][1].training  # at once, not with the next train()
    distiller.activate(['all'], [], 1)
    assert distiller.student.backbone.layers[0][1].training
    assert all(parameter.requires_grad for parameter in distiller.student.parameters())
    distiller.eval()
    distiller.activate(['task_head'], [], 1)
    assert not any(module.training for module in distiller.modules())


def test_frozen_bn_may_drift_but_its_parameters_not():
    distiller = build_distiller(network(dropout=0.5))
    distiller.activate(['backbone.layers.1'], ['backbone.layers.1'], frozen_bn='train')
    before = state(distiller.student)
    step(distiller)
    moved = differing(before, state(distiller.student))
    assert {name for name in moved if name.startswith('backbone.layers.0')} == {
        f'backbone.layers.0.1.{name}' for name in ('running_mean', 'running_var', 'num_batches_tracked')}
    assert not distiller.student.backbone.layers[0][3].training  # its dropout is off all the same


@pytest.mark.parametrize('frozen_bn', ['eval', 'train'])
def test_the_students_own_norm_eval_and_frozen_stages_hold(frozen_bn):
    distiller = build_distiller(network(norm_eval=True, frozen_stages=0))
    distiller.activate(['all'], SPOTS, 1, frozen_bn)
    assert not [name for name in distiller.trainable() if name.startswith('student.backbone.layers.0')]
    before = state(distiller.student)
    step(distiller)
    moved = differing(before, state(distiller.student))
    assert not [name for name in moved if name.startswith('backbone.layers.0')]
    assert not [name for name in moved if 'backbone' in name and 'running' in name]
    assert 'backbone.layers.1.0.weight' in moved


def test_mmsegmentations_own_resnet_keeps_its_frozen_stages():
    cfg = network()
    cfg['backbone'] = dict(type='mmseg.ResNet', depth=18, base_channels=4, stem_channels=4, frozen_stages=1,
                           norm_eval=True, norm_cfg=dict(type='BN'))
    cfg['decode_head'].update(in_channels=32, in_index=3)
    distiller = build_distiller(cfg, spots=['backbone.layer1', 'backbone.layer2'])
    distiller.activate(['all'], ['backbone.layer2'], 1)
    before = state(distiller.student)
    step(distiller, batch(side=32))
    moved = differing(before, state(distiller.student))
    assert 'backbone.layer2.0.conv1.weight' in moved
    frozen = ('backbone.conv1', 'backbone.bn1', 'backbone.layer1')
    assert not [name for name in moved if name.startswith(frozen) or ('backbone' in name and 'running' in name)]


def test_connectors_learn_with_their_spot_only():
    spots = [dict(student=spot, connector=dict(type='Conv1x1')) for spot in SPOTS[:2]]
    distiller = build_distiller(spots=spots)
    distiller.activate(['backbone.layers.0'], [SPOTS[0]])
    before = state(distiller)
    step(distiller)
    moved = {name for name in differing(before, state(distiller)) if name.startswith('spots')}
    assert len(moved) == 2 and all('layers/0' in name for name in moved)
    distiller.activate(['task_head'], [], 1)
    assert not [name for name in distiller.trainable() if name.startswith('spots')]


def test_what_no_loss_reaches_cannot_be_trained():
    # Under DDP with find_unused_parameters=False it would end in an error of its own, at the second iteration.
    distiller = build_distiller()
    for train in (['backbone'], [SPOTS[1]], ['task_head']):
        with pytest.raises(ValueError, match=r'backbone\.layers\.[12]|task_head'):
            distiller.activate(train, [SPOTS[0]])
    with pytest.raises(ValueError, match='the task loss is off'):
        distiller.activate([SPOTS[0]])


def test_all_is_what_the_losses_reach():
    distiller = build_distiller()
    distiller.activate('all', [SPOTS[1]])
    assert set(distiller.trainable()) == {f'student.{name}' for name, _ in distiller.student.named_parameters()
                                          if name.startswith((SPOTS[0], SPOTS[1]))}
    distiller.activate('all', [SPOTS[1]], 0.5)
    assert len(distiller.trainable()) == len(list(distiller.student.parameters()))


VIT = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[90.] * 3, std=[50.] * 3, num_classes=3),
    backbone=dict(type='mmpretrain.VisionTransformer', img_size=64, patch_size=16, drop_rate=0.1,
                  arch=dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=16)),
    head=dict(type='mmpretrain.VisionTransformerClsHead', num_classes=3, in_channels=8))


def test_the_stages_of_a_transformer():
    layers = [f'backbone.layers.{i}' for i in range(3)]
    distiller = build_distiller(VIT, VIT, layers)
    parts = {layers[0]: ('backbone.cls_token', 'backbone.pos_embed', 'backbone.patch_embed', layers[0]),
             layers[1]: (layers[1], ), layers[2]: (layers[2], ), 'task_head': ('backbone.ln1', 'head')}
    names = [name for name, _ in distiller.student.named_parameters()]
    inputs, samples = batch(side=64)
    for stage, part in parts.items():
        distiller.activate([stage], [] if stage == 'task_head' else [stage], float(stage == 'task_head'))
        expected = {f'student.{name}' for name in names if name.startswith(part)}
        assert set(distiller.trainable()) == expected
        distiller.train()
        modes = {name: module.training for name, module in distiller.student.named_modules()
                 if isinstance(module, nn.Dropout)}
        inside = (*part, 'backbone.drop_after_pos') if stage == layers[0] else part
        assert modes == {name: name.startswith(inside) for name in modes}
        if stage != 'task_head':
            total(distiller(inputs, samples, mode='loss')).backward()
            assert all(parameter.grad is not None for parameter in distiller.trainable().values())
        distiller.zero_grad()
    distiller.activate([layers[1]], [layers[1]], cache=FeatureCache(2**30))
    distiller(*indexed((inputs, samples)), mode='loss')
    assert distiller.cache.bytes
    with calls(distiller.student) as count:
        distiller(inputs, samples, mode='loss')
    assert f'{layers[0]}.attn' not in count and f'{layers[1]}.attn' in count


# Rule 2: exactly the trained parameters

def test_what_learns_is_named():
    distiller = build_distiller()
    distiller.activate(['backbone.layers.1', 'decode_head.conv_seg'], [SPOTS[1]], 1)
    assert set(distiller.trainable()) == {
        'student.backbone.layers.1.0.weight', 'student.backbone.layers.1.1.weight', 'student.backbone.layers.1.1.bias',
        'student.decode_head.conv_seg.weight', 'student.decode_head.conv_seg.bias'}
    assert {id(p) for p in distiller.trainable().values()} == {id(p) for p in distiller.parameters() if p.requires_grad}


# Rule 3: the teacher

def test_the_teacher_is_in_no_checkpoint_no_module_list_and_no_copy():
    distiller = build_distiller(teacher=network(width=4, dropout=0.1))
    assert not [name for name in distiller.state_dict() if 'teacher' in name]
    assert distiller.teacher not in list(distiller.modules())
    held = {id(parameter) for parameter in distiller.parameters()}
    assert not held & {id(parameter) for parameter in distiller.teacher.parameters()}
    twin = copy.deepcopy(distiller)
    assert twin.teacher is distiller.teacher and twin.teacher_network.model is distiller.teacher
    assert twin.student is not distiller.student
    average = ExponentialMovingAverage(distiller)
    assert average.module.teacher is distiller.teacher


def test_a_copy_works_by_itself():
    distiller = build_distiller()
    distiller.activate([SPOTS[1]], [SPOTS[1]])
    twin = copy.deepcopy(distiller)
    before = state(distiller)
    step(twin)
    assert not differing(before, state(distiller))
    assert set(twin.trainable()) == set(distiller.trainable())


def test_the_teacher_is_in_full_eval_without_gradient_whatever_is_called():
    distiller = build_distiller(teacher=network(dropout=0.5))
    before = state(distiller.teacher)
    for _ in range(2):
        distiller.requires_grad_(True)
        distiller.train()
        distiller.init_weights()
        assert not any(module.training for module in distiller.teacher.modules())
        assert not any(parameter.requires_grad for parameter in distiller.teacher.parameters())
        distiller.activate('all', SPOTS, 1)
        step(distiller)
    assert all(parameter.grad is None for parameter in distiller.teacher.parameters())
    assert not differing(before, state(distiller.teacher))


def test_two_runs_of_the_teacher_give_the_same():
    distiller = build_distiller(teacher=network(dropout=0.5))
    distiller.activate([SPOTS[0]], SPOTS)
    distiller.train()
    inputs, samples = batch()
    one, other = (distiller.pair._run_teacher(inputs, samples) for _ in range(2))
    assert not differing(one, other)
    assert not any(feature.requires_grad for feature in one.values())
    modes = []
    distiller.teacher.backbone.layers[0].register_forward_hook(
        lambda module, inputs, output: modes.append(torch.is_grad_enabled()))
    distiller(inputs, samples, mode='loss')
    assert modes == [False]


def test_the_teacher_moves_with_the_distiller():
    distiller = build_distiller().double()
    assert all(parameter.dtype == torch.float64 for parameter in distiller.teacher.parameters())
    assert distiller.teacher.backbone.layers[0][1].running_mean.dtype == torch.float64
    inputs, samples = batch()
    assert total(distiller.loss(inputs.double(), samples)).dtype == torch.float64
    distiller.to('meta')
    assert all(parameter.is_meta for parameter in distiller.teacher.parameters())


def test_a_teacher_in_training_mode_uses_batch_statistics_and_keeps_its_own():
    teacher = dict(cfg=Config(dict(model=network(), default_scope='mmseg')), mode='train')
    distiller = build_distiller(teacher=teacher)
    inputs, samples = batch()
    before = state(distiller.teacher)
    one = distiller.pair._run_teacher(inputs, samples)[SPOTS[0]]
    for buffer in distiller.teacher.buffers():
        buffer.add_(1)  # not read
    other = distiller.pair._run_teacher(inputs, samples)[SPOTS[0]]
    assert torch.equal(one, other)
    for buffer in distiller.teacher.buffers():
        buffer.sub_(1)
    step(distiller)
    distiller.eval()
    distiller(inputs, samples, mode='predict')
    assert not differing(before, state(distiller.teacher))


def test_a_wrong_teacher_mode():
    with pytest.raises(ValueError, match=r"model\.teacher\.mode must be 'eval' or 'train', not 'evil'"):
        build_distiller(teacher=dict(cfg=Config(dict(model=network(), default_scope='mmseg')), mode='evil'))


def test_the_teachers_weights_are_those_of_its_checkpoint(tmp_path):
    source = build_distiller(network(), None, [], seed=7).student
    source.backbone.layers[0][1].running_mean.fill_(3)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 't.pth')
    cfg = Config(dict(model=network(), default_scope='mmseg'))
    distiller = build_distiller(teacher=dict(cfg=cfg, checkpoint=str(tmp_path / 't.pth')))
    distiller.init_weights()
    counters = {name: value for name, value in source.state_dict().items() if 'num_batches' in name}  # it has none
    assert not differing(dict(source.state_dict()), {**distiller.teacher.state_dict(), **counters})


def test_the_student_starts_from_its_checkpoint_behind_its_initialisation(tmp_path):
    source = build_distiller(network(), None, [], seed=7).student
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 's.pth')
    cfg = dict(cfg=Config(dict(model=network(), default_scope='mmseg')), checkpoint=str(tmp_path / 's.pth'))
    distiller = build_distiller(cfg, None, [])
    distiller.init_weights()
    assert not differing(dict(source.state_dict()), dict(distiller.student.state_dict()))


def test_without_a_teacher_no_spot_can_be_active():
    distiller = build_distiller(teacher=None)
    assert distiller.teacher is None and not distiller.active.spots
    with pytest.raises(RuntimeError, match=r"the spots .*'backbone\.layers\.0'.* has no teacher.*`model\.teacher`"):
        distiller.activate(['all'], [SPOTS[0]])
    assert 'decode.loss_ce' in step(distiller)


# Rule 4: only what a phase needs is computed

@pytest.mark.parametrize(('spots', 'last'), [([SPOTS[0]], 0), ([SPOTS[1]], 1), ([SPOTS[2], SPOTS[0]], 2)])
@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_nothing_behind_the_last_active_spot_is_run(spots, last, mode):
    distiller = build_distiller(with_aux())
    distiller.activate(['backbone.layers.0'], spots)
    distiller.train(mode == 'loss')
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller(*batch(), mode=mode)
    for count in (student, teacher):
        ran = {path for path in count if path.startswith('backbone.layers.') and path.count('.') == 2}
        assert ran == {f'backbone.layers.{i}' for i in range(last + 1)}
        assert not [path for path in count if 'head' in path]
        assert set(count.values()) == {1}


def test_each_side_stops_at_its_own_last_spot():
    distiller = build_distiller(
        spots=[dict(student=SPOTS[0], teacher=SPOTS[2]), dict(student=SPOTS[1], teacher=SPOTS[0])])
    distiller.activate(['all'], {SPOTS[0]: 1., SPOTS[1]: 1.})
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller(*batch(), mode='loss')
    assert SPOTS[2] not in student and SPOTS[2] in teacher


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_without_an_active_spot_the_teacher_is_not_run(mode):
    distiller = build_distiller(with_aux())
    distiller.activate(['task_head'], [], 1)
    distiller.train(mode == 'loss')
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller(*batch(), mode=mode)
    assert not teacher
    assert student['decode_head.conv_seg'] == 1
    assert student['auxiliary_head.conv_seg'] == (mode == 'loss')


def test_the_validation_of_a_task_phase_needs_no_teacher():
    distiller = build_distiller()
    distiller.activate(['all'], SPOTS, 0.5)
    distiller.eval()
    with calls(distiller.teacher) as teacher:
        results = distiller(*batch(), mode='predict')
    assert not teacher and 'pred_sem_seg' in results[0]


def test_a_frozen_prefix_builds_no_graph():
    distiller = build_distiller()
    distiller.activate([SPOTS[1]], [SPOTS[1]])
    distiller.train()
    seen = {}
    for path, module in distiller.student.named_modules():
        module.register_forward_hook(lambda module, inputs, output, path=path: seen.update({path: output}))
    losses = distiller(*batch(), mode='loss')
    assert seen['backbone.layers.0'].grad_fn is None
    assert all(seen[path].grad_fn is None for path in seen if path.startswith('backbone.layers.0.'))
    assert seen['backbone.layers.1'].grad_fn is not None
    assert total(losses).requires_grad


# The losses

def test_the_losses_are_weighted():
    distiller = build_distiller(with_aux())
    distiller.activate(['all'], SPOTS, 1)
    plain = distiller(*batch(), mode='loss')
    distiller.activate(['all'], {SPOTS[0]: 0.5, SPOTS[1]: 3.}, 0.25)
    weighted = distiller(*batch(), mode='loss')
    assert set(weighted) == set(plain) - {f'spots.{SPOTS[2]}.loss'}
    for key, weight in {f'spots.{SPOTS[0]}.loss': 0.5, f'spots.{SPOTS[1]}.loss': 3., 'decode.loss_ce': 0.25,
                        'aux.loss_ce': 0.25, 'decode.acc_seg': 1}.items():
        torch.testing.assert_close(weighted[key], plain[key] * weight)


def test_a_task_loss_that_is_a_list_is_weighted_too():

    @MODELS.register_module(name='ToyList', force=True)
    class ToyList(BaseModel):

        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, inputs, data_samples=None, mode='tensor'):
            output = self.layer(inputs)
            return output if mode == 'tensor' else dict(loss_parts=[output.mean(), output.std()], other=output.sum())

    distiller = build_distiller(dict(type='ToyList'), None, [])
    plain = distiller(*batch(), mode='loss')
    distiller.activate(['all'], [], 0.5)
    half = distiller(*batch(), mode='loss')
    torch.testing.assert_close(half['loss_parts'], [part * 0.5 for part in plain['loss_parts']])
    assert torch.equal(half['other'], plain['other'])


def test_the_sum_is_logged_where_a_head_calls_its_own_term_loss():
    distiller = build_distiller(VIT, VIT, ['backbone.layers.1'])
    distiller.activate(['all'], {'backbone.layers.1': 3.}, 0.25)
    samples = [DataSample().set_gt_label(k) for k in (0, 2)]
    loss, logged = distiller.parse_losses(distiller(batch(side=64)[0], samples, mode='loss'))
    assert set(logged) == {'loss', 'task.loss', 'spots.backbone.layers.1.loss'}
    assert logged['loss'] == loss
    torch.testing.assert_close(loss, logged['task.loss'] + logged['spots.backbone.layers.1.loss'])


def test_the_loss_at_a_spot_is_the_mean_squared_error_of_the_two_features():
    distiller = build_distiller(network(width=4), network(width=4))
    distiller.eval()
    inputs, samples = batch()
    student = distiller.student.backbone(inputs)
    teacher = distiller.teacher.backbone(inputs)
    losses = distiller(inputs, samples, mode='loss')
    for i, spot in enumerate(SPOTS):
        torch.testing.assert_close(losses[f'spots.{spot}.loss'], nn.functional.mse_loss(student[i], teacher[i]))


def test_a_feature_phase_predicts_the_loss_of_every_sample():
    distiller = build_distiller()
    distiller.activate([SPOTS[1]], {SPOTS[0]: 1., SPOTS[1]: 2.})
    distiller.eval()
    inputs, samples = batch(3)
    results = distiller(inputs, samples, mode='predict')
    assert len(results) == 3
    for i, result in enumerate(results):
        found = result.metainfo['spot_losses']
        alone = distiller(inputs[i:i + 1], samples[i:i + 1], mode='loss')
        assert set(found) == {SPOTS[0], SPOTS[1]}
        for name, value in found.items():
            assert value == pytest.approx(alone[f'spots.{name}.loss'].item(), rel=1e-5)


def test_a_phase_without_the_task_may_be_validated_by_predictions():
    distiller = build_distiller()
    distiller.activate('all', [SPOTS[0]], predicts=True)
    distiller.eval()
    inputs, samples = batch(2)
    with calls(distiller.teacher) as teacher:
        found = distiller(inputs, samples, mode='predict')
    assert not teacher
    expected = distiller.student(*batch(2), mode='predict')
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.seg_logits.data, other.seg_logits.data)


def test_the_student_is_what_runs_in_tensor_mode():
    distiller = build_distiller().eval()
    inputs, samples = batch()
    with calls(distiller.teacher) as teacher:
        assert torch.equal(distiller(inputs, samples), distiller.student(inputs, samples, mode='tensor'))
    assert not teacher


def test_a_copy_of_the_teacher_has_loss_zero_at_every_spot_in_every_phase():
    distiller = build_distiller(unet(), unet(), UNET_SPOTS)
    distiller.student.load_state_dict(distiller.teacher.state_dict() | {
        name: value for name, value in distiller.student.state_dict().items() if 'num_batches' in name})
    inputs, samples = batch(side=32)
    for k, stage in enumerate(UNET_SPOTS):
        distiller.activate([stage], [stage])
        distiller.eval()
        assert distiller(inputs, samples, mode='loss') == {f'spots.{stage}.loss': 0}
        # In training what stands before is in eval mode: the stage itself sees what the teacher's sees.
        for spot in UNET_SPOTS[:k]:
            distiller.activate([stage], [spot, stage])
            distiller.train()
            before = copy.deepcopy(distiller.state_dict())
            assert distiller(inputs, samples, mode='loss')[f'spots.{spot}.loss'] == 0
            distiller.load_state_dict(before)


# Rule 8: names

@pytest.mark.parametrize(('arguments', 'error', 'words'), [
    ((['backbone.layer.0'], [SPOTS[0]]), KeyError, "no module 'backbone.layer.0'; did you mean 'backbone.layers.0'"),
    ((['decode_heed'], [SPOTS[0]]), KeyError, "did you mean .*'decode_head'"),
    ((['taskhead'], [], 1), KeyError, "did you mean 'task_head'"),
    ((['all'], ['backbone.layers.9']), KeyError, "no spot 'backbone.layers.9'; did you mean 'backbone.layers.")])
def test_a_wrong_name_is_answered_with_the_closest(arguments, error, words):
    with pytest.raises(error, match=words):
        build_distiller().activate(*arguments)


@pytest.mark.parametrize(('spots', 'words'), [
    (['backbone.layer.0'], r"model\.spots: the student .* no module 'backbone\.layer\.0'; did you mean"),
    ([dict(student=SPOTS[0], teacher='backbone.layer.0')], r'model\.spots: the teacher .*did you mean'),
    (['auxiliary_head'], "'auxiliary_head'"),
    ([dict(student=SPOTS[0], name='a'), dict(student=SPOTS[1], name='a')], 'a `name` of its own'),
    ([SPOTS[0], SPOTS[0]], 'of its own'),
    (['backbone'], "'backbone'.* tuple"),
    (['backbone[3]'], r"'backbone\[3\]'")])
def test_wrong_spots_are_refused(spots, words):
    with pytest.raises((KeyError, ValueError, RuntimeError), match=words):
        build_distiller(with_aux(), spots=spots)


def test_several_spots_stand_at_one_module():
    spots = [SPOTS[0], dict(student=SPOTS[1], loss=[dict(type='MSELoss', weight=2), dict(type='ATLoss', name='at')]),
             dict(student=SPOTS[1], name='third', connector=dict(type='Conv1x1'))]
    distiller = build_distiller(spots=spots)
    names = [f'{SPOTS[1]}.MSELoss', f'{SPOTS[1]}.at', 'third']
    assert distiller.spot_names() == [SPOTS[0], *names]
    assert distiller.stage_names() == [SPOTS[0], SPOTS[1], 'task_head']
    assert distiller.stage_spots == {SPOTS[0]: [SPOTS[0]], SPOTS[1]: names, 'task_head': []}
    distiller.activate([SPOTS[1]], names)
    losses = distiller.loss(*batch())
    assert list(losses) == [f'spots.{name}.loss' for name in names]
    single = build_distiller()
    single.load_state_dict(distiller.state_dict(), strict=False)
    single.activate([SPOTS[1]], [SPOTS[1]])
    torch.testing.assert_close(losses[f'spots.{names[0]}.loss'], 2 * single.loss(*batch())[f'spots.{SPOTS[1]}.loss'])
    sum(losses.values()).backward()
    assert {name for name, parameter in distiller.trainable().items() if parameter.grad is None} == set()


def test_a_wrong_key_of_the_distiller():
    with pytest.raises((TypeError, ValueError), match="'spot'; did you mean 'spots'"):
        build_distiller(spot=['x'])


def test_spots_may_have_names_of_their_own_and_stand_in_any_order():
    distiller = build_distiller(spots=[dict(name='late', student=SPOTS[2]), dict(name='early', student=SPOTS[0])])
    assert distiller.stage_names() == ['early', 'late', 'task_head']
    distiller.activate(['late'], ['late'])
    assert set(distiller(*batch(), mode='loss')) == {'spots.late.loss'}
    assert all('layers.1' in name or 'layers.2' in name for name in distiller.trainable())


def test_networks_that_need_another_input_size():
    cfg = network()
    cfg['backbone'] = dict(type='mmseg.ResNet', depth=18, base_channels=4, stem_channels=4)
    cfg['decode_head'].update(in_channels=32, in_index=3)
    distiller = build_distiller(cfg, spots=['backbone.layer4'], input_shape=(3, 128, 64))
    assert distiller.spots['backbone/layer4'].shapes[0] == (32, 4, 2)
    with pytest.raises(ValueError, match=r'model\.student: the student could not be run on zeros of shape '
                                         r'\[7, 64, 64\]; .* set model\.input_shape'):
        build_distiller(cfg, spots=['backbone.layer4'], input_shape=(7, 64, 64))


def test_building_leaves_no_trace_in_the_networks():
    distiller = build_distiller()
    for model in (distiller.student, distiller.teacher):
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                assert not module.running_mean.any() and (module.running_var == 1).all()
            assert not module._forward_hooks
    assert distiller.student.training


# Rule 9: features are released

def test_features_are_released_with_the_step():
    distiller = build_distiller()
    distiller.train()
    known = []
    for model in (distiller.student, distiller.teacher):
        model.backbone.layers[1].register_forward_hook(
            lambda module, inputs, output: known.append(weakref.ref(output)))
    losses = distiller(*batch(), mode='loss')
    assert known[0]() is not None  # its graph holds it
    total(losses).backward()
    del losses
    gc.collect()
    assert [reference() for reference in known] == [None, None]
    distiller.eval()
    distiller.activate([SPOTS[1]], [SPOTS[1]])
    results = distiller(*batch(), mode='predict')
    gc.collect()
    assert results and [reference() for reference in known[2:]] == [None, None]


# The cache: what is cached is bit for bit what is not

def indexed(data, start=0):
    for i, sample in enumerate(data[1]):
        sample.set_metainfo(dict(skd_mm_index=start + i))
    return data


PHASES = [([SPOTS[0]], [SPOTS[0]], 0), ([SPOTS[1]], [SPOTS[1]], 0), ([SPOTS[2]], SPOTS, 0), (['task_head'], [], 1),
          (['decode_head.conv_seg'], [SPOTS[2]], 1), ([SPOTS[1]], [SPOTS[2]], 0.5), (['all'], SPOTS, 1),
          (['task_head', SPOTS[2]], [SPOTS[1]], 1)]


def run_phase(make, phase, max_bytes):
    distiller = make()
    cache = None if max_bytes is None else FeatureCache(max_bytes)
    distiller.activate(*phase, cache=cache)
    optimizer = torch.optim.Adam(distiller.trainable().values(), lr=0.05)
    history = []
    data = [indexed(batch(seed=0), 0), indexed(batch(seed=1), 2), indexed(batch(seed=2), 4)]
    for epoch in range(3):
        distiller.train()
        for inputs, samples in data:
            torch.manual_seed(epoch)
            losses = distiller(inputs, samples, mode='loss')
            history.append({key: value.detach().clone() for key, value in losses.items()})
            total(losses).backward()
            optimizer.step()
            optimizer.zero_grad()
        distiller.eval()
        inputs, samples = batch(3, seed=9)
        for i, sample in enumerate(samples):
            sample.set_metainfo(dict(img_path=f'val/{i}.png', sample_idx=i))
        result = distiller(inputs, samples, mode='predict')
        history.append({str(i): torch.tensor(list(sample.metainfo['spot_losses'].values()))
                        if 'spot_losses' in sample.metainfo else sample.pred_sem_seg.data.clone()
                        for i, sample in enumerate(result)})
    return distiller, history


def assert_cached_is_uncached(make, phase, max_bytes=2**30):
    plain, expected = run_phase(make, phase, None)
    cached, found = run_phase(make, phase, max_bytes)
    for one, other in zip(expected, found, strict=True):
        assert not differing(one, other)
    assert not differing(state(plain), state(cached))
    assert not any(value.isnan().any() for value in state(cached).values())
    return cached


@pytest.mark.parametrize(('phase', 'limit'), [*((phase, 2**30) for phase in PHASES), (PHASES[1], 0), (PHASES[2], 12000),
                                              (PHASES[3], 12000), (PHASES[5], 12000)])
def test_cached_is_uncached(phase, limit):
    # Where only some images of a batch are in the cache, the others round differently on their own.
    torch.use_deterministic_algorithms(limit < 2**30)
    try:
        cached = assert_cached_is_uncached(
            lambda: build_distiller(with_aux(dropout=0.3), with_aux(dropout=0.3)), phase, limit)
    finally:
        torch.use_deterministic_algorithms(False)
    assert (cached.cache.bytes > 0) == (limit > 0)
    assert cached.cache.full == (limit < 2**30)


@pytest.mark.parametrize('k', [0, 1, 4, 6, 9, 10])
def test_cached_is_uncached_in_the_unet(k):
    phase = ([UNET_SPOTS[k]], [UNET_SPOTS[k]], 0) if k < 10 else (['task_head'], [], 1)

    def make():
        return build_distiller(unet(), unet(), UNET_SPOTS)

    plain, cached = make(), make()
    cached.activate(*phase, cache=FeatureCache(2**30))
    plain.activate(*phase)
    data = indexed(batch(side=32))
    for _ in range(3):
        one, other = step(plain, data), step(cached, data)
        assert not differing({key: value.detach() for key, value in one.items()},
                             {key: value.detach() for key, value in other.items()})
    assert not differing(state(plain), state(cached))


def test_what_is_cached_is_not_computed_again():
    distiller = build_distiller()
    distiller.activate([SPOTS[2]], [SPOTS[2]], cache=FeatureCache(2**30))
    distiller.train()
    data = indexed(batch())
    distiller(*data, mode='loss')
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        distiller(*data, mode='loss')
    assert not teacher
    # The convolutions of the frozen layers; their containers are passed through.
    assert not [path for path in student if path.startswith(('backbone.layers.0.', 'backbone.layers.1.'))]
    assert student['backbone.layers.2.0'] == 1


def predicted(distiller, side=16, mode='whole'):
    """A validation batch's predictions, and which modules of the student they took."""
    distiller.student.test_cfg = ConfigDict(mode=mode, crop_size=(8, 8), stride=(8, 8))
    inputs, samples = batch(2, seed=9, side=side)
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'{mode}-{side}-{i}.png'))
    distiller.eval()
    with calls(distiller.student) as student, torch.no_grad():
        result = distiller(inputs, samples, mode='predict')
    return torch.stack([sample.seg_logits.data for sample in result]), student


@pytest.mark.parametrize(('mode', 'kept'), [('whole', True), ('slide', False)])
def test_what_a_validation_with_the_task_reads_from_the_cache(mode, kept):
    distiller, plain = build_distiller(with_aux(), with_aux()), build_distiller(with_aux(), with_aux())
    plain.load_state_dict(distiller.state_dict())
    plain.activate(['task_head'], [], 1)
    distiller.activate(['task_head'], [], 1, cache=FeatureCache(2**30))
    predicted(distiller, mode=mode)  # a validation that is due when a run is resumed comes before any training
    assert distiller.cache.bytes == 0
    for each in (distiller, plain):
        step(each, indexed(batch()))
    for side in (16, 16, 24, 24):  # the images of a validation may have another size
        expected, _ = predicted(plain, side, mode)
        found, run = predicted(distiller, side, mode)
        assert torch.equal(found, expected)
    assert any(path.startswith('backbone.layers.0.') for path in run) != kept


def test_samples_of_validation_and_training_are_told_apart():
    distiller = build_distiller()
    distiller.activate([SPOTS[1]], [SPOTS[1]], cache=FeatureCache(2**30))
    inputs, samples = indexed(batch(seed=0))
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(sample_idx=i))
    distiller.train()
    distiller(inputs, samples, mode='loss')
    distiller.eval()
    # mmpretrain's samples carry the validation set's own `sample_idx`.
    other, others = batch(seed=1)
    for i, sample in enumerate(others):
        sample.set_metainfo(dict(sample_idx=i))
    found = distiller(other, others, mode='predict')[0].metainfo['spot_losses'][SPOTS[1]]
    distiller.activate([SPOTS[1]], [SPOTS[1]])
    others = batch(seed=1)[1]
    assert found == distiller(other, others, mode='predict')[0].metainfo['spot_losses'][SPOTS[1]]


def test_a_new_phase_has_a_new_cache():
    distiller = build_distiller()
    data = indexed(batch())
    distiller.train()
    distiller.activate([SPOTS[1]], [SPOTS[1]], cache=FeatureCache(2**30))
    distiller(*data, mode='loss')
    distiller.activate([SPOTS[2]], [SPOTS[2]])
    assert distiller.cache is None
    with calls(distiller.teacher) as teacher:
        distiller(*data, mode='loss')
    assert teacher


def test_without_an_identity_nothing_is_cached():
    distiller = build_distiller()
    distiller.activate([SPOTS[1]], [SPOTS[1]], cache=FeatureCache(2**30))
    distiller.train()
    inputs, samples = batch()
    distiller(inputs, samples, mode='loss')
    distiller(inputs, None, mode='loss')
    assert distiller.cache.bytes == 0


@pytest.mark.parametrize('frozen_bn', ['train', 'eval'])
def test_what_changes_in_every_batch_cannot_be_cached(frozen_bn):
    mode = 'eval' if frozen_bn == 'train' else 'train'
    distiller = build_distiller(teacher=dict(cfg=Config(dict(model=network(), default_scope='mmseg')), mode=mode))
    with pytest.raises(ValueError, match="cannot be cached while frozen BN or the teacher is in mode 'train'"):
        distiller.activate([SPOTS[1]], [SPOTS[1]], frozen_bn=frozen_bn, cache=FeatureCache(2**30))


def toy(forward, **layers):
    """A one-off network, registered as ``ToyCached``; ``forward`` is given the module and the images."""

    @MODELS.register_module(name='ToyCached', force=True)
    class ToyCached(BaseModel):

        def __init__(self):
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer())

        def forward(self, inputs, data_samples=None, mode='tensor'):
            output = forward(self, inputs)
            if mode == 'loss':
                return dict(loss=output.square().mean())
            return data_samples if mode == 'predict' else output

    return dict(type='ToyCached')


def conv(before=4, after=4):
    return lambda: nn.Conv2d(before, after, 1)


class Give(nn.Module):
    """Gives what a function makes of the features."""

    def __init__(self, function):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


ODD = {
    'an element of a tuple': (lambda net, x: net.b(net.a(x)[0]) + net.a(x)[1], lambda x: (x, x * 2), 'a[0]'),
    'a dict': (lambda net, x: net.b(net.m(net.a(x)['x'])), lambda x: dict(x=x, y=x * 2), 'm'),
    'read through a detach': (lambda net, x: net.b(net.a(x).detach() * 1.) * net.a(x).detach().mean(), lambda x: x,
                              'a'),
    'only its shape is read': (lambda net, x: net.b(net.m(net.a(x))) * net.a(x).shape[1], lambda x: x, 'm'),
    'read by an argmax': (lambda net, x: net.b(net.m(net.a(x))) * net.a(x).argmax(1, keepdim=True), lambda x: x,
                          'm'),
    'rows that are not samples': (lambda net, x: net.b(net.m(net.a(x)).unflatten(0, (-1, 2))[:, 0]),
                                  lambda x: torch.stack([x, x * 2], 1).flatten(0, 1), 'm')}


@pytest.mark.parametrize('kind', list(ODD))
def test_networks_with_odd_outputs_are_cached_right_or_not_at_all(kind):
    forward, function, spot = ODD[kind]
    cfg = toy(forward, a=lambda: Give(function), m=nn.Identity, b=conv())
    for train in ('b', 'task_head'):
        distillers = [build_distiller(cfg, None, [spot]) for _ in range(2)]
        try:
            distillers[1].activate([train], [], 1, cache=FeatureCache(2**30))
        except (ValueError, RuntimeError):
            continue  # refused: also right
        distillers[0].activate([train], [], 1)
        for seed in (0, 1, 0, 1):
            data = indexed(batch(seed=seed), 2 * seed)
            one, other = (total(step(distiller, data)).item() for distiller in distillers)
            assert one == other


def test_images_of_several_sizes_where_a_size_is_read():

    def forward(net, x):
        feature = net.a(x)
        return net.b(net.m(feature)) * feature.shape[-1]

    cfg = toy(forward, a=conv(3), m=nn.Identity, b=conv())
    distillers = [build_distiller(cfg, None, ['m']) for _ in range(2)]
    distillers[0].activate(['b'], [], 1)
    distillers[1].activate(['b'], [], 1, cache=FeatureCache(2**30))
    for side in (16, 24, 16, 24):
        data = indexed(batch(side=side), side)
        one, other = (total(step(distiller, data)).item() for distiller in distillers)
        assert one == other


def test_weights_that_are_used_before_and_behind_the_cut():
    cfg = toy(lambda net, x: net.d(net.b(net.c(net.m(net.b(net.a(x)))))), a=conv(3), m=nn.Identity, b=conv(), c=conv(),
              d=conv())
    distillers = [build_distiller(cfg, None, ['m']) for _ in range(2)]
    distillers[0].activate(['task_head'], [], 1)
    try:
        distillers[1].activate(['task_head'], [], 1, cache=FeatureCache(2**30))
    except ValueError as error:
        assert "['b'] belong to the frozen part" in str(error)
        return
    for _ in range(3):
        data = indexed(batch())
        one, other = (total(step(distiller, data)).item() for distiller in distillers)
        assert one == other


@pytest.mark.parametrize('kind', ['an activation', 'a sum'])
def test_what_changes_a_cached_output_in_place(kind):
    """Features before an activation are usual spots, and the activation is often in place."""

    def forward(net, x):
        feature = net.a(x)
        if kind == 'an activation':
            return net.c(net.act(feature))
        feature += x[:, :1]
        return net.c(feature)

    cfg = toy(forward, a=conv(3), act=lambda: nn.Hardswish(inplace=True), c=conv())
    distillers = [build_distiller(cfg, cfg, ['a', 'c']) for _ in range(2)]
    distillers[0].activate(['c'], ['c'])
    distillers[1].activate(['c'], ['c'], cache=FeatureCache(2**30))
    for _ in range(3):
        data = indexed(batch())
        one, other = (total(step(distiller, data)).item() for distiller in distillers)
        assert one == other


def test_a_module_that_is_used_before_and_behind_the_cut():
    cfg = toy(lambda net, x: net.c(net.relu(net.b(net.m(net.relu(net.a(x)))))),
              a=conv(3), m=nn.Identity, b=conv(), c=conv(), relu=nn.ReLU)
    distillers = [build_distiller(cfg, None, ['m', 'b']) for _ in range(2)]
    distillers[0].activate(['b', 'task_head'], [], 1)
    distillers[1].activate(['b', 'task_head'], [], 1, cache=FeatureCache(2**30))
    for _ in range(3):
        data = indexed(batch())
        one, other = (total(step(distiller, data)).item() for distiller in distillers)
        assert one == other
    assert not differing(state(distillers[0]), state(distillers[1]))


def test_a_feature_phase_is_validated_in_the_windows_in_which_the_student_predicts():
    slide = dict(network(), test_cfg=dict(mode='slide', crop_size=(8, 8), stride=(4, 4)))
    distiller, whole = build_distiller(slide), build_distiller()
    whole.load_state_dict(distiller.state_dict())
    for model in (distiller, whole):
        model.activate([SPOTS[1]], [SPOTS[1]])
        model.eval()
    whole.teacher.load_state_dict(distiller.teacher.state_dict())
    inputs, samples = batch(2)
    found = [sample.metainfo['spot_losses'][SPOTS[1]] for sample in distiller.predict(inputs, samples)]
    parts = [inputs[..., top:top + 8, left:left + 8] for top in (0, 4) for left in (0, 4)]
    expected = [0., 0.]
    for part in parts:
        for i, sample in enumerate(whole.predict(part, batch(2)[1])):
            expected[i] += sample.metainfo['spot_losses'][SPOTS[1]] / 4
    assert found == pytest.approx(expected)


def test_labels_of_windows_are_parts_of_the_labels():
    slide = dict(network(), test_cfg=dict(mode='slide', crop_size=(8, 8), stride=(4, 4)))
    spot = dict(name='logits', student='decode_head.conv_seg', teacher='bank', loss=dict(type='KDLoss'))
    bank = dict(type='skd_mm.TargetBank', num_classes=3, rows=5, stride=1, target='mean')
    distiller = build_distiller(slide, bank, spots=[spot])
    for buffer in distiller.teacher.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.randn(buffer.shape))
    distiller.activate('all', ['logits'])
    distiller.eval()
    found = []
    for seed in (0, 1):
        inputs, _ = batch(2)
        predicted = distiller.predict(inputs, batch(2, seed=seed)[1])
        found.append([sample.metainfo['spot_losses']['logits'] for sample in predicted])
    assert found[0] != found[1]


@MODELS.register_module(force=True)
class BranchedBackbone(ToyBackbone):
    """A branch that runs first and leads nowhere but to the last feature."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.side = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x):
        side = self.side(x)
        first, second, third = super().forward(x)
        return first, second, third + side


def test_a_branch_that_no_loss_reaches_keeps_its_statistics():
    student = network()
    student['backbone'] = dict(student['backbone'], type='BranchedBackbone')
    distiller = build_distiller(student, student)
    distiller.activate('all', [SPOTS[1]])
    distiller.train()
    assert not [name for name in distiller.trainable() if 'side' in name]
    before = state(distiller.student.backbone.side)
    distiller.loss(*batch())
    assert not differing(before, state(distiller.student.backbone.side))
    distiller.activate('all', [SPOTS[1]], 1.0)
    distiller.train()
    distiller.loss(*batch())
    assert differing(before, state(distiller.student.backbone.side))
