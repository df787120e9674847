"""The mathematics of averages whose length is chosen after the training (Karras et al. 2024).

Post-hoc EMA, arXiv:2312.02696, section 3 and appendix C. At update t a power-function average is

    average <- beta average + (1 - beta) weights,     beta = (1 - 1/t)^(gamma + 1)

which weighs update k by the integral over [k - 1, k] of the profile

    p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1),     0 <= tau <= t

and is thus exactly the integral of p times the weights, constant between updates. Unlike that of an
exponential average, its profile stretches with the training; its length is the standard deviation
of p relative to t:

    sigma_rel = sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3))

Two such averages, stored from time to time, span most others: p ~ sum_i x_i p_i with sum_i x_i = 1
and the least int (p - sum_i x_i p_i)^2, whose inner products have closed forms. The same x_i make
an average of that profile of the stored weights.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgmse.errors import ArgumentError

#: The length of the plain mean of all updates, gamma = 0: 0.28867.
LONGEST = 1 / sqrt(12)


def check_length(length: float) -> None:
    """Raise `ValueError` for what is no length of an average."""
    if not 0 < length <= LONGEST:
        raise ArgumentError(
            f"a length must lie above 0, at most at 0.2886 (the mean of all), not {length:g}"
        )


def exponent(length: float) -> float:
    """gamma of an average: of the roots of its cubic the one that is not negative.

    (gamma + 2)^2 (gamma + 3) = (gamma + 1) / sigma_rel^2. Raises `ValueError` for no length.
    """
    check_length(length)
    k = length**-2
    return max(0.0, float(np.roots([1, 7, 16 - k, 12 - k]).real.max()))


def decay(gamma: float, update: int) -> float:
    """beta at update 1, 2, ...; 0 at the first, which copies the weights."""
    return float((1 - 1 / update) ** (gamma + 1))


def products(
    t_a: ArrayLike, gamma_a: ArrayLike, t_b: ArrayLike, gamma_b: ArrayLike
) -> NDArray[np.float64]:
    """int p_a p_b over their common support, for arrays that broadcast."""
    t_a, gamma_a, t_b, gamma_b = (np.asarray(v, np.float64) for v in (t_a, gamma_a, t_b, gamma_b))
    t = np.minimum(t_a, t_b)
    # Powers of ratios up to 1, for those of times would overflow.
    powers = (t / t_a) ** gamma_a * (t / t_b) ** gamma_b * t / (t_a * t_b)
    return (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1) * powers


class Profile(NamedTuple):
    """Which weights an average is made of.

    Args:
        updates: t, at least 1.
        length: sigma_rel.
    """

    updates: int
    length: float


class Combination(NamedTuple):
    """An average made of others.

    Args:
        weights: x_i of each, in their order; they sum to 1.
        miss: of the profile, sqrt(int (p - sum_i x_i p_i)^2 / int p^2); 0 where it is one of them.
    """

    weights: NDArray[np.float64]
    miss: float


def combination(stored: Sequence[Profile], wanted: Profile) -> Combination:
    """The average nearest to a profile that stored ones give, all of them different.

    With A = <p_i, p_j> and b = <p_i, p>, x = A^-1 (b + mu 1) and mu such that the weights sum to 1:
    weights that do not change in the training are their own average, whatever the fit.
    """
    t = np.array([profile.updates for profile in stored], np.float64)
    gamma = np.array([exponent(profile.length) for profile in stored])
    t_0, gamma_0 = wanted.updates, exponent(wanted.length)
    A = products(t[:, None], gamma[:, None], t, gamma)
    b = products(t, gamma, t_0, gamma_0)
    square = float(products(t_0, gamma_0, t_0, gamma_0))
    # Of profiles of norm 1: those of early snapshots are much higher than the last ones.
    norms = np.sqrt(A.diagonal())
    sides = np.stack([b, np.ones_like(b)], axis=1) / norms[:, None]
    free, unit = (np.linalg.solve(A / np.outer(norms, norms), sides) / norms[:, None]).T
    x = free + (1 - free.sum()) / unit.sum() * unit
    missed = max(square - 2 * x @ b + x @ A @ x, 0.0)
    return Combination(x, sqrt(missed / square))
