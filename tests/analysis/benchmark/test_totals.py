"""The schedule as the sum of its phases."""

import pytest

from skd_mm.analysis.benchmark.totals import total


def test_phases_count_with_their_length_and_the_filling_of_the_cache():
    phase = dict(iterations=100, ms_naive=10., ms_truncated=5., ms_cached=1., ms_bare=4., ms_bare_cached=0.5,
                 ms_fill=6., ms_fill_first=20., fill_iterations=4, overhead_ms_truncated=1., overhead_ms_cached=0.25,
                 val_iterations=50, val_fill_iterations=10, ms_val_naive=4., ms_val_truncated=2., ms_val_cached=1.,
                 ms_val_fill=3.)
    found = total([phase, dict(phase, iterations=300, fill_iterations=0)])
    naive, cached = 400 * 10, (20 + 3 * 6 + 96 * 1) + 300 * 1
    assert found['seconds_naive'] == pytest.approx(naive / 1e3)
    assert found['ratio_truncated'] == pytest.approx(2)
    assert found['ratio_cached'] == pytest.approx(naive / cached)
    assert found['ratio_cached_with_validation'] == pytest.approx((naive + 100 * 4) / (cached + 2 * (40 + 10 * 3)))
    assert (found['overhead'], found['overhead_cached']) == (pytest.approx(0.25), pytest.approx(0.5))
