"""Bridges end in the point y: a(1) = sigma(1) = 0, where f = -inf and h = inf, and g is finite."""

from dataclasses import dataclass
from functools import cache
from math import exp, expm1, log

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._device import doubled
from sgmse.errors import ArgumentError
from sgmse.sdes._base import SDE, LinearBeta, Scales, positive
from sgmse.sdes._quadrature import gauss


@dataclass(frozen=True)
class BrownianBridge(SDE):
    """Brownian motion tied to y, g = sqrt(c); the limit of `SBVE` for k = 1.

    a = 1 - t,   b = t,   sigma^2 = c t (1 - t)
    """

    c: float = 0.4

    def __post_init__(self) -> None:
        positive(self, c=self.c)

    @override
    def scales(self, t: Tensor) -> Scales:
        return Scales(1 - t, t, (self.c * t * (1 - t)).sqrt())


@dataclass(frozen=True)
class BBED(SDE):
    """Brownian bridge with exponential diffusion (Lay et al. 2023, arXiv:2302.14748).

    a = 1 - t,   b = t,   g = sqrt(theta) k^t
    sigma^2 = theta a [k^2t - 1 + t + 2 k^2 ln(k) a (Ei(-2 a ln k) - Ei(-2 ln k))]
    """

    theta: float = 0.52
    k: float = 2.6

    def __post_init__(self) -> None:
        positive(self, theta=self.theta, k=self.k)
        if self.k <= 1:
            raise ArgumentError(f"BBED: k must exceed 1, not {self.k}")

    @override
    def scales(self, t: Tensor) -> Scales:
        return Scales(1 - t, t, (self.theta * (1 - t) * self._bracket(t)).sqrt())

    @override
    def rates(self, t: Tensor) -> Scales:
        # 2 sigma sigma' = g^2 - 2 sigma^2 / a
        rise = self.theta * (self.k ** (2 * t) / 2 - self._bracket(t))
        return Scales(-torch.ones_like(t), torch.ones_like(t), rise / self.scales(t).sigma)

    def _bracket(self, t: Tensor) -> Tensor:
        """[...] of sigma^2, which is about t for small t.

        In float64. As a int_0^t k^2u / (1 - u)^2 du before t = 1/2, where the terms above cancel.
        """
        time = doubled(t)
        a, log_k = 1 - time, log(self.k)
        early = time < 0.5
        nodes, weights = gauss(16, time)
        u = torch.where(early, time, 0.5)[..., None] * nodes
        rise = (torch.exp(2 * log_k * u) / (1 - u) ** 2) @ weights
        # Ei(-x) is ln x - Ein(x) and a constant; at a = 0 a Ei(-2 a ln k) is 0, its limit.
        past = torch.where(a > 0, a, 1.0).log() - _ein(2 * log_k * a, 2 * log_k)
        past = past + entire_exponential_integral(2 * log_k)
        late = torch.expm1(2 * log_k * time) + time + 2 * self.k**2 * log_k * a * past
        return torch.where(early, a * time * rise, late.clamp(min=0)).to(t)


def _ein(x: Tensor, most: float) -> Tensor:
    """`entire_exponential_integral` of 0 <= x <= most."""
    n = torch.arange(1, _terms(most) + 1, dtype=x.dtype, device=x.device)
    return torch.exp(-x) * ((x[..., None] / n).cumprod(-1) @ (1 / n).cumsum(0))


def _terms(x: float) -> int:
    """Of the series of Ein(x), after which all are below its rounding."""
    return int(2 * x) + 40


@cache
def entire_exponential_integral(x: float) -> float:
    """Ein(x) = int_0^x (1 - e^-u) / u du = e^-x sum_n x^n / n! (1 + 1/2 + ... + 1/n), x >= 0."""
    total, power, harmonic = 0.0, 1.0, 0.0
    for n in range(1, _terms(x) + 1):
        power, harmonic = power * x / n, harmonic + 1 / n
        total += power * harmonic
    return exp(-x) * total


@dataclass(frozen=True)
class SBVE(SDE):
    """Schroedinger bridge with exploding variance (Jukic et al. 2024, arXiv:2407.16074, table 1*).

    s_t^2 = c (k^2t - 1) / (2 ln k),   v_t = s_1^2 - s_t^2
    a = v_t / s_1^2,   b = s_t^2 / s_1^2,   sigma^2 = s_t^2 v_t / s_1^2
    """

    k: float = 2.6
    c: float = 0.4

    def __post_init__(self) -> None:
        positive(self, k=self.k, c=self.c)
        if self.k == 1:
            raise ArgumentError("SBVE: k must not be 1; use BrownianBridge, its limit there")

    @override
    def scales(self, t: Tensor) -> Scales:
        log_k = log(self.k)
        scale = self.c / (2 * log_k)
        done = scale * torch.expm1(2 * log_k * t)
        left = scale * torch.exp(2 * log_k * t) * torch.expm1(2 * log_k * (1 - t))
        total = scale * expm1(2 * log_k)
        return Scales(left / total, done / total, (done * left / total).sqrt())


@dataclass(frozen=True)
class SBVP(LinearBeta, SDE):
    """Schroedinger bridge, variance preserving (Jukic et al. 2024, arXiv:2407.16074, table 1*).

    Tied to y, the process with f = -beta / 2 and g^2 = c beta; beta rises linearly, B is its
    integral from 0 to t, and C from t to 1:

    a = exp(-B / 2) (1 - e^-C) / (1 - e^-(B + C))
    b = exp(-C / 2) (1 - e^-B) / (1 - e^-(B + C))
    sigma^2 = c (1 - e^-B) (1 - e^-C) / (1 - e^-(B + C))
    """

    beta_min: float = 0.01
    c: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, c=self.c)

    @override
    def scales(self, t: Tensor) -> Scales:
        B = self.integral(t)
        # From the end, where beta falls to beta_min, so that C has all its digits at t = 1.
        C = (1 - t) * (self.beta_max - (1 - t) * (self.beta_max - self.beta_min) / 2)
        done, left = -torch.expm1(-B), -torch.expm1(-C)
        total = -expm1(-(self.beta_min + self.beta_max) / 2)
        return Scales(
            torch.exp(-B / 2) * left / total,
            torch.exp(-C / 2) * done / total,
            (self.c * done * left / total).sqrt(),
        )
