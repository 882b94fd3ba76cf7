"""Statistics over the seeds of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from skd_mm.analysis.comparison import PairedDifference, paired_difference


@dataclass(frozen=True)
class Summary:
    """Results of one method over its seeds.

    Attributes:
        values: Result of each seed.
        mean: Their mean.
        std: Their sample standard deviation; None for a single one.
    """

    values: dict[int, float]
    mean: float
    std: float | None


def results(study: Mapping[str, Any], method: str, fraction: float | None, which: str = 'best') -> dict[int, float]:
    """Return the results of a method by seed.

    Args:
        study: The content of ``study.json``.
        method: Name of the method.
        fraction: The fraction.
        which: ``'best'`` or ``'last'``: the checkpoint.

    Returns:
        The metric of each seed that is done.

    Raises:
        KeyError: The tests did not give the study's metric.
    """
    metric = study['study']['metric']
    found = {}
    for record in study['records']:
        if (record['kind'], record['name'], record['fraction']) == ('run', method, fraction) and 'metrics' in record:
            found[record['seed']] = metric_of(record['metrics'][which], metric)
    return dict(sorted(found.items()))


def metric_of(metrics: Mapping[str, float], metric: str) -> float:
    """Return a metric.

    Raises:
        KeyError: It is not there; the message names those that are.
    """
    if metric not in metrics:
        raise KeyError(f'study.metric={metric!r} is not among the metrics of the tests, {list(metrics)}')
    return metrics[metric]


def summarise(values: Mapping[int, float]) -> Summary | None:
    """Return mean and standard deviation; None without results."""
    if not values:
        return None
    numbers = list(values.values())
    return Summary(dict(values), float(np.mean(numbers)), float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None)


def compare(method: Mapping[int, float], baseline: Mapping[int, float]) -> PairedDifference | None:
    """Compare two methods on the seeds that both have; None if there are none."""
    seeds = sorted(method.keys() & baseline.keys())
    if not seeds:
        return None
    return paired_difference([method[seed] for seed in seeds], [baseline[seed] for seed in seeds])


def indistinguishable(study: Mapping[str, Any], fraction: float | None, which: str = 'best') -> list[tuple[str, str]]:
    """Return the pairs of methods whose difference has a 95 % interval that includes zero.

    Each pair is looked at by itself; the intervals are not corrected for the number of pairs.

    Args:
        study: The content of ``study.json``.
        fraction: The fraction.
        which: ``'best'`` or ``'last'``.

    Returns:
        Pairs of names, in the order of the methods.
    """
    names = [method['name'] for method in study['methods']]
    values = {name: results(study, name, fraction, which) for name in names}
    pairs = []
    for one, other in combinations(names, 2):
        difference = compare(values[other], values[one])
        if difference is not None and difference.low <= 0 <= difference.high:
            pairs.append((one, other))
    return pairs
