"""Intervals and differences against scipy, and what they must not hide."""

import math
from itertools import chain, combinations

import numpy as np
import pytest
from scipy import stats

from sgmse.scoring.intervals import corrected, holm, interval, paired, stars


@pytest.fixture
def values():
    return np.random.default_rng(1).gamma(2.0, size=60)


def test_the_interval_is_that_of_scipy(values):
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", random_state=1
    ).confidence_interval
    mine = interval(values, draws=20000)
    width = theirs.high - theirs.low
    assert mine.mean == values.mean()
    assert mine.count == 60
    assert mine.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert mine.high == pytest.approx(theirs.high, abs=0.03 * width)
    assert mine.half_width == (mine.high - mine.low) / 2


def test_draws_are_those_of_one_generator_however_they_are_divided(values, monkeypatch):
    picks = np.random.default_rng(7).integers(0, 60, (500, 60))
    low, high = np.quantile(values[picks].mean(axis=1), [0.05, 0.95])
    found = interval(values, level=0.9, draws=500, seed=7)
    assert (found.low, found.high) == (low, high)
    many = np.tile(values, 1000)  # in parts of 17 draws
    picks = np.random.default_rng(0).integers(0, 60000, (40, 60000))
    low, high = np.quantile(many[picks].mean(axis=1), [0.025, 0.975])
    found = interval(many, draws=40)
    assert (found.low, found.high) == (low, high)


def test_few_values():
    nothing = interval([])
    assert nothing.count == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.half_width)
    one = interval([2.0])
    assert (one.mean, one.low, one.high, one.count) == (2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize("bad", [[1.0, math.inf], [math.nan], [[1.0, 2.0]]])
def test_what_no_mean_can_hold_is_refused(bad):
    with pytest.raises(ValueError, match="finite values"):
        interval(bad)


def test_paired_differences(values):
    better = values + np.random.default_rng(2).normal(0.1, 0.3, 60)
    found = paired(better, values)
    assert found.mean == pytest.approx((better - values).mean())
    assert found.p == stats.wilcoxon(better, values).pvalue
    assert found.low < found.mean < found.high
    back = paired(values, better)
    assert back.mean == pytest.approx(-found.mean)
    assert back.p == pytest.approx(found.p)
    assert (paired(values, values).mean, paired(values, values).p) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"of one shape, not \(60,\) and \(59,\)"):
        paired(values, values[1:])


@pytest.mark.parametrize(("p", "mark"), [(0.05, ""), (0.049, "*"), (0.005, "**"), (1e-4, "***")])
def test_stars(p, mark):
    assert stars(p) == mark


def test_holm_is_the_closed_test_of_bonferroni():
    """A hypothesis falls with all intersections that contain it, each by Bonferroni's test."""
    ps = [0.011, 0.2, 0.012, 0.6, 0.03, 0.012]
    places = range(len(ps))
    subsets = list(chain(*(combinations(places, size) for size in range(1, len(ps) + 1))))
    closed = [
        max(min(1.0, len(s) * min(ps[j] for j in s)) for s in subsets if i in s) for i in places
    ]
    assert holm(ps) == pytest.approx(closed, rel=1e-15)
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
    assert holm([1.0, 0.5, 0.5]) == [1.0, 1.0, 1.0]
    for bad in ([0.5, -0.1], [math.nan], [1.1]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            holm(bad)


def test_chance_among_many_comparisons_is_found_once_in_twenty_tables():
    """Of tables of 20 comparisons where nothing differs, 5 % at most have a star, not 64 %."""
    rng = np.random.default_rng(3)
    tables = rng.uniform(size=(2000, 20))
    raw = np.mean([min(ps) < 0.05 for ps in tables])
    held = np.mean([min(holm(ps)) < 0.05 for ps in tables])
    assert raw == pytest.approx(1 - 0.95**20, abs=0.03)
    assert held == pytest.approx(0.05, abs=0.015)


def test_corrected_keeps_all_but_the_corrected_value(values):
    differences = [paired(values + shift, values[::-1]) for shift in (0.0, 0.5, 1.0)]
    assert [d.p_holm for d in differences] == [d.p for d in differences]
    found = corrected(differences)
    assert [d.p_holm for d in found] == holm([d.p for d in differences])
    assert [(d.mean, d.low, d.p) for d in found] == [(d.mean, d.low, d.p) for d in differences]
