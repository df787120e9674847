"""Mean ranks against scipy's, draw by draw."""

import math

import numpy as np
import pytest
from scipy import stats

from sgmse.scoring.ranks import mean_ranks


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4, 3, 30)) + 0.2 * np.arange(4)[:, None, None]
    scores[3, 2] = scores[1, 2]  # equal ones share their rank
    higher = [True, False, True]

    def ranks(some):
        means = some.mean(axis=2) * [1, -1, 1]
        return stats.rankdata(-means, axis=0).mean(axis=1)

    found = mean_ranks(scores, higher, draws=200, seed=4)
    assert [r.mean for r in found] == pytest.approx(ranks(scores), rel=1e-15)
    assert sum(r.mean for r in found) == pytest.approx(4 * 5 / 2)
    picks = np.random.default_rng(4).integers(0, 30, (200, 30))
    drawn = [ranks(scores[:, :, pick]) for pick in picks]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert [r.low for r in found] == pytest.approx(low, rel=1e-12)
    assert [r.high for r in found] == pytest.approx(high, rel=1e-12)
    assert {r.count for r in found} == {30}


def test_what_is_certain_has_no_width_and_what_is_equal_one_rank():
    base = np.random.default_rng(1).normal(size=(1, 2, 3000))
    clear = mean_ranks(np.concatenate([base, base + 1, base]), [True, True], draws=50)
    assert [(r.mean, r.low, r.high) for r in clear] == [(2.5, 2.5, 2.5), (1, 1, 1), (2.5, 2.5, 2.5)]


def test_what_cannot_be_ranked_is_refused():
    good = np.zeros((2, 2, 5))
    for bad in (np.zeros((2, 5)), np.zeros((2, 2, 0)), np.full((2, 2, 5), math.nan)):
        with pytest.raises(ValueError, match="ranks are of finite scores of shape"):
            mean_ranks(bad, [True, True])
    with pytest.raises(ValueError, match="2 measures have 3 directions"):
        mean_ranks(good, [True] * 3)
