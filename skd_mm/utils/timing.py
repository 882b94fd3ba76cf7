"""Clocks, and the time of single steps."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

CLOCKS: dict[str, Callable[[], float]] = dict(wall=time.perf_counter, cpu=time.process_time)
"""Seconds of the wall clock, and of this process alone."""


def synchronize() -> None:
    """Wait for the GPU to finish its work, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def milliseconds(step: Callable[..., Any], *args: Any, clock: Callable[[], float] = time.perf_counter) -> float:
    """Time a step.

    ``torch.utils.benchmark.Timer`` would run it several times to warm up, which steps that change their models do not
    bear, and knows the wall clock only.

    Args:
        step: The step.
        *args: Its arguments.
        clock: One of :data:`CLOCKS`; the wall clock by default.

    Returns:
        Its duration, without work of the GPU from before it.
    """
    synchronize()
    start = clock()
    step(*args)
    synchronize()
    return (clock() - start) * 1e3


def interleaved(steps: Mapping[str, Callable[[], Any]], rounds: int, warmup: int = 1,
                clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
    """Time several steps in turn.

    Args:
        steps: The steps by name.
        rounds: How often each is timed.
        warmup: Rounds before them. Defaults to 1.
        clock: One of :data:`CLOCKS`; the wall clock by default.

    Returns:
        The milliseconds of each timed round.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(warmup + rounds):
        for name, step in rotated(steps, number):
            spent = milliseconds(step, clock=clock)
            if number >= warmup:
                times[name].append(spent)
    return times


def rotated(steps: Mapping[str, Any], number: int) -> Iterator[tuple[str, Any]]:
    """Yield named steps in an order that starts with another one in each round.

    Args:
        steps: The steps by name.
        number: The number of the round.

    Yields:
        Names and steps.
    """
    names = list(steps)
    for i in range(len(names)):
        name = names[(number + i) % len(names)]
        yield name, steps[name]
