from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from sgmse.training.averages.profiles import (
    LONGEST,
    Profile,
    combination,
    decay,
    exponent,
    products,
)
from sgmse.training.averages.selection import MISS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "training.md"


def p(tau: float, t: float, gamma: float) -> float:
    return (gamma + 1) * tau**gamma / t ** (gamma + 1) if tau <= t else 0.0


@pytest.mark.parametrize(("length", "gamma"), [(0.05, 16.97), (0.1, 6.94), (LONGEST, 0.0)])
def test_lengths_and_exponents_are_those_of_the_paper(length, gamma):
    assert exponent(length) == pytest.approx(gamma, abs=5e-3)
    g = exponent(length)
    assert (g + 1) ** 0.5 / ((g + 2) * (g + 3) ** 0.5) == pytest.approx(length, rel=1e-12)


@pytest.mark.parametrize("length", [0.003, 0.02, 0.1, 0.25, 0.2886])
def test_a_length_is_the_spread_of_the_profile(length):
    gamma, t = exponent(length), 7.0

    def moment(n: int) -> float:
        # told where most of a narrow profile is
        return quad(lambda tau: tau**n * p(tau, t, gamma), 0, t, epsrel=1e-10, points=[6.3])[0]

    mass, mean, square = map(moment, range(3))
    assert mass == pytest.approx(1, rel=1e-9)
    # the square of a small spread is a difference of large numbers
    assert (square - mean**2) ** 0.5 / t == pytest.approx(length, rel=1e-4)


@pytest.mark.parametrize("length", [0.0, -0.1, 0.2887, float("nan")])
def test_what_is_no_length_is_refused(length):
    with pytest.raises(ValueError, match=r"a length must lie above 0, at most at 0\.2886"):
        exponent(length)


@pytest.mark.parametrize("gamma", [0.0, 0.7, 6.94])
def test_an_update_weighs_as_the_profile_over_its_time(gamma):
    weights = np.zeros(9)
    for t in range(1, 10):
        beta = decay(gamma, t)
        weights *= beta
        weights[t - 1] += 1 - beta
    cells = [quad(p, k, k + 1, args=(9.0, gamma))[0] for k in range(9)]
    np.testing.assert_allclose(weights, cells, rtol=1e-9)


def test_inner_products_are_integrals():
    times, gammas = (3.0, 11.0), (0.0, 0.3, 16.97)
    for t_a, g_a, t_b, g_b in product(times, gammas, times, gammas):
        expected = quad(
            lambda tau, a, b: p(tau, *a) * p(tau, *b),
            *(0, min(t_a, t_b)),
            args=((t_a, g_a), (t_b, g_b)),
            epsrel=1e-10,
        )[0]
        assert products(t_a, g_a, t_b, g_b) == pytest.approx(expected, rel=1e-8)
    assert np.isfinite(products(1e6, exponent(0.001), 1.0, exponent(0.001)))


STORED = [Profile(t, length) for t in range(50, 1001, 50) for length in (0.05, 0.1)]


@pytest.mark.parametrize("i", [0, 7, 39])
def test_a_stored_average_is_itself(i):
    found = combination(STORED, STORED[i])
    # the condition of the products is 2e3
    np.testing.assert_allclose(found.weights, np.arange(40) == i, atol=1e-11)
    assert found.miss < 1e-7  # the root of a difference of numbers near 1


def test_the_fit_is_the_least_squares_one():
    """Against a solution on a fine grid, the sum held to 1 by elimination."""
    stored, wanted = STORED[-10:], Profile(1000, 0.07)
    tau = (np.arange(200_000) + 0.5) / 200
    columns = np.array([p_of(tau, profile) for profile in stored]).T
    target = p_of(tau, wanted)
    free = np.linalg.lstsq(columns[:, 1:] - columns[:, :1], target - columns[:, 0], rcond=None)[0]
    found = combination(stored, wanted)
    np.testing.assert_allclose(found.weights[1:], free, atol=1e-5)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    missed = target - columns @ found.weights
    assert found.miss == pytest.approx(np.linalg.norm(missed) / np.linalg.norm(target), rel=1e-4)
    assert 1e-3 < found.miss < 0.1


def p_of(tau: np.ndarray, profile: Profile) -> np.ndarray:
    t, gamma = profile.updates, exponent(profile.length)
    return np.where(tau <= t, (gamma + 1) / t * (tau / t) ** gamma, 0.0)


def test_what_the_snapshots_give():
    def miss(length: float, stored: list[Profile] = STORED) -> float:
        return combination(stored, Profile(1000, length)).miss

    assert miss(0.07) < 0.003
    assert miss(0.2) < 0.02
    assert miss(0.01) > 0.2
    assert miss(0.03, STORED[-2:]) > 2 * miss(0.03)


@pytest.mark.parametrize(
    ("count", "shortest", "longest"),
    [(5, 0.035, 0.16), (10, 0.03, 0.23), (20, 0.02, 0.26), (50, 0.01, 0.28)],
)
def test_the_table_of_the_page_on_training(count, shortest, longest):
    assert f"| {count} | {shortest:g} to {longest:g} |\n" in PAGE.read_text("utf-8")
    stored = [Profile(500 * (k + 1), length) for k in range(count) for length in (0.05, 0.1)]

    def given(length: float) -> bool:
        return combination(stored, Profile(500 * count, length)).miss <= MISS

    assert given(shortest)
    assert given(longest)
    assert not given(0.9 * shortest)
    assert not given(min(1.05 * longest, LONGEST))
