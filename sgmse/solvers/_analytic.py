"""How much of x0 its estimate cannot know, and the noise that a step owes to it (Analytic-DPM).

A step that takes x0_hat for x0 draws x_s with the variance that it would have if x0_hat were right.
Of x0 given x_t there is a variance, D on the mean over all elements, and x_s has it with the weight
of x0 in the step from x_t,

    tau*^2 = tau^2 + (a_s (1 - e^-k))^2 D_t,

the variance of the Gaussian that is nearest to p(x_s | x_t, y) in the Kullback-Leibler divergence.
With a noise estimate, D = (sigma / a)^2 (1 - E|noise_hat|^2), it is Bao et al. 2022,
arXiv:2201.06503, eq. 7*: sigma_n^2* = lambda_n^2 + (...)^2 (1 - beta-bar_n E|score|^2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite

import torch
from torch import Tensor

from sgmse._checks import kinds, number, shown
from sgmse._device import constants
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.sdes import Scales


def variance_of(scales: Scales, variance: float) -> Tensor:
    """D of x0 whose elements have one variance v, v sigma^2 / (a^2 v + sigma^2), (batch,).

    v where the state says nothing; sigma^2 / a^2 for an infinite one, and then 0 where a = 0.
    """
    a, _, sigma = scales
    if variance == inf:
        return torch.where(a > 0, (sigma / torch.where(a > 0, a, 1.0)) ** 2, 0.0)
    total = a**2 * variance + sigma**2
    left = variance * sigma**2 / torch.where(total > 0, total, 1.0)
    return torch.where(total > 0, left, variance)


@dataclass(frozen=True)
class PosteriorVariance:
    """D_t = E|x0 - x0_hat|^2 of a model, the mean over elements, linear between some times.

    `sgmse.inference.posterior_variance` estimates it. Before the first and after the last time it
    is as there.

    Args:
        times: ascending, 0 to 1; those of the grid are the best.
        values: D at each.
    """

    times: Sequence[float]
    values: Sequence[float]

    def __post_init__(self) -> None:
        kinds(self)
        for name in ("times", "values"):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise ArgumentTypeError(f"{name} must be a tuple of numbers, not {shown(given)}")
            numbers = tuple(float(number(name, one)) for one in given)
            object.__setattr__(self, name, numbers)  # files hold a list
        if not self.times or len(self.times) != len(self.values):
            raise ArgumentError(
                f"PosteriorVariance: as many values as times, at least one, not {self.values} for "
                f"{self.times}"
            )
        if any(not t < s for t, s in pairwise(self.times)) or not (
            self.times[0] >= 0 and self.times[-1] <= 1
        ):
            raise ArgumentError(
                f"PosteriorVariance: the times must ascend within 0 and 1, not {self.times}"
            )
        if not all(isfinite(value) and value >= 0 for value in self.values):
            raise ArgumentError(
                f"PosteriorVariance: no value may be negative or infinite: {self.values}"
            )

    def at(self, t: Tensor) -> Tensor:
        """D at the times t (batch,), like them."""
        times, values = (constants(tuple(part), t) for part in (self.times, self.values))
        if len(times) == 1:
            return values.expand_as(t)
        after = torch.searchsorted(times, t.contiguous()).clamp(1, len(times) - 1)
        low, high = times[after - 1], times[after]
        share = ((t - low) / (high - low)).clamp(0, 1)
        return torch.lerp(values[after - 1], values[after], share)
