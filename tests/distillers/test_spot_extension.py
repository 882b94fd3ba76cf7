"""Spots at two modules, spots with a memory, losses that want labels."""

import pytest
import torch
from mmengine.structures import BaseDataElement

from skd_mm.datasets.seeded import INDEX
from skd_mm.distillers.samples import collect_context
from tests.helpers import (
    SPOTS,
    batch,
    build_distiller,
    calls,
    config,
    last_checkpoint,
    load,
    log_lines,
    network,
    same_bits,
    train,
    train_killed,
)


def test_a_spot_at_two_modules_gives_both_features():
    flow = dict(name='flow', student=SPOTS[:2], loss=dict(type='FSPLoss'))
    distiller = build_distiller(network(widths=[4, 5, 6]), spots=[flow, SPOTS[2]])
    assert distiller.stage_names() == ['flow', SPOTS[2], 'task_head']
    assert distiller.stages[0].modules == tuple(SPOTS[:2])
    distiller.activate(['flow'], ['flow'])
    inputs, samples = batch()
    loss = distiller.eval().loss(inputs, samples)['spots.flow.loss']
    grams = []
    for model in (distiller.student, distiller.teacher):
        one = model.eval().backbone.layers[0](inputs)
        two = model.backbone.layers[1](one)
        grams.append(torch.einsum('bcyx,bdyx->bcd', one, two) / one[0, 0].numel())
    torch.testing.assert_close(loss, (grams[0] - grams[1]).square().mean())


def test_what_a_loss_cannot_compare_is_found_before_training():
    with pytest.raises(ValueError, match=r"spot 'backbone.layers.0': FSPLoss needs the features of two layers"):
        build_distiller(spots=[dict(student=SPOTS[0], loss=dict(type='FSPLoss'))])
    with pytest.raises(ValueError, match=r"spot 'backbone.layers.1': ATLoss .*PoolToSmaller"):
        build_distiller(network(stride=2), network(), spots=[dict(student=SPOTS[1], loss=dict(type='ATLoss'))])
    with pytest.raises(ValueError, match=r"spot 'x': MSELoss compares one feature"):
        build_distiller(spots=[dict(name='x', student=SPOTS[:2])])


@pytest.mark.parametrize('loss', ['ATLoss', 'SPLoss', 'NSTLoss', 'PKTLoss', 'RKDLoss', 'VIDLoss', 'FTLoss', 'CCLoss'])
def test_every_loss_at_a_spot_of_unequal_widths_and_resolutions(loss):
    pool, embed = dict(type='PoolToSmaller'), dict(type='Embed')
    connectors = dict(
        VIDLoss=([pool, dict(type='VarianceHead')], pool), CCLoss=(embed, embed),
        FTLoss=([dict(type='Translator'), pool], [dict(type='Paraphraser'), pool])).get(loss, (pool, pool))
    spot = dict(student=SPOTS[2], loss=dict(type=loss), connector=connectors[0], teacher_connector=connectors[1])
    distiller = build_distiller(network(stride=2), network(width=6), spots=[spot])
    distiller.activate(['all'], [SPOTS[2]])
    value = distiller.train().loss(*batch(4))[f'spots.{SPOTS[2]}.loss']
    value.backward()
    assert distiller.student.backbone.layers[0][0].weight.grad.any()
    distiller.eval().predict(*batch(4))


def test_dense_kd_sees_which_pixels_are_valid():
    distiller = build_distiller(spots=[dict(student='decode_head.conv_seg', loss=dict(type='KDLoss'))])
    distiller.activate(['all'], ['decode_head.conv_seg'])
    inputs, samples = batch()
    name = 'spots.decode_head.conv_seg.loss'
    whole = distiller.eval().loss(inputs, samples)[name]
    for sample in samples:
        sample.gt_sem_seg.data[:, :6] = 255
    assert not torch.isclose(distiller.loss(inputs, samples)[name], whole)
    for sample in samples:
        sample.gt_sem_seg.data[:] = 255
    assert distiller.loss(inputs, samples)[name] == 0


def test_the_context_is_what_the_samples_tell():
    feature, (_, samples) = torch.zeros(2, 3), batch()
    assert collect_context(samples, {'index'}, feature) == {}
    assert collect_context(None, {'labels', 'index'}, feature) == {}
    for i, sample in enumerate(samples):
        sample.set_metainfo({INDEX: 7 + i})
    context = collect_context(samples, {'index', 'labels'}, feature)
    assert context['index'].tolist() == [7, 8] and context['labels'].shape == (2, 12, 12)
    classified = [BaseDataElement(gt_label=torch.tensor([label])) for label in (3, 4)]
    assert collect_context(classified, {'labels'}, feature)['labels'].tolist() == [3, 4]
    assert collect_context([BaseDataElement(gt_label=torch.tensor([1, 2]))], {'labels'}, feature) == {}


