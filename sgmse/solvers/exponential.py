"""Exponential solvers: the linear part of the equation is exact, only the estimate is approximated.

With lambda = ln(a / sigma) and h = lambda_s - lambda_t, an estimate held constant over a step gives

    x_s = a_s x0 + b_s y + sqrt(sigma_s^2 - tau^2) noise + tau z,
    tau^2 = eta^2 sigma_s^2 (1 - e^-2h),      e^-h = a_t sigma_s / (a_s sigma_t),

the ODE for eta = 0, the SDE for eta = 1. An estimate x0 linear in lambda adds

    a_s (h - (1 - e^-k) h / k) (x0_t - x0_u) / (lambda_t - lambda_u),
    e^-k = e^-h sqrt(1 - tau^2 / sigma_s^2),

where u is the time of the step before: k = h for the ODE, 2 h for the SDE.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sgmse.sdes import SDE, expand
from sgmse.solvers.base import Memory, Model, Randn, Solver


class Weights(NamedTuple):
    """Of x0, y, noise and z in a step, and e^-h; each (batch,)."""

    x0: Tensor
    y: Tensor
    noise: Tensor
    z: Tensor
    shrink: Tensor


@dataclass(frozen=True)
class Exponential(Solver):
    """The exact step for a constant estimate.

    DDIM (VP), SB-ODE and DBIM (bridges) and the Euler step of a straight flow for eta = 0,
    ancestral sampling and SB-SDE for eta = 1 (Song, Meng, Ermon 2021, arXiv:2010.02502, eq. 12;
    Jukic et al. 2024, arXiv:2407.16074; Zheng et al. 2024, arXiv:2405.15885).

    Args:
        eta: share of fresh noise, 0 (ODE) to 1 (SDE).
        start: the same for a first step from a pinned end point, where there is no noise to carry
            on: 1 draws what the process has there, 0 keeps the step deterministic as the published
            SB-ODE.
    """

    eta: float = 0.0
    start: float = 1.0

    order = 1

    def __post_init__(self) -> None:
        if not (0 <= self.eta <= 1 and 0 <= self.start <= 1):
            raise ValueError(f"{self}: eta and start must lie between 0 and 1")

    def weights(self, sde: SDE, t: Tensor, s: Tensor) -> Weights:
        """The weights of a step from t to s, both (batch,)."""
        a_t, _, sigma_t = sde.scales(t)
        a, b, sigma = sde.scales(s)
        # The end of time asks for x0 itself, also where a process (VE) would leave a little noise.
        sigma = torch.where(s > 0, sigma, 0.0)
        noisy = sigma_t > 0
        shrink = torch.where(noisy, a_t * sigma / (a * torch.where(noisy, sigma_t, 1.0)), 0.0)
        eta = torch.where(noisy, torch.full_like(sigma, self.eta), self.start)
        tau = eta * sigma * (1 - shrink**2).clamp(min=0).sqrt()
        return Weights(a, b, (sigma**2 - tau**2).clamp(min=0).sqrt(), tau, shrink)

    def step(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        x0, noise = model(x, y, t)
        w = Weights(*(expand(w, x) for w in self.weights(model.sde, t, s)))
        x = w.x0 * x0 + w.y * y + w.noise * noise
        return (x + w.z * randn(x) if self.draws(model.sde) else x), None

    def draws(self, sde: SDE) -> bool:
        """Whether steps of this solver on that process need noise."""
        return self.eta > 0 or (self.start > 0 and sde.pinned)


@dataclass(frozen=True)
class Multistep(Exponential):
    """Second order at one evaluation a step: x0 linear in lambda through the last two estimates.

    DBIM of order 2 on bridges (Zheng et al. 2024, arXiv:2405.15885); on diffusions it agrees to
    second order with DPM-Solver++(2M) and its SDE variant (Lu et al. 2022, arXiv:2211.01095), with
    the exact integral in place of their midpoint. First order where there is no second estimate:
    in the first step, in the one after a pinned end point, and in the last one to sigma = 0, which
    returns x0.
    """

    order = 2

    def step(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        x0, noise = model(x, y, t)
        weights = self.weights(model.sde, t, s)
        w = Weights(*(expand(w, x) for w in weights))
        x = w.x0 * x0 + w.y * y + w.noise * noise
        if memory is not None:
            u, x0_u = memory
            bend = self.bend(model.sde, weights, u, t, s)
            x = x + expand(bend, x) * (x0 - x0_u)
        return (x + w.z * randn(x) if self.draws(model.sde) else x), (t, x0)

    @staticmethod
    def bend(sde: SDE, weights: Weights, u: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The weight of x0_t - x0_u, 0 where a lambda is infinite."""
        h = -weights.shrink.log()
        sigma = (weights.noise**2 + weights.z**2).sqrt()
        k = h - (weights.noise / sigma).log()
        bend = weights.x0 * h * (1 + torch.expm1(-k) / k) / (sde.log_snr(t) - sde.log_snr(u))
        return torch.where(bend.isfinite() & h.isfinite(), bend, 0.0)
