"""Diffusions of x0 alone, b = 0: they end in noise, and a network sees the observation beside it.

`Shifted` makes each of them a process that leads to the observation.
"""

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.sdes._base import SDE, LinearBeta, Scales, positive, rising


@dataclass(frozen=True)
class VE(SDE):
    """Variance exploding (Song et al. 2021, arXiv:2011.13456, eq. 31*): a = 1, b = 0.

    sigma = sigma_min (sigma_max / sigma_min)^t
    """

    sigma_min: float = 0.01
    sigma_max: float = 1.0

    def __post_init__(self) -> None:
        rising(self, sigma_min=self.sigma_min, sigma_max=self.sigma_max)

    @override
    def scales(self, t: Tensor) -> Scales:
        sigma = self.sigma_min * torch.exp(log(self.sigma_max / self.sigma_min) * t)
        return Scales(torch.ones_like(t), torch.zeros_like(t), sigma)


@dataclass(frozen=True)
class LinearVE(SDE):
    """The process of EDM (Karras et al. 2022, arXiv:2206.00364, table 1): a = 1, b = 0.

    sigma = sigma_max t
    """

    sigma_max: float = 1.0

    def __post_init__(self) -> None:
        positive(self, sigma_max=self.sigma_max)

    @override
    def scales(self, t: Tensor) -> Scales:
        return Scales(torch.ones_like(t), torch.zeros_like(t), self.sigma_max * t)


@dataclass(frozen=True)
class VP(LinearBeta, SDE):
    """Variance preserving, linear beta (Song et al. 2021, arXiv:2011.13456, eq. 33*): b = 0.

    a = exp(-B / 2),   sigma^2 = 1 - a^2,   B = t beta_min + t^2 (beta_max - beta_min) / 2
    """

    @override
    def scales(self, t: Tensor) -> Scales:
        B = self.integral(t)
        return Scales(torch.exp(-B / 2), torch.zeros_like(t), (-torch.expm1(-B)).sqrt())


@dataclass(frozen=True)
class SubVP(LinearBeta, SDE):
    """Less noise than `VP` at all times (Song et al. 2021, arXiv:2011.13456, section 3.4): b = 0.

    a = exp(-B / 2),   sigma = 1 - a^2,   B = t beta_min + t^2 (beta_max - beta_min) / 2
    """

    @override
    def scales(self, t: Tensor) -> Scales:
        B = self.integral(t)
        return Scales(torch.exp(-B / 2), torch.zeros_like(t), -torch.expm1(-B))


@dataclass(frozen=True)
class CosineVP(SDE):
    """Variance preserving, cosine schedule (Nichol, Dhariwal 2021, arXiv:2102.09672, eq. 17*).

    a = cos(w (t + s)) / cos(w s),   sigma^2 = 1 - a^2,   b = 0,   w = pi / (2 (1 + s))

    with the offset s. Nothing is left of x0 at the end: a(1) = 0, and f and g are infinite there.
    """

    offset: float = 0.008

    def __post_init__(self) -> None:
        positive(self, offset=self.offset)

    @override
    def scales(self, t: Tensor) -> Scales:
        # cos(w (t + s)) = sin(w (1 - t)), and a difference of squares of sines is a product.
        w = torch.full_like(t, pi / 2 / (1 + self.offset))
        variance = torch.sin(w * t) * torch.sin(w * (t + 2 * self.offset))
        return Scales(
            torch.sin(w * (1 - t)) / torch.sin(w),
            torch.zeros_like(t),
            variance.sqrt() / torch.sin(w),
        )


@dataclass(frozen=True)
class FlowMatching(SDE):
    """Conditional flow matching from pure noise (Lipman et al. 2023, arXiv:2210.02747, eq. 20*).

    a = 1 - t,   sigma = sigma_min + (1 - sigma_min) t,   b = 0

    in our time, 1 minus theirs. At t = 1, where a = 0, f and g are infinite.
    """

    sigma_min: float = 0.0

    def __post_init__(self) -> None:
        kinds(self)
        if not 0 <= self.sigma_min < 1:
            raise ArgumentError(f"FlowMatching: sigma_min must be in [0, 1), not {self.sigma_min}")

    @override
    def scales(self, t: Tensor) -> Scales:
        sigma = self.sigma_min + (1 - self.sigma_min) * t
        return Scales(1 - t, torch.zeros_like(t), sigma)