def crd_config(folder):
    embed = dict(type='Embed', dim=8, normalize=True)
    spot = dict(name='crd', student=SPOTS[2], loss=dict(type='CRDLoss'), connector=embed, teacher_connector=embed,
                memory=dict(type='ContrastMemory', num_samples=12, dim=8, negatives=5))
    cfg = config(folder, schedule=dict(type='Simultaneous', phase_epochs=2, val_interval=1))
    cfg.model.spots = [spot]
    return cfg


def test_a_memory_is_written_and_resumed_exactly(tmp_path):
    train(crd_config(tmp_path / 'one'))  # with maps of classes: each image is a class of its own
    whole = last_checkpoint(tmp_path / 'one')['state_dict']
    assert whole['spots.crd.memory.complete'] and whole['spots.crd.memory.labels'].tolist() == list(range(12))
    cfg = crd_config(tmp_path / 'two')
    train_killed(cfg, 'after_train_iter', at=5)
    train(cfg, resume=True)
    resumed = last_checkpoint(tmp_path / 'two')['state_dict']
    assert all(same_bits(value, resumed[name]) for name, value in whole.items())


FACTOR_TRANSFER = dict(
    name='ft', student=SPOTS[2], loss=dict(type='FTLoss'), connector=dict(type='Translator'),
    teacher_connector=dict(type='Paraphraser'), teacher_decoder=dict(type='ParaphraserDecoder'))


def test_a_paraphraser_is_trained_in_a_phase_of_its_own_and_fixed_afterwards(tmp_path):
    cfg = config(tmp_path, schedule=dict(type='Phases', phase_epochs=2, phases=[
        dict(name='paraphraser', train=[], spots=['ft.teacher']),
        dict(name='transfer', train=['all'], spots={'ft': 200}, task=1)]))
    cfg.model.spots = [FACTOR_TRANSFER]
    runner = train(cfg)
    files = sorted(tmp_path.glob('iter_*.pth'), key=lambda file: int(file.stem[5:]))
    first, last = (load(file)['state_dict'] for file in (files[-2], files[-1]))
    for name, before in first.items():
        same = same_bits(before, last[name])
        if 'teacher_' in name:
            assert same, name
        elif name.endswith('weight') and 'conv_seg' not in name:
            assert not same, name
    losses = [line['spots.ft.teacher.loss'] for line in log_lines(tmp_path) if 'spots.ft.teacher.loss' in line]
    half = len(losses) // 2
    assert half and sum(losses[-half:]) < sum(losses[:half])
    assert runner.iter > 0


def test_a_fixed_paraphrasers_statistics_stay():
    spot = dict(FACTOR_TRANSFER, teacher_connector=dict(type='Paraphraser', norm=True),
                teacher_decoder=dict(type='ParaphraserDecoder'))
    distiller = build_distiller(spots=[spot])
    for trained, spots, moves in ((['all'], ['ft'], False), ([], ['ft.teacher'], True)):
        distiller.activate(trained, spots)
        distiller.train()
        before = {name: buffer.clone() for name, buffer in distiller.spots.named_buffers()}
        distiller.loss(*batch())
        moved = {name for name, buffer in distiller.spots.named_buffers() if not torch.equal(buffer, before[name])}
        assert any('teacher_connector' in name for name in moved) == moves
        assert any('.connector' in name for name in moved) != moves


def test_a_phase_for_the_teachers_connector_runs_no_student():
    distiller = build_distiller(spots=[FACTOR_TRANSFER])
    assert distiller.stage_names() == ['ft', 'task_head'] and distiller.spot_names() == ['ft', 'ft.teacher']
    distiller.activate([], ['ft.teacher'])
    assert {name.split('.')[2] for name in distiller.trainable()} == {'teacher_connector', 'teacher_decoder'}
    with calls(distiller.student, distiller.teacher) as (student, teacher):
        losses = distiller.loss(*batch())
    assert not student and SPOTS[2] in teacher and list(losses) == ['spots.ft.teacher.loss']
    distiller.activate(['all'], ['ft'])
    assert not any('teacher_' in name for name in distiller.trainable())
