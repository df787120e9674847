"""Averages of the weights whose length is chosen after the training (Karras et al. 2024).

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.optim import swa_utils

from sgmse.errors import ArgumentError, RecipeError

#: The length of the plain mean of all updates, gamma = 0: 0.28867.
LONGEST = 1 / sqrt(12)


@dataclass(frozen=True)
class Averages:
    """Averages that a training keeps beside its moving average, to choose one afterwards.

    A snapshot takes 4 bytes for each weight and length: 12 MB for the default model and two
    lengths, 525 MB for a network of 65.6 M weights. While training, as much memory is taken once.

    Args:
        lengths: sigma_rel of each; two of them, the shortest not far above those of interest, do.
        every: steps between snapshots; there is always one at the end. Twenty and more in a
            training give lengths from half the shortest to 0.2.
    """

    lengths: tuple[float, ...] = (0.05, 0.1)
    every: int = 500

    def __post_init__(self) -> None:
        if not self.lengths or len(set(self.lengths)) < len(self.lengths):
            raise ArgumentError(f"lengths must be different ones, at least one, not {self.lengths}")
        for length in self.lengths:
            check_length(length)
        if self.every < 1:
            raise ArgumentError(f"every must be at least 1, not {self.every}")


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


def length_of(gamma: float) -> float:
    """sigma_rel."""
    return sqrt(gamma + 1) / ((gamma + 2) * sqrt(gamma + 3))


def decay(gamma: float, update: int) -> float:
    """beta at update 1, 2, ...; 0 at the first, which copies the weights."""
    return (1 - 1 / update) ** (gamma + 1)


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


class Fit(NamedTuple):
    """An average made of others.

    Args:
        weights: x_i of each, in their order; they sum to 1.
        miss: of the profile, sqrt(int (p - sum_i x_i p_i)^2 / int p^2); 0 where it is one of them.
    """

    weights: NDArray[np.float64]
    miss: float


def fit(stored: Sequence[Profile], wanted: Profile) -> Fit:
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
    return Fit(x, sqrt(missed / square))


class PowerAverages(nn.ModuleList):
    """The averages of a network, on its device; without lengths there are none.

    Parameters are averaged in their own precision, buffers copied.
    """

    def __init__(self, network: nn.Module, lengths: Sequence[float]) -> None:
        super().__init__(
            swa_utils.AveragedModel(network, multi_avg_fn=partial(_move, exponent(length)))
            for length in lengths
        )
        self.requires_grad_(False)
        self.lengths = tuple(lengths)

    @property
    def averages(self) -> list[swa_utils.AveragedModel]:
        """One for each length."""
        return [cast(swa_utils.AveragedModel, average) for average in self]

    def update(self, network: nn.Module) -> None:
        """One more update of the network."""
        for average in self.averages:
            average.update_parameters(network)

    def states(self) -> dict[float, dict[str, Tensor]]:
        """State dicts of the network by length; the tensors are shared, not copied."""
        pairs = zip(self.lengths, self.averages, strict=True)
        return {length: dict(average.module.state_dict()) for length, average in pairs}

    def restore(self, states: Mapping[float, Mapping[str, Any]], updates: int) -> None:
        """Go back to what they were after so many updates.

        Raises `RecipeError` for averages of other lengths.
        """
        if set(states) != set(self.lengths):
            were, are = (", ".join(map(str, sorted(v))) or "none" for v in (states, self.lengths))
            raise RecipeError(
                f"averages.lengths: the run was started with {were}, the recipe has {are}; resume "
                "with those it was started with, or start another run"
            )
        for length, average in zip(self.lengths, self.averages, strict=True):
            average.module.load_state_dict(states[length])
            average.n_averaged.fill_(updates)


@torch.no_grad()
def _move(
    gamma: float, average: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int
) -> None:
    """Update in place, after `count` updates, which are 1 at least: torch copies at first."""
    beta = decay(gamma, int(count) + 1)
    swa_utils.get_ema_multi_avg_fn(beta)(list(average), list(weights), count)
