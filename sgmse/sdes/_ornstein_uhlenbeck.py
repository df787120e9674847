"""Processes that drift towards the observation without reaching it: b = 1 - a.

x_t - y is a diffusion of x0 - y. Some of x0 is left at t = 1, where sampling starts from y and
noise alone: what is missing there is an error of the start.
"""

from dataclasses import dataclass
from math import atan, exp, isfinite, log, pi

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.sdes._base import SDE, LinearBeta, Scales, positive, rising


@dataclass(frozen=True)
class Drifting:
    """The constants of a drift theta (y - x) and of a noise from sigma_min to sigma_max."""

    theta: float = 1.5
    sigma_min: float = 0.05
    sigma_max: float = 0.5

    def __post_init__(self) -> None:
        positive(self, theta=self.theta)
        rising(self, sigma_min=self.sigma_min, sigma_max=self.sigma_max)


@dataclass(frozen=True)
class OUVE(Drifting, SDE):
    """Ornstein-Uhlenbeck with exploding variance (Richter et al. 2023, arXiv:2208.05830).

    a = exp(-theta t),   b = 1 - a,   r = sigma_max / sigma_min
    sigma^2 = sigma_min^2 ln(r) (r^2t - a^2) / (theta + ln(r))
    """

    @override
    def scales(self, t: Tensor) -> Scales:
        log_r = log(self.sigma_max / self.sigma_min)
        a = torch.exp(-self.theta * t)
        # r^2t - a^2 without cancellation at small t.
        growth = a**2 * torch.expm1(2 * (self.theta + log_r) * t)
        return Scales(
            a,
            -torch.expm1(-self.theta * t),
            self.sigma_min * (log_r / (self.theta + log_r) * growth).sqrt(),
        )


@dataclass(frozen=True)
class FOUVE(Drifting, SDE):
    """The drift of `OUVE` with a fixed noise (Lay, Gerkmann 2026, arXiv:2603.09508).

    a = exp(-theta t),   b = 1 - a,   sigma = sigma_min (sigma_max / sigma_min)^t
    """

    @override
    def scales(self, t: Tensor) -> Scales:
        sigma = self.sigma_min * torch.exp(log(self.sigma_max / self.sigma_min) * t)
        return Scales(torch.exp(-self.theta * t), -torch.expm1(-self.theta * t), sigma)


@dataclass(frozen=True)
class OUVP(LinearBeta, SDE):
    """Ornstein-Uhlenbeck with the variance of `VP`, the one of StoRM's code (arXiv:2212.11851).

    dx = s beta / 2 (y - x) dt + sqrt(beta) dw,   s = stiffness
    a = exp(-s B / 2),   b = 1 - a,   sigma^2 = (1 - a^2) / s
    B = t beta_min + t^2 (beta_max - beta_min) / 2

    That code has no square root in its sigma; `sgmse.compat.PublishedOUVP` does as it does.
    """

    beta_max: float = 10.0
    stiffness: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, stiffness=self.stiffness)

    @override
    def scales(self, t: Tensor) -> Scales:
        sB = self.stiffness * self.integral(t)
        sigma = (-torch.expm1(-sB) / self.stiffness).sqrt()
        return Scales(torch.exp(-sB / 2), -torch.expm1(-sB / 2), sigma)


@dataclass(frozen=True)
class CosineOU(SDE):
    """The shifted-cosine process with a drift (Gonzalez et al. 2023, arXiv:2312.04370).

    a = e cos(phi),   b = 1 - a,   sigma = e sin(phi),   e = exp(-stiffness t)
    tan(phi) = exp(-shift / 2) tan(u),   u = pi / 2 (1 - c) t,   tan(pi c / 2) = exp(lambda_min / 2)

    so that 2 ln(a / sigma) = shift - 2 ln tan(u), which ends at shift + lambda_min. Their code
    bounds the drift and the noise near the end, against these scales; here they follow from them.
    `Scaled` makes the noise larger or smaller.

    Args:
        stiffness: the rate at which x0 is forgotten beside the cosine.
        shift: added to ln(a^2 / sigma^2) at all times.
        lambda_min: ln(a^2 / sigma^2) at t = 1 before the shift; with None c = 0 and nothing is left
            of x0 there, where f, h and g are infinite.
    """

    stiffness: float = 1.5
    shift: float = 3.0
    lambda_min: float | None = -12.0

    def __post_init__(self) -> None:
        kinds(self)
        if not (isfinite(self.stiffness) and self.stiffness >= 0):
            raise ArgumentError(f"CosineOU: stiffness must be 0 or positive, not {self.stiffness}")
        if not isfinite(self.shift):
            raise ArgumentError(f"CosineOU: shift must be finite, not {self.shift}")
        if self.lambda_min is not None and not (isfinite(self.lambda_min) and self.lambda_min < 0):
            raise ArgumentError(
                f"CosineOU: lambda_min must be None or negative, not {self.lambda_min}"
            )

    @override
    def scales(self, t: Tensor) -> Scales:
        c = 0.0 if self.lambda_min is None else 2 / pi * atan(exp(self.lambda_min / 2))
        away, near = torch.sin(pi / 2 * (1 - c) * t), torch.sin(pi / 2 * (1 - t + c * t))
        away = exp(-self.shift / 2) * away
        length = torch.hypot(near, away)
        cos, sin = near / length, away / length
        e, spent = torch.exp(-self.stiffness * t), -torch.expm1(-self.stiffness * t)
        # 1 - e cos without cancellation at small t, as 1 - cos = sin^2 / (1 + cos).
        return Scales(e * cos, spent + e * sin**2 / (1 + cos), e * sin)
