"""Runge-Kutta solvers of the probability flow, in the time t.

    dx/dt = v(x, t) = a' x0 + b' y + sigma' noise

with the estimate (x0, noise) at x and t. A step of h = s - t has stages at the times t + c_i h,

    k_i = v(x + h sum_j A_ij k_j, t + c_i h),      x_s = x + h sum_i w_i k_i.

At t = 0 most processes have sigma' = infinity, so the step to it is the exact one for a constant
estimate, which returns x0. On a straight process (a' and sigma' constant) that is Euler's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, Scales, expand, positive, weighted
from sgmse.solvers._base import LAST_START, Begun, M, Model, Randn, Solver, needs_flow
from sgmse.solvers._exponential import Exponential

#: The most that time may go back before a step, sqrt(2) - 1, as a share of it (Karras et al. 2022).
MOST_CHURN = 2**0.5 - 1


class Tableau(NamedTuple):
    """c_i, A_ij for j < i, and w_i of an explicit method."""

    nodes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


TRAPEZOIDAL = Tableau((0, 1), ((), (1,)), (1 / 2, 1 / 2))
CLASSIC = Tableau(
    (0, 1 / 2, 1 / 2, 1), ((), (1 / 2,), (0, 1 / 2), (0, 0, 1)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
)


def velocity(model: Model, x: Tensor, y: Tensor, t: Tensor, rates: Scales | None = None) -> Tensor:
    """a' x0 + b' y + sigma' noise at x (batch, ...) and t (batch,), like x.

    `rates` are those of the model's process at t, where they are known.
    """
    x0, noise = model(x, y, t)
    a, b, sigma = model.sde.rates(t) if rates is None else rates
    return weighted((a, x0), (b, y), (sigma, noise))


def combine(x: Tensor, h: Tensor, weights: Sequence[float], k: Sequence[Tensor]) -> Tensor:
    """x + h sum_i w_i k_i, with h (batch,)."""
    (w, stage), *others = ((w, stage) for w, stage in zip(weights, k, strict=True) if w)
    total = torch.addcmul(x, expand(w * h, x), stage)
    for w, stage in others:
        total.addcmul_(expand(w * h, x), stage)
    return total


def advance(
    model: Model,
    x: Tensor,
    y: Tensor,
    t: Tensor,
    s: Tensor,
    tableau: Tableau,
    first: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """A step from t to s, both (batch,): (x_s, the stages k_i); `first` is k_1, if it is known."""
    h = s - t
    # lerp ends at s itself, and not a rounding before or behind it.
    times = torch.stack([torch.lerp(t, s, c) for c in tableau.nodes])
    rates = [Scales(*r) for r in zip(*model.sde.rates(times), strict=True)]
    k = [velocity(model, x, y, t, rates[0]) if first is None else first]
    for row, u, rate in zip(tableau.rows[1:], times[1:], rates[1:], strict=True):
        k.append(velocity(model, combine(x, h, row, k), y, u, rate))
    return combine(x, h, tableau.weights, k), k


class ProbabilityFlow(Solver[M]):
    """What the solvers of dx/dt = v have in common."""

    @override
    def finish(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: M | None,
        randn: Randn,
    ) -> tuple[Tensor, M | None]:
        x, _ = Exponential(start=0.0).step(model, x, y, t, s, None, randn)
        return x, memory

    @override
    def draws(self, sde: SDE) -> bool:
        return False

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return needs_flow(self, sde, start)


@dataclass(frozen=True)
class Heun(ProbabilityFlow[Begun]):
    """The trapezoidal rule, after a step back in time if there is churn: the sampler of EDM.

        t^ = t (1 + churn),   r = a_t^ / a_t,   q^2 = sigma_t^^2 - r^2 sigma_t^2
        x_t^ = r x + (b_t^ - r b_t) y + noise q z
        x_s = x_t^ + (s - t^) (k_1 + k_2) / 2

    Algorithms 1 and 2 of Karras et al. 2022 (arXiv:2206.00364), to the letter where a = 1, b = 0
    and sigma = t, but for the end of time: the way back is the process itself, and so exact, and
    it ends at t = 1, or just before the end of a bridge, where the algorithm goes on. The first
    step from there is without churn, as it is with first = S_tmax before t / (1 + churn).

    Steps whose churn shrinks with them, as S_churn / N does, follow the SDE of a strength
    eta^2 = churn t |dlambda/dt| / h, of which each takes its value at t: mean and variance are of
    first order (`weak_order`), but for exact estimates, for which all strengths have one law, of
    second.

    Args:
        churn: S_churn / N, how far each step goes back as a share of t, 0 to sqrt(2) - 1.
        noise: S_noise, the scale of the fresh noise; 1 is that of the process.
        first: S_tmax, the latest time with churn.
        last: S_tmin, the earliest time with churn.
    """

    churn: float = 0.0
    noise: float = 1.0
    first: float = 1.0
    last: float = 0.0

    order = 2
    evaluations = 2

    @property
    @override
    def weak_order(self) -> int:
        return 1 if self.churn else 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.churn <= MOST_CHURN:
            raise ArgumentError(
                f"Heun: churn is the share of t by which a step goes back, 0 to sqrt(2) - 1, "
                f"not {self.churn}; divide the S_churn of the paper by the number of steps"
            )
        positive(self, noise=self.noise)
        if not 0 <= self.last <= self.first <= 1:
            raise ArgumentError(
                f"Heun: the times with churn need 0 <= last <= first <= 1, "
                f"not last {self.last}, first {self.first}"
            )

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        if self.churn:
            x, t = self.back(model.sde, x, y, t, randn)
        return advance(model, x, y, t, s, TRAPEZOIDAL)[0], ()

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun | None]:
        if self.churn:
            x, t = self.back(model.sde, x, y, t, randn)
        return super().finish(model, x, y, t, s, (), randn)

    def back(
        self, sde: SDE, x: Tensor, y: Tensor, t: Tensor, randn: Randn
    ) -> tuple[Tensor, Tensor]:
        """The state at t^ and t^ (batch,): the process, run forward from x at t."""
        # sigma' is infinite where sigma ends at 0; this looks at a tensor of the host.
        ends = sde.scales(torch.ones(1, dtype=torch.float64)).sigma == 0
        latest = LAST_START if ends else 1.0
        within = (self.last <= t) & (t <= self.first)
        later = torch.where(within, torch.maximum(t, (t * (1 + self.churn)).clamp(max=latest)), t)
        (a_t, b_t, sigma_t), (a, b, sigma) = sde.scales(t), sde.scales(later)
        # Nothing is later than a time at which a = 0.
        r = torch.where(a_t > 0, a / torch.where(a_t > 0, a_t, 1.0), 1.0)
        q = self.noise * (sigma**2 - (r * sigma_t) ** 2).clamp(min=0).sqrt()
        return weighted((r, x), (b - r * b_t, y), (q, randn(x))), later

    @override
    def draws(self, sde: SDE) -> bool:
        return self.churn > 0


@dataclass(frozen=True)
class RungeKutta4(ProbabilityFlow[Begun]):
    """The classic method: k_2 and k_3 at the middle of the step, weights 1/6, 1/3, 1/3, 1/6."""

    order = 4
    evaluations = 4

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        return advance(model, x, y, t, s, CLASSIC)[0], ()
