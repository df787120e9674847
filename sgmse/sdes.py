"""Every process is one equation between clean audio x0 (t = 0) and the observation y (t = 1),

    x_t = a(t) x0 + b(t) y + sigma(t) z,      z ~ CN(0, 1),  E|z|^2 = 1,

and a subclass of `SDE` states its three functions of time. All else follows: with f = a'/a,

    dx = (f x + h y) dt + g dw,      h = b' - f b,      g^2 = (sigma^2)' - 2 f sigma^2.

Bridges end in a point: a(1) = sigma(1) = 0, and f, h are infinite there as they must be.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import expm1, isfinite, log
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expi
from torch import Tensor


class Scales(NamedTuple):
    """a, b and sigma (or their derivatives), each shaped like t."""

    a: Tensor
    b: Tensor
    sigma: Tensor


class Coefficients(NamedTuple):
    """Of dx = (f x + h y) dt + g dw, each shaped like t."""

    f: Tensor
    h: Tensor
    g: Tensor


def expand(scale: Tensor, like: Tensor) -> Tensor:
    """A scale of shape (batch,) with trailing axes of 1, to multiply a (batch, ...) tensor."""
    return scale.reshape(scale.shape + (1,) * (like.ndim - scale.ndim))


def positive(owner: object, **values: float) -> None:
    """Refuse constants that are not positive and finite, by name."""
    for name, value in values.items():
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{type(owner).__name__}: {name} must be positive, not {value}")


class SDE(ABC):
    """A process; subclasses are frozen dataclasses of its constants."""

    @abstractmethod
    def scales(self, t: Tensor) -> Scales:
        """a, b, sigma at the times t in [0, 1], in closed form.

        Differentiable in t, unless the process states its `rates` itself.
        """

    def rates(self, t: Tensor) -> Scales:
        """a', b', sigma' at t, by automatic differentiation of `scales`.

        sigma' is infinite where sigma leaves or reaches 0.
        """
        t = t.contiguous()  # forward mode refuses expanded tensors
        return Scales(
            *torch.func.jvp(lambda t: tuple(self.scales(t)), (t,), (torch.ones_like(t),))[1]
        )

    def coefficients(self, t: Tensor) -> Coefficients:
        """f, h, g at t; f and h are infinite where a(t) = 0, g has its limit at both ends."""
        a, b, _ = self.scales(t)
        da, db, _ = self.rates(t)
        f = da / a
        # Where sigma = 0 the formula of g reads 0 times infinity: the limit is one rounding away.
        eps = torch.finfo(t.dtype).eps
        inside = t.clamp(eps, 1 - eps)
        a, _, sigma = self.scales(inside)
        da, _, dsigma = self.rates(inside)
        g2 = 2 * sigma * (dsigma - da / a * sigma)
        return Coefficients(f, db - f * b, g2.clamp(min=0).sqrt())

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda = ln(a / sigma): the time in which solvers of higher order are polynomial.

        It falls with t; infinite where sigma = 0, and minus infinity at a pinned end, as its limit.
        """
        a, _, sigma = self.scales(t)
        return torch.where(a > 0, a.log() - sigma.log(), -torch.inf)

    def sample(self, x0: Tensor, y: Tensor | None, t: Tensor, z: Tensor) -> Tensor:
        """x_t = a x0 + b y + sigma z for (batch, ...) tensors and times (batch,).

        y may be None where b = 0; else that is a `ValueError`.
        """
        a, b, sigma = (expand(s, x0) for s in self.scales(t))
        if y is None:
            if self.observed:
                raise ValueError(f"{self} leads to an observation: pass it as y")
            return a * x0 + sigma * z
        return a * x0 + b * y + sigma * z

    def prior(self, y: Tensor | None, z: Tensor, t: float = 1.0) -> Tensor:
        """What sampling starts from at time t: x_t with y, or 0, in place of the unknown x0."""
        times = torch.full((len(z),), t, dtype=z.real.dtype, device=z.device)
        return self.sample(torch.zeros_like(z) if y is None else y, y, times, z)

    @property
    def pinned(self) -> bool:
        """Whether the process ends in the point y: a(1) = sigma(1) = 0."""
        a, _, sigma = self.scales(torch.ones(1, dtype=torch.float64))
        return bool(a == 0) and bool(sigma == 0)

    @property
    def forgets(self) -> bool:
        """Whether nothing is left of x0 at the end: a(1) = 0."""
        return bool(self.scales(torch.ones(1, dtype=torch.float64)).a == 0)

    @property
    def observed(self) -> bool:
        """Whether the process leads to an observation: b is not 0 everywhere."""
        return bool((self.scales(torch.tensor([0.5, 1.0], dtype=torch.float64)).b != 0).any())


