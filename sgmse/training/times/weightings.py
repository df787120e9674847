"""How much the loss counts at each time, whatever the law that draws the times.

    objective = mean of w(t) loss(t) over t in [low, high]
              = E[ weight loss(t) ],     t of density p,     weight = w(t) / (p(t) (high - low))

Without a weighting the law itself says how much a time counts. With one, the law decides the
variance alone: it is least where p is in proportion to w times the root of E[loss(t)^2].
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.sdes import SDE, positive
from sgmse.training.losses import Loss, ScoreMatching
from sgmse.training.times.laws import falling


class TimeWeighting(ABC):
    """w(t); subclasses are frozen dataclasses of its constants."""

    @abstractmethod
    def __call__(self, t: Tensor, sde: SDE) -> Tensor:
        """w at times of float64. Shape: (batch,)."""

    @property
    def of_noise(self) -> bool:
        """Whether w belongs to the error of the noise, mean |noise - z|^2, and to no other loss."""
        return True

    def refusal(self, loss: Loss, low: float, high: float, sde: SDE) -> str | None:
        """Why it does not weigh that loss at these times, with the remedy, or None."""
        if self.of_noise and loss != ScoreMatching():
            return (
                f"{self} weighs the error of the noise, not {type(loss).__name__} as set; set "
                "loss={class: ScoreMatching}, or use EvenTime"
            )
        for key, t in (("low", low), ("high", high)):
            if not self(torch.tensor([t], dtype=torch.float64), sde).isfinite().all():
                remedy = 0.03 if key == "low" else 0.999
                return f"{self} is infinite at {key}={t:g} of {sde}; set times.{key}={remedy}"
        return None


@dataclass(frozen=True)
class EvenTime(TimeWeighting):
    """w = 1: the mean over all times, whatever the law, with less variance if it is a good one."""

    @property
    @override
    def of_noise(self) -> bool:
        return False

    @override
    def __call__(self, t: Tensor, sde: SDE) -> Tensor:
        return torch.ones_like(t)


@dataclass(frozen=True)
class Likelihood(TimeWeighting):
    """w = g^2 / sigma^2 = -2 lambda'(t) (Song et al. 2021, arXiv:2101.09258, eq. 7*, 8*).

    With the error of the score that is lambda(t) = g(t)^2, with which the loss is a bound of the
    negative log-likelihood up to a constant. Its integral from low to high is 2 (lambda(low) -
    lambda(high)); with the law `UniformLogSNR` every item has this weight, over high - low.
    """

    @override
    def __call__(self, t: Tensor, sde: SDE) -> Tensor:
        return 2 * falling(sde, t)


@dataclass(frozen=True)
class MinSNR(TimeWeighting):
    """w = min(SNR, gamma) / SNR, SNR = (a / sigma)^2 (Hang et al. 2023, arXiv:2303.09556).

    The error of x0 counts by min(SNR, gamma): no more than gamma where there is little noise, where
    the error of the noise, unweighted, counts it by the SNR.

    Args:
        gamma: for data of unit size; for data of size s divide by s^2.
    """

    gamma: float = 5.0

    def __post_init__(self) -> None:
        positive(self, gamma=self.gamma)

    @override
    def __call__(self, t: Tensor, sde: SDE) -> Tensor:
        return (self.gamma * (-2 * sde.log_snr(t)).exp()).clamp(max=1)
