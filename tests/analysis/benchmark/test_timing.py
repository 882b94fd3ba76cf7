"""Clocks and memory."""

import time

import pytest
import torch
from torch import nn

from skd_mm.analysis.benchmark import CLOCKS, interleaved, milliseconds
from skd_mm.analysis.benchmark.memory import peak_memory
from skd_mm.utils.timing import rotated


def test_the_wall_clock_runs_while_a_process_sleeps():
    assert 20 <= milliseconds(time.sleep, 0.02) < 2000
    assert milliseconds(time.sleep, 0.05, clock=CLOCKS['cpu']) < 20


def test_steps_take_turns():
    order = []
    times = interleaved(dict(a=lambda: order.append('a'), b=lambda: order.append('b')), rounds=2, warmup=1)
    assert ''.join(order) == 'abbaab' and [len(values) for values in times.values()] == [2, 2]
    assert [name for name, _ in rotated(dict(x=1, y=2, z=3), 4)] == ['y', 'z', 'x']


def test_peak_memory_is_what_a_step_holds_at_once():
    model = nn.Linear(2, 2)
    held = torch.zeros(2**20)

    def step():
        for _ in range(5):
            one = torch.zeros(2**20)
            other = one + held
            del one, other
        model(torch.zeros(1, 2))

    assert peak_memory(step) == pytest.approx(8, abs=0.1)
