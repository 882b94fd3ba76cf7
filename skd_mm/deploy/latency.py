"""The latency of networks on the CPU: files of several formats and PyTorch, with one thread and with several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skd_mm.utils.timing import CLOCKS, interleaved

from .formats import load_file

ROUNDS, WARMUP = 30, 5
"""Timed runs, and runs before them."""


@dataclass(frozen=True)
class Latency:
    """The time of a forward pass, in milliseconds.

    Attributes:
        threads: The threads that it may use.
        median: The median over the rounds.
        low: Their first quartile.
        high: Their third quartile.
        fastest: The fastest run, which other load on the machine affects least.
        rounds: The number of timed runs.
        warmup: The number of runs before them.
        clock: ``'wall'``, or ``'cpu'`` for the time of the process.
    """

    threads: int
    median: float
    low: float
    high: float
    fastest: float
    rounds: int
    warmup: int
    clock: str

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for a JSON file."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def measure_latency(networks: Mapping[str, nn.Module | str | Path], inputs: Tensor | Sequence[Tensor],
                    threads: Sequence[int] = (1, 2), rounds: int = ROUNDS, warmup: int = WARMUP,
                    clock: str = 'wall') -> dict[str, list[Latency]]:
    """Time networks on the CPU, interleaved, so that other load on the machine affects all of them alike.

    Args:
        networks: By name: modules of PyTorch, which run in their present mode without autograd, or paths of exported
            files.
        inputs: The input, or several, ``[B, ...]``.
        threads: The numbers of threads to time with. Defaults to one and two.
        rounds: Timed runs of each. Defaults to 30.
        warmup: Runs of each before them. Defaults to 5.
        clock: ``'wall'``, or ``'cpu'`` for the time of the process, which counts all threads. Defaults to wall-clock
            time.

    Returns:
        For each network, its latency with each number of threads.

    Raises:
        ValueError: A number of threads or rounds is less than one, or the clock is unknown.
    """
    if min([*threads, rounds]) < 1:
        raise ValueError(f'latency needs at least one thread and one round, not threads={list(threads)}, '
                         f'rounds={rounds}')
    if clock not in CLOCKS:
        raise ValueError(f'clock={clock!r} is not one of {list(CLOCKS)}')
    values = (inputs, ) if isinstance(inputs, Tensor) else tuple(inputs)
    found: dict[str, list[Latency]] = {name: [] for name in networks}
    before = torch.get_num_threads()
    try:
        for count in threads:
            torch.set_num_threads(count)
            steps = {name: _step(network, values, count) for name, network in networks.items()}
            times = interleaved(steps, rounds, warmup, CLOCKS[clock])
            for name, spent in times.items():
                low, median, high = (float(value) for value in np.quantile(spent, [0.25, 0.5, 0.75]))
                found[name].append(Latency(count, median, low, high, min(spent), rounds, warmup, clock))
    finally:
        torch.set_num_threads(before)
    return found


def _step(network: nn.Module | str | Path, inputs: Sequence[Tensor], threads: int) -> Callable[[], Any]:
    """Return a function that runs a network once; conversions of its input are not timed."""
    if isinstance(network, nn.Module):
        def run_module() -> None:
            with torch.inference_mode():
                network(*inputs)
        return run_module
    return load_file(network, threads).step(*inputs)
