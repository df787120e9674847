"""Counts of recordings that are better and worse, written out one by one."""

import math

import numpy as np
import pytest
from scipy import stats

from sgmse.scoring.outcomes import outcomes, wilson


@pytest.mark.parametrize("higher", [True, False])
def test_each_recording_is_better_worse_or_as_it_was(higher):
    rng = np.random.default_rng(0)
    values, baseline = rng.normal(0.02, 0.1, (2, 95))
    sign = 1 if higher else -1
    better = worse = 0
    for value, before in zip(values, baseline, strict=True):
        better += sign * (value - before) > 0.05
        worse += sign * (before - value) > 0.05
    found = outcomes(values, baseline, noise=0.05, higher_is_better=higher)
    assert (found.better, found.worse, found.count) == (better, worse, 95)
    assert better + worse < 95
    assert found.noise == 0.05
    interval = stats.binomtest(better, 95).proportion_ci(0.95, "wilson")
    assert found.share == better / 95
    assert (found.share_low, found.share_high) == pytest.approx(tuple(interval), rel=1e-12)


def test_without_a_noise_every_difference_counts():
    found = outcomes([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 2.9999, 4.0001])
    assert (found.better, found.worse, found.count) == (1, 1, 4)
    at_the_noise = outcomes([1.5, 0.5], [1.0, 1.0], noise=0.5)  # not by more than it
    assert (at_the_noise.better, at_the_noise.worse) == (0, 0)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 95), (95, 95), (3, 10), (411, 824)])
def test_the_interval_of_a_share_is_that_of_scipy(k, n):
    for level in (0.9, 0.95):
        theirs = stats.binomtest(k, n).proportion_ci(level, "wilson")
        assert wilson(k, n, level=level) == pytest.approx(tuple(theirs), rel=1e-12, abs=1e-15)


def test_the_interval_of_a_share_covers_it():
    """Over the binomial law of 95 recordings, 95 % on average, and never much less."""
    covered = []
    for share in np.linspace(0.05, 0.95, 19):
        hits = [low <= share <= high for low, high in (wilson(k, 95) for k in range(96))]
        covered.append(stats.binom.pmf(np.arange(96), 95, share) @ hits)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.92


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match=r"of one shape \(n,\), not \(2,\) and \(3,\)"):
        outcomes([1, 2], [1, 2, 3])
    for k, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="is no share"):
            wilson(k, n)
    with pytest.raises(ValueError, match="0 of 0 is no share"):
        outcomes([], [])
    with pytest.raises(ValueError, match="only finite scores"):
        outcomes([1.0, math.nan], [1.0, 2.0])
