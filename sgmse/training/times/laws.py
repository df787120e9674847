"""The laws by which times of training are drawn between `low` and `high`.

A law is given by its quantile function, so that any uniform numbers (independent, one for each
stratum, or more where losses are large) become its times:

    t = Q(u),     u uniform in [0, 1],     density p(t) = 1 / Q'(u)

Laws of the level sigma / a hold for every process, as they are laws of lambda = ln(a / sigma), of
which the process has the times.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil, floor, isfinite, pi

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import whole
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, positive
from sgmse.solvers import time_of

#: The least share of a law that must lie between low and high.
LEAST = 1e-3


class Law(ABC):
    """A law of times; subclasses are frozen dataclasses of its constants."""

    @abstractmethod
    def quantile(self, u: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        """Q(u), times in [low, high] that rise or fall with u in [0, 1]. Shape: (batch,)."""

    @abstractmethod
    def density(self, t: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        """p(t) at times in [low, high], of integral 1 there. Shape: (batch,), of float64."""

    def refusal(self, low: float, high: float, sde: SDE) -> str | None:
        """Why it gives no times there, with the remedy, or None."""
        return None


@dataclass(frozen=True)
class UniformTime(Law):
    """t uniform."""

    @override
    def quantile(self, u: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        return low + (high - low) * u

    @override
    def density(self, t: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        return torch.full_like(t, 1 / (high - low), dtype=torch.float64)


@dataclass(frozen=True)
class TimeSteps(Law):
    """t one of i / steps, i = 1 to steps, each as often: DDPM's (Ho et al. 2020, algorithm 1*).

    Of a `weighting` and of losses it counts as the uniform law, of which it is a rounding up.

    Args:
        steps: T; 1 / T is the lowest time.
    """

    steps: int = 1000

    def __post_init__(self) -> None:
        whole("TimeSteps: steps", self.steps, least=2)

    @override
    def quantile(self, u: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        first, last = self.ends(low, high)
        # Of the steps from first to last; u = 1 is the last one.
        drawn = first + (u * (last - first + 1)).floor().clamp(max=last - first)
        return drawn / self.steps

    @override
    def density(self, t: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        return torch.full_like(t, 1 / (high - low), dtype=torch.float64)

    @override
    def refusal(self, low: float, high: float, sde: SDE) -> str | None:
        first, last = self.ends(low, high)
        if first <= last:
            return None
        return (
            f"{self} has no step between low={low:g} and high={high:g}; set low to "
            f"{1 / self.steps:g}, and high to 1"
        )

    def ends(self, low: float, high: float) -> tuple[int, int]:
        """The first and the last step."""
        return max(ceil(low * self.steps - 1e-6), 1), floor(high * self.steps + 1e-6)


class _Normal(Law):
    """Of a number that is normal, cut to what it is between low and high."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not isfinite(self.mean):
            raise ArgumentError(f"{type(self).__name__}: mean must be finite, not {self.mean}")
        positive(self, std=self.std)

    @abstractmethod
    def number(self, t: Tensor, sde: SDE) -> Tensor:
        """What is normal, at times of float64; it rises with t."""

    @abstractmethod
    def time(self, number: Tensor, sde: SDE) -> Tensor:
        """Its inverse."""

    @abstractmethod
    def slope(self, t: Tensor, sde: SDE) -> Tensor:
        """Its derivative, not negative."""

    def ends(self, low: float, high: float, sde: SDE) -> tuple[Tensor, Tensor]:
        """The numbers at low and high in units of std from the mean, and their distribution."""
        numbers = self.number(torch.tensor([low, high], dtype=torch.float64), sde)
        z = (numbers - self.mean) / self.std
        return z, torch.special.ndtr(z)

    @override
    def quantile(self, u: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        _, (first, last) = self.ends(low, high, sde)
        z = torch.special.ndtri(first + (last - first) * u.cpu().double())
        t = self.time(self.mean + self.std * z, sde)
        return t.clamp(low, high).to(u)

    @override
    def density(self, t: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        _, (first, last) = self.ends(low, high, sde)
        t = t.cpu().double()
        z = (self.number(t, sde) - self.mean) / self.std
        normal = (-(z**2) / 2).exp() / (self.std * (2 * pi) ** 0.5)
        density: Tensor = normal * self.slope(t, sde) / (last - first)
        return density

    @override
    def refusal(self, low: float, high: float, sde: SDE) -> str | None:
        z, (first, last) = self.ends(low, high, sde)
        if last - first >= LEAST:
            return None
        least, most = (self.mean + self.std * z).tolist()
        return (
            f"{self} has {100 * float(last - first):.1g} % of its times between low={low:g} and "
            f"high={high:g}, where {self.__class__.__name__}'s number goes from {least:.3g} to "
            f"{most:.3g}; set mean between them"
        )


@dataclass(frozen=True)
class LogNormal(_Normal):
    """ln(sigma / a) ~ N(mean, std^2), cut to low <= t <= high (Karras et al. 2022, table 1*).

    sigma / a is the level of noise beside clean audio, the sigma of EDM (arXiv:2206.00364), and t
    is where the process has it. EDM's constants, the defaults, are for data of sigma_data = 0.5;
    for data of another size add ln(sigma_data / 0.5) to the mean: -2.8 for 0.1.

    Args:
        mean, std: P_mean and P_std; natural logarithms.
    """

    mean: float = -1.2
    std: float = 1.2

    @override
    def number(self, t: Tensor, sde: SDE) -> Tensor:
        return -sde.log_snr(t)

    @override
    def time(self, number: Tensor, sde: SDE) -> Tensor:
        return time_of(sde, -number)

    @override
    def slope(self, t: Tensor, sde: SDE) -> Tensor:
        return falling(sde, t)


@dataclass(frozen=True)
class LogitNormal(_Normal):
    """ln(t / (1 - t)) ~ N(mean, std^2), cut to low <= t <= high (Esser et al. 2024, sec. 3.1*).

    Of Stable Diffusion 3 (arXiv:2403.03206), where the defaults did best for straight flows: the
    times in the middle, where the velocity is hardest to tell, come more often than both ends.

    Args:
        mean: above 0 for times nearer to the observation.
        std: the smaller, the closer to the middle.
    """

    mean: float = 0.0
    std: float = 1.0

    @override
    def number(self, t: Tensor, sde: SDE) -> Tensor:
        return torch.logit(t)

    @override
    def time(self, number: Tensor, sde: SDE) -> Tensor:
        return torch.sigmoid(number)

    @override
    def slope(self, t: Tensor, sde: SDE) -> Tensor:
        return 1 / (t * (1 - t))


@dataclass(frozen=True)
class UniformLogSNR(Law):
    """lambda = ln(a / sigma) uniform: p(t) = -lambda'(t) / (lambda(low) - lambda(high)).

    As g^2 / sigma^2 = -2 lambda' for every process, it is the law in proportion to the likelihood
    weighting (Song et al. 2021, arXiv:2101.09258), whose loss has one weight for all times then.
    """

    def span(self, low: float, high: float, sde: SDE) -> tuple[float, float]:
        """lambda at low and at high."""
        first, last = sde.log_snr(torch.tensor([low, high], dtype=torch.float64)).tolist()
        return first, last

    @override
    def quantile(self, u: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        first, last = self.span(low, high, sde)
        values = first + (last - first) * u.cpu().double()
        return time_of(sde, values).clamp(low, high).to(u)

    @override
    def density(self, t: Tensor, low: float, high: float, sde: SDE) -> Tensor:
        first, last = self.span(low, high, sde)
        return falling(sde, t.cpu().double()) / (first - last)

    @override
    def refusal(self, low: float, high: float, sde: SDE) -> str | None:
        first, last = self.span(low, high, sde)
        if isfinite(first) and isfinite(last):
            return None
        key, t, remedy = ("high", high, 0.999) if isfinite(first) else ("low", low, 0.03)
        return f"ln(a / sigma) of {sde} is infinite at {key}={t:g}; set times.{key}={remedy}"


def falling(sde: SDE, t: Tensor) -> Tensor:
    """-lambda'(t) = sigma' / sigma - a' / a = g^2 / (2 sigma^2). Shape: (batch,)."""
    (a, _, sigma), (da, _, dsigma) = sde.scales(t), sde.rates(t)
    return dsigma / sigma - da / a
