from mmengine.config import Config

from skd_mm.analysis.flops import network_cost, schedule_cost
from skd_mm.analysis.router_cost import RouterCost, router_cost, with_gate
from skd_mm.schedules import Simultaneous
from tests.helpers import SPOTS, build_distiller, calls, network

SHAPE = (3, 12, 12)
SPOT_CONFIGS = [*SPOTS, dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'))]


def distiller(gate):
    return build_distiller(network(width=16), network(width=16), spots=SPOT_CONFIGS, router=dict(gate=gate))


def test_units_are_three_of_the_teacher_and_five_of_the_student():
    assert RouterCost(teacher=10, student=1, plain=0, routed=0, passes=0).units == 35


def test_what_is_timed():
    routed, plain = distiller('policy'), distiller('always')
    with calls(routed.student, routed.teacher, plain.student) as (student, teacher, other):
        cost = router_cost(routed, plain, SHAPE, batch_size=2, rounds=3)
    # a round: forward, two of the passes, two of a step; forward, two, and two of which the first stage is run once
    assert student['backbone.layers.1.0'] == 4 * (1 + 2 + 2) and teacher['backbone.layers.1.0'] == 4 * (1 + 2 + 2)
    assert other['backbone.layers.1.0'] == 4
    assert 0 < cost.teacher < cost.routed and 0 < cost.student < cost.plain < cost.routed
    assert all(parameter.grad is None for parameter in routed.parameters())


def test_a_routed_step_counts_no_more_operations_than_the_algorithm_needs():
    routed = distiller('policy')
    phases = Simultaneous(phase_epochs=1, average=False).phases(routed.stage_names(), routed.spot_names())
    counted = schedule_cost(routed, phases, SHAPE)[0]
    units = 2 * (3 * network_cost(routed.teacher, SHAPE).macs + 5 * network_cost(routed.student, SHAPE).macs)
    assert counted.truncated < 1.15 * units
    assert counted.cached == counted.truncated and counted.fill == 0


def test_the_gate_is_changed_in_a_copy():
    cfg = Config(dict(model=dict(router=dict(gate='policy', gamma=2))))
    assert with_gate(cfg, 'always').model.router == dict(gate='always', gamma=2) and cfg.model.router.gate == 'policy'
