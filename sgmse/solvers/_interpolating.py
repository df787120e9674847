"""The fast solver of interpolating SDEs: the score, not the data, is expanded, and in the time t.

Each of the processes with the marginals of x_t, for kappa from 0 (the flow) to 1 (the reverse),

    dx = [f x + h y - (1 + kappa^2) / 2 g^2 score] dt + kappa g dw

has a linear part that is known: with r = a_s / a_t, from t to s < t,

    x_s = r x_t + (b_s - r b_t) y + (1 + kappa^2) a_s I + kappa a_s W
    I = int_s^t g^2 / (2 a) score du,      W ~ CN(0, V_t - V_s),      V = sigma^2 / a^2

(dV = g^2 / a^2 dt). Only the score needs approximation. Linear in t through t and m = (t + s) / 2,

    I = w_0 score_t + w_1 (score_t - score_m) / (t - m)
    w_0 = int_s^t g^2 / (2 a) du,      w_1 = int_s^t (u - t) g^2 / (2 a) du.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, gauss, weighted
from sgmse.solvers._base import Begun, Model, Randn, Solver, needs_score


@dataclass(frozen=True)
class InterpolatingSDE(Solver[Begun]):
    """iSDE-2S-kappa: one step, two evaluations (Lay and Gerkmann 2026, arXiv:2603.09508).

    The equations above are those of the paper, as its code (sp-uhh/fast_solver_interpolating_sde)
    has them, written for any (a, b, sigma). The way to the score at m is not. It is, r = a_m / a_t,

        x_m = r x_t + (b_m - r b_t) y + (1 + kappa^2) a_m w_0 score_t + kappa a_m W'

    where W' is the part of W between t and m, which takes a second draw. The published code comes
    to m by the flow, kappa = 0, and draws once. Then score_m is not the mean score at m, and the
    order is 1 unless kappa = 0; on one path with x_s it is 2 for all kappa, in mean and variance,
    with no evaluation more. At kappa = 1/8 the difference is small: it goes with kappa^2.

    The score is infinite at the end of a bridge, and nearly so beside it, where a line is a poor
    approximation of it: use an exponential solver there.

    Args:
        kappa: share of fresh noise, 0 to 1; the paper recommends 1/8.
        published: go to m as the published code does, and to t = 0 by the flow, with a score
            between 0 and the end of the grid; otherwise the step to 0 is the estimate x0 of one
            evaluation.
    """

    kappa: float = 0.125
    published: bool = False

    evaluations = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.kappa <= 1:
            raise ArgumentError(
                f"InterpolatingSDE: kappa must lie between 0 and 1, not {self.kappa}"
            )

    @property
    @override
    def order(self) -> int:
        return 1 if self.published and self.kappa > 0 else 2

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        sde, m = model.sde, torch.lerp(t, s, 0.5)
        share = 1 + self.kappa**2
        fresh: list[tuple[Tensor, Tensor]] = []
        fresh_m: list[tuple[Tensor, Tensor]] = []
        if self.kappa > 0:
            variance = spread(sde, t, s)
            z = randn(x)
            fresh = [(self.kappa * variance.sqrt(), z)]
            if not self.published:
                # A Brownian motion at m, given where it ends.
                p = spread(sde, t, m) / torch.where(variance > 0, variance, 1.0)
                bridge = (p * (1 - p) * variance).clamp(min=0).sqrt()
                fresh_m = [(p * w, z) for w, z in fresh] + [(self.kappa * bridge, randn(x))]

        noise, sigma = model(x, y, t).noise, sde.scales(t).sigma  # score = -noise / sigma
        (w_m, w_0), (_, w_1) = integrals(sde, t, torch.stack([m, s]))
        to_m = (w_m if self.published else share * w_m) / -sigma
        x_m = linear(sde, x, y, t, m, (to_m, noise), *fresh_m)
        noise_m, sigma_m = model(x_m, y, m).noise, sde.scales(m).sigma

        w_1 = w_1 / (t - m)
        change = weighted((1 / sigma_m, noise_m), (-1 / sigma, noise))
        to_s = (share * w_0 / -sigma, noise), (share * w_1, change)
        return linear(sde, x, y, t, s, *to_s, *fresh), ()

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        if self.published:
            return replace(self, kappa=0.0).step(model, x, y, t, s, memory, randn)
        return model(x, y, t).x0, ()

    @override
    def draws(self, sde: SDE) -> bool:
        return self.kappa > 0

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return needs_score(self, sde, start)


def linear(
    sde: SDE, x: Tensor, y: Tensor, t: Tensor, s: Tensor, *added: tuple[Tensor, Tensor]
) -> Tensor:
    """r x + (b_s - r b_t) y + a_s sum w added, r = a_s / a_t: the state at s with what was added.

    `added` are pairs of a weight (batch,) and a tensor like x.
    """
    (a_t, b_t, _), (a, b, _) = sde.scales(t), sde.scales(s)
    r = a / a_t
    return weighted((r, x), (b - r * b_t, y), *((a * w, part) for w, part in added))


def spread(sde: SDE, t: Tensor, s: Tensor) -> Tensor:
    """V_t - V_s, the variance of W, (batch,)."""
    (a_t, _, sigma_t), (a, _, sigma) = sde.scales(t), sde.scales(s)
    return ((sigma_t / a_t) ** 2 - (sigma / a) ** 2).clamp(min=0)


def integrals(sde: SDE, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """w_0 and w_1, like s (..., batch), by 16 points in v, u = t - (t - s) v^2: dense at t.

    To rounding where g^2 / a is smooth over the step. Beside a = 0, where it has a pole, to 1e-6 in
    a step from t = 0.99 to 0.5, and to 2e-3 from 0.999.
    """
    v, w = (part.reshape(-1, *(1,) * s.ndim) for part in gauss(16, t))
    u = torch.lerp(t.expand_as(s), s, v**2)
    density = w * v * sde.coefficients(u).g ** 2 / sde.scales(u).a
    return (t - s) * density.sum(dim=0), -((t - s) ** 2) * (v**2 * density).sum(dim=0)
