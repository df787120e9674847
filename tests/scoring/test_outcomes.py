"""Counts of recordings that are better and worse, written out one by one."""

import math

import numpy as np
import pytest

from sgmse.scoring.outcomes import outcomes


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


def test_without_a_noise_every_difference_counts():
    found = outcomes([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 2.9999, 4.0001])
    assert (found.better, found.worse, found.count) == (1, 1, 4)
    at_the_noise = outcomes([1.5, 0.5], [1.0, 1.0], noise=0.5)  # not by more than it
    assert (at_the_noise.better, at_the_noise.worse) == (0, 0)


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match=r"of one shape \(n,\), not \(2,\) and \(3,\)"):
        outcomes([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="only finite scores"):
        outcomes([1.0, math.nan], [1.0, 2.0])
