import math

import pytest

from skd_mm.analysis.comparison import paired_difference


def test_interval_is_students_t():
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), and t(0.975, 2) = 4.3027 from the tables.
    difference = paired_difference([11, 22, 33], [10, 20, 30])
    assert difference.mean == pytest.approx(2)
    assert difference.high - difference.mean == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert difference.mean - difference.low == pytest.approx(difference.high - difference.mean)
    assert str(difference) == '+2.00 [-0.48, +4.48] (3 pairs)'


def test_one_pair_says_nothing_about_the_spread():
    difference = paired_difference([2.], [1.])
    assert difference.mean == 1 and math.isinf(difference.low) and math.isinf(difference.high)


def test_unpaired_results_are_refused():
    with pytest.raises(ValueError, match='2 results and 1 of a baseline'):
        paired_difference([1, 2], [1])
