"""What is counted is what the step does, and counting leaves no trace."""

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn import functional as F

from skd_mm.analysis.config_model import build_model
from skd_mm.analysis.flops import (
    PhaseCost,
    config_cost,
    equal_epochs,
    network_cost,
    schedule_cost,
    training_flops,
)
from skd_mm.deploy.quantisation import quantized_layers
from skd_mm.distillers import Distiller
from skd_mm.distillers.networks import build_network
from skd_mm.registry import MODELS
from skd_mm.schedules import NoTeacher, Phase, Simultaneous, Stagewise
from tests.helpers import network

SHAPE = (3, 8, 8)
A, B, C = (2 * 64 * cin * cout * k * k for cin, cout, k in ((3, 4, 3), (4, 8, 3), (8, 2, 1)))


@MODELS.register_module(force=True)
class ThreeConvs(BaseModel):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.b = nn.Conv2d(4, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 2, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        outputs = self.c(F.dropout(self.b(self.a(inputs)), training=self.training))
        return dict(loss=outputs.mean()) if mode == 'loss' else outputs


@pytest.fixture
def distiller():
    network = dict(type='skd_mm.ThreeConvs')
    return Distiller(student=network, teacher=network, spots=['a', 'b'])


def cost(distiller, recipe):
    phases = recipe.phases(distiller.stage_names())
    return [(c.truncated, c.cached, c.fill) for c in schedule_cost(distiller, phases, SHAPE)]


def test_every_operation_of_a_step_is_counted_once(distiller):
    # Forward of the teacher and the student as far as needed, gradients of weights, and of features that need one.
    assert cost(distiller, Stagewise(phase_epochs=1)) == [
        (A + A + A, A + A, A),
        (A + B + A + B + B, B + B, 2 * A + B),
        (A + B + C + C, C + C, A + B)]
    alone = 2 * A + 3 * B + 3 * C
    assert cost(distiller, NoTeacher(phase_epochs=1)) == [(alone, alone, 0)]
    assert cost(distiller, Simultaneous(phase_epochs=1)) == [(A + B + alone, alone, A + B)]


def test_what_learns_is_counted(distiller):
    phases = Stagewise(phase_epochs=1).phases(distiller.stage_names())
    costs = schedule_cost(distiller, phases, SHAPE)
    assert [c.name for c in costs] == ['a', 'b', 'task_head']
    assert [c.trainable for c in costs] == [4 * 27 + 4 + 8, 8 * 36 + 8, 2 * 8 + 2]


def test_nothing_is_cached_where_the_statistics_move(distiller):
    truncated, cached, fill = cost(distiller, Stagewise(phase_epochs=1, frozen_bn='train'))[1]
    assert cached == truncated and fill == 0


def test_counting_leaves_no_trace(distiller):
    for parameter in distiller.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {key: value.clone() for key, value in distiller.state_dict().items()}
    distiller.eval()
    random_state = torch.get_rng_state()
    cost(distiller, NoTeacher(phase_epochs=1))
    network_cost(distiller.student, SHAPE)
    assert not any(module.training for module in distiller.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    for key, value in distiller.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(torch.equal(parameter.grad, torch.ones_like(parameter)) for parameter in distiller.parameters())
    assert distiller.cache is None


def test_what_modules_derive_from_their_buffers_is_renewed():
    # A memory knows after its first batch that its normalisation is known: a buffer that counting sets back.
    embed = dict(type='Embed', dim=4, normalize=True)
    spot = dict(student='c', connector=embed, teacher_connector=embed, loss=dict(type='CRDLoss'),
                memory=dict(type='ContrastMemory', num_samples=2, dim=4, negatives=2))
    network = dict(type='skd_mm.ThreeConvs')
    distiller = Distiller(student=network, teacher=network, spots=[spot])
    phases = Simultaneous(phase_epochs=1).phases(distiller.outline())
    schedule_cost(distiller, phases, SHAPE)
    schedule_cost(distiller, phases, SHAPE)  # would not be finite


# SKD's table, whose counter takes batch norm and activations for MACs too, and what torchvision's documentation says.
@pytest.mark.parametrize('depth, paper, torchvision', [(10, 0.896, None), (18, 1.824, 1.81), (34, 3.679, 3.66)])
def test_macs_are_those_that_others_count(depth, paper, torchvision):
    classifier = build_model(Config(dict(default_scope='mmpretrain', model=dict(
        type='ImageClassifier',
        backbone=dict(type='skd_mm.ResNet', depth=depth, out_indices=(4,)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=512)))))
    counted = network_cost(classifier, (3, 224, 224))
    assert 0.99 * paper < counted.macs / 1e9 < paper
    assert torchvision is None or round(counted.macs / 1e9, 2) == torchvision
    assert counted.parameters == sum(p.numel() for p in classifier.parameters())


def test_a_schedule_adds_up():
    phases = [Phase('a', ['a'], task=1, epochs=3, fraction=0.1), Phase('b', ['b'], task=1, iters=5)]
    costs = [PhaseCost('a', 1, truncated=100, cached=10, fill=90), PhaseCost('b', 1, 1000, 400, 600)]
    total = training_flops(costs, phases, images=250, batch_size=8)
    # 25 images give 3 iterations an epoch; the second phase sees 40 of its 250 images.
    assert total.iterations == 9 + 5
    assert total.truncated == 9 * 8 * 100 + 5 * 8 * 1000
    assert total.cached == 9 * 8 * 10 + 25 * 90 + 5 * 8 * 400 + 40 * 600
    by_class = training_flops(costs, phases, images=lambda fraction: {0.1: 32, 1.0: 250}[fraction], batch_size=8)
    assert by_class.iterations == 3 * 4 + 5
    with pytest.raises(ValueError, match='7 training images are fewer than one batch of 8'):
        training_flops(costs, phases, images=70, batch_size=8)


def test_equal_epochs():
    # 20 images give two iterations of 8, so an epoch costs 16 times an image.
    assert equal_epochs(16 * 700, 100, images=20, batch_size=8) == 7
    assert equal_epochs(int(16 * 100 * 7.6), 100, images=20, batch_size=8) == 8
    assert equal_epochs(1, 100, images=20, batch_size=8) == 1
    with pytest.raises(ValueError, match='fewer than one batch'):
        equal_epochs(1, 100, images=7, batch_size=8)


@pytest.mark.parametrize('teacher', [dict(type='skd_mm.TargetBank', rows=4), dict(type='skd_mm.VirtualTeacher')])
def test_a_teacher_without_parameters_costs_nothing(teacher):
    distiller = Distiller(
        student=dict(type='ImageClassifier', _scope_='mmpretrain', backbone=dict(type='skd_mm.MLP', in_channels=5),
                     head=dict(type='LinearClsHead', num_classes=3, in_channels=32)),
        teacher=dict(teacher, num_classes=3), input_shape=(5, 1, 1),
        spots=[dict(name='logits', student='head.fc', teacher='bank', loss=dict(type='KDLoss'))])
    counted = network_cost(distiller.teacher, (5, 1, 1))
    assert (counted.parameters, counted.macs, counted.bit_operations) == (0, 0, 0)
    phases = Simultaneous(phase_epochs=1).phases(distiller.stage_names())
    student = network_cost(distiller.student, (5, 1, 1))
    # Nothing is saved by a cache, and a teacher that draws its targets cannot be cached.
    cost, = schedule_cost(distiller, phases, (5, 1, 1))
    assert cost.truncated == cost.cached > 4 * student.macs


def test_a_config_is_counted_without_its_checkpoints(monkeypatch):
    network = dict(type='skd_mm.ThreeConvs')
    cfg = Config(dict(
        model=dict(type='skd_mm.Distiller', student=network, teacher=dict(network, checkpoint='is/not/there.pth'),
                   spots=['a', 'b']),
        schedule=dict(type='Stagewise', phase_epochs=1)))
    logger, said = MMLogger.get_current_instance(), []
    level = logger.level
    monkeypatch.setattr(logger, 'callHandlers', said.append)
    _, phases, costs = config_cost(cfg, SHAPE)
    assert [phase.name for phase in phases] == [c.name for c in costs] == ['a', 'b', 'task_head']
    assert costs[0].truncated == 3 * A
    assert logger.level == level
    assert not [record for record in said if record.levelno >= logging.WARNING]
    cfg.pop('schedule')
    with pytest.raises(ValueError, match='no `schedule`'):
        config_cost(cfg, SHAPE)


def test_quantised_layers_count_with_their_bits():
    init_default_scope('mmseg')
    plain = build_network(network(), 'student')
    counted = network_cost(plain, (3, 16, 16))
    assert counted.bit_operations == counted.macs * 32 * 32
    assert counted.bytes == sum(value.numel() * value.element_size() for value in plain.state_dict().values())
    transform = dict(type='FakeQuantize', bits=4, activation_bits=6, skip=['backbone.layers.1'])
    student = build_network(dict(network(), transform=transform), 'student')
    layers = quantized_layers(student)
    macs = network_cost(student, (3, 16, 16)).macs
    assert macs == counted.macs and len(layers) == 4
    sizes = dict(skipped=student.backbone.layers[1][0], first=student.backbone.layers[0][0],
                 last=student.decode_head.conv_seg)
    sizes = {name: layer.weight.numel() * 16 * 16 for name, layer in sizes.items()}
    inner = macs - sum(sizes.values())
    found = network_cost(student, (3, 16, 16))
    outer = sizes['first'] + sizes['last']
    assert found.bit_operations == sizes['skipped'] * 32 * 32 + outer * 8 * 6 + inner * 4 * 6
    weights = sum(layer.weight.numel() * (32 - layer.weight_quantizer.bits) for layer in layers.values())
    whole = sum(value.numel() * value.element_size() for value in student.state_dict().values())
    assert found.bytes == whole - weights // 8 < counted.bytes
