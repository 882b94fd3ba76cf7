"""Comparison of runs with different methods and the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of paired runs, with its confidence interval.

    Attributes:
        mean: Mean of ``method - baseline``.
        low: Lower end of the interval.
        high: Upper end of the interval.
        pairs: The number of pairs.
    """

    mean: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f'{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}] ({self.pairs} pairs)'


def paired_difference(method: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> PairedDifference:
    """Return the mean difference of paired runs with its interval, by Student's t.

    Args:
        method: One result per seed.
        baseline: The results of the same seeds, in the same order.
        confidence: Confidence level of the interval. Defaults to 0.95.

    Returns:
        The difference; its interval is infinite for a single pair.

    Raises:
        ValueError: The runs are not pairs, or there are none.
    """
    if len(method) != len(baseline) or not method:
        raise ValueError(f'{len(method)} results and {len(baseline)} of a baseline are not pairs')
    differences = np.subtract(method, baseline)
    mean, pairs = float(differences.mean()), len(differences)
    if pairs == 1:
        return PairedDifference(mean, -float('inf'), float('inf'), 1)
    half = float(stats.t.ppf((1 + confidence) / 2, pairs - 1) * differences.std(ddof=1) / pairs**0.5)
    return PairedDifference(mean, mean - half, mean + half, pairs)
