"""Diffusions of x0 alone, b = 0: they end in noise, and a network sees the observation beside it.

`Shifted` makes each of them a process that leads to the observation.
"""

from dataclasses import dataclass
from functools import cache
from math import log, pi

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, whole
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

    With T steps it is the chain of DDPM (Ho et al. 2020, arXiv:2006.11239, section 4*), of which
    the other is the limit: at t = i / T

    a^2 = (1 - beta_1) ... (1 - beta_i),   beta_1 = beta_min / T to beta_T = beta_max / T evenly

    and between these times a smooth fall (monotone cubics in ln a), so that it is a process at all
    times. The defaults and T = 1000 are DDPM's: from 1e-4 to 0.02.

    Args:
        steps: T; None for the limit.
    """

    steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None:
            whole("VP: steps", self.steps, least=2)
            if self.beta_max >= self.steps:
                raise ArgumentError(
                    f"VP: a step leaves 1 - beta_max / steps of a^2, which must be positive: steps "
                    f"must exceed beta_max {self.beta_max:g}, not {self.steps}"
                )

    @override
    def integral(self, t: Tensor) -> Tensor:
        if self.steps is None:
            return super().integral(t)
        sums, slopes = _chain(self.beta_min, self.beta_max, self.steps, t.dtype, t.device)
        place = t * self.steps
        i = place.detach().floor().long().clamp(0, self.steps - 1)
        u, rise = place - i, sums[i + 1] - sums[i]
        # The cubic through both ends with both slopes.
        bend = slopes[i + 1] + slopes[i] - 2 * rise
        return sums[i] + u * (slopes[i] + u * (rise - slopes[i] - bend * (1 - u)))

    @override
    def scales(self, t: Tensor) -> Scales:
        B = self.integral(t)
        return Scales(torch.exp(-B / 2), torch.zeros_like(t), (-torch.expm1(-B)).sqrt())


@cache
def _chain(
    beta_min: float, beta_max: float, steps: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """B = -ln a^2 after 0 to `steps` steps and its slope by a step there, each (steps + 1,).

    Slopes are harmonic means of the rises on both sides, with which no cubic falls (Fritsch and
    Butland 1984).
    """
    with torch.inference_mode(False):
        betas = torch.linspace(beta_min / steps, beta_max / steps, steps, dtype=torch.float64)
        rises = -torch.log1p(-betas)
        inside = 2 / (1 / rises[1:] + 1 / rises[:-1])
        sums = torch.cat([torch.zeros(1, dtype=torch.float64), rises.cumsum(dim=0)])
        slopes = torch.cat([rises[:1], inside, rises[-1:]])
        return sums.to(device, dtype), slopes.to(device, dtype)


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