@dataclass(frozen=True)
class OUVE(SDE):
    """Ornstein-Uhlenbeck with exploding variance (Richter et al. 2023, arXiv:2208.05830).

    a = exp(-theta t),   b = 1 - a,   r = sigma_max / sigma_min
    sigma^2 = sigma_min^2 ln(r) (r^2t - a^2) / (theta + ln(r))
    """

    theta: float = 1.5
    sigma_min: float = 0.05
    sigma_max: float = 0.5

    def __post_init__(self) -> None:
        positive(self, theta=self.theta, sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        if self.sigma_max <= self.sigma_min:
            raise ValueError(f"OUVE: sigma_max {self.sigma_max} must exceed {self.sigma_min}")

    def scales(self, t: Tensor) -> Scales:  # noqa: D102
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
class SBVE(SDE):
    """Schroedinger bridge with exploding variance (Jukic et al. 2024, arXiv:2407.16074, table 1).

    s_t^2 = c (k^2t - 1) / (2 ln k),   v_t = s_1^2 - s_t^2
    a = v_t / s_1^2,   b = s_t^2 / s_1^2,   sigma^2 = s_t^2 v_t / s_1^2
    """

    k: float = 2.6
    c: float = 0.4

    def __post_init__(self) -> None:
        positive(self, k=self.k, c=self.c)
        if self.k == 1:
            raise ValueError("SBVE: k must not be 1; the Brownian bridge is its limit there")

    def scales(self, t: Tensor) -> Scales:  # noqa: D102
        log_k = log(self.k)
        scale = self.c / (2 * log_k)
        done = scale * torch.expm1(2 * log_k * t)
        left = scale * torch.exp(2 * log_k * t) * torch.expm1(2 * log_k * (1 - t))
        total = scale * expm1(2 * log_k)
        return Scales(left / total, done / total, (done * left / total).sqrt())


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
            raise ValueError(f"BBED: k must exceed 1, not {self.k}")

    def scales(self, t: Tensor) -> Scales:  # noqa: D102
        return Scales(1 - t, t, (self.theta * (1 - t) * self._bracket(t)).sqrt())

    def rates(self, t: Tensor) -> Scales:  # noqa: D102
        # 2 sigma sigma' = g^2 - 2 sigma^2 / a
        rise = self.theta * (self.k ** (2 * t) / 2 - self._bracket(t))
        return Scales(-torch.ones_like(t), torch.ones_like(t), rise / self.scales(t).sigma)

    def _bracket(self, t: Tensor) -> Tensor:
        """[...] of sigma^2, which is about t for small t."""
        if t.requires_grad:
            raise ValueError("BBED has no gradient with respect to t; its derivatives are `rates`")
        # scipy has Ei, torch has not. In float64, as the terms cancel.
        time, log_k = t.detach().cpu().double().numpy(), log(self.k)
        a = 1 - time
        ei = expi(-2 * np.where(a > 0, a, 1.0) * log_k)  # at a = 0 a Ei(-2 a ln k) is 0, its limit
        tail = 2 * self.k**2 * log_k * a * (ei - expi(-2 * log_k))
        bracket = np.expm1(2 * log_k * time) + time + tail
        return torch.as_tensor(bracket.clip(min=0)).to(t)


@dataclass(frozen=True)
class VE(SDE):
    """Variance exploding (Song et al. 2021, arXiv:2011.13456, eq. 31): a = 1, b = 0.

    sigma = sigma_min (sigma_max / sigma_min)^t
    """

    sigma_min: float = 0.01
    sigma_max: float = 1.0

    def __post_init__(self) -> None:
        positive(self, sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        if self.sigma_max <= self.sigma_min:
            raise ValueError(f"VE: sigma_max {self.sigma_max} must exceed {self.sigma_min}")

    def scales(self, t: Tensor) -> Scales:  # noqa: D102
        sigma = self.sigma_min * torch.exp(log(self.sigma_max / self.sigma_min) * t)
        return Scales(torch.ones_like(t), torch.zeros_like(t), sigma)


@dataclass(frozen=True)
class VP(SDE):
    """Variance preserving, linear beta (Song et al. 2021, arXiv:2011.13456, eq. 33): b = 0.

    a^2 + sigma^2 = 1
    ln a = -t^2 (beta_max - beta_min) / 4 - t beta_min / 2
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        positive(self, beta_min=self.beta_min, beta_max=self.beta_max)
        if self.beta_max < self.beta_min:
            raise ValueError(f"VP: beta_max {self.beta_max} is below beta_min {self.beta_min}")

    def scales(self, t: Tensor) -> Scales:  # noqa: D102
        log_a = -(t**2) * (self.beta_max - self.beta_min) / 4 - t * self.beta_min / 2
        return Scales(log_a.exp(), torch.zeros_like(t), (-torch.expm1(2 * log_a)).sqrt())
