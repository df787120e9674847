"""Published samplers of bridges, as baselines, written in (a, b, sigma) for every bridge.

A bridge is tied to x_1 = y. Where it is a diffusion alpha, sigma_u that is made to end there, with
SNR = alpha^2 / sigma_u^2, its scales are

    a = alpha (1 - SNR_1 / SNR),   b = (alpha / alpha_1) SNR_1 / SNR,
    sigma^2 = sigma_u^2 (1 - SNR_1 / SNR),   so that  a^2 / sigma^2 = SNR - SNR_1.

DBIM calls our (a, b, sigma) (b, a, c), and x_T what is y here.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import choice
from sgmse._device import sent
from sgmse.compat._published import DDIM
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, positive, weighted
from sgmse.solvers import (
    Begun,
    EulerMaruyama,
    Exponential,
    Heun,
    Model,
    Randn,
    Solver,
    Weights,
    needs_flow,
    needs_score,
    time_of,
)
from sgmse.solvers._exponential import History, Memory, bend


@dataclass(frozen=True)
class DBIM(Solver[History]):
    """Diffusion bridge implicit models (Zheng et al. 2024, arXiv:2405.15885), to the coefficient.

        x_s = a_s x0 + b_s y + sqrt(sigma_s^2 - rho^2) (x_t - a_t x0 - b_t y) / sigma_t + rho z
        rho = eta sigma_u,s sqrt(1 - SNR_t / SNR_s) = eta sigma_s sqrt(1 - e^-2h)

    with the length h of the step in ln(a / sigma): with one point this is `DDIM`, for eta = 0 and 1
    also `Exponential`. The first step from x_1 = y, where rho is not defined, draws x_s from the
    process around the estimate at t = 1 ("booting noise"): that is start = 1.

    With 2 or 3 points x0 is the line or parabola in ln(a / sigma) through the last estimates. The
    line is `Multistep`; the parabola is `Multistep(order=3)` without its limit to steps that grow
    little and without its correction of the second step, which leaves it of second order.

    In `solve` the step to t = 0 is x0. The published grid ends before it, with a step of one point
    that leaves out the noise rho z.

    Args:
        eta: share of fresh noise, 0 (deterministic after the first step) to 1 (Markov).
        start: the same for the first step from y; published is 1.
        points: 1, 2 or 3 estimates; 2 and 3 are made for eta = 0.
    """

    eta: float = 0.0
    start: float = 1.0
    points: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.eta <= 1 and 0 <= self.start <= 1):
            raise ArgumentError(f"{self}: eta and start must lie between 0 and 1")
        if self.points not in (1, 2, 3):
            raise ArgumentError(f"DBIM: points must be 1, 2 or 3, not {self.points}")
        if self.points > 1 and self.eta > 0:
            raise ArgumentError(
                f"DBIM: {self.points} points are made for eta = 0, not {self.eta}; use Multistep, "
                "which takes any eta"
            )

    @property
    @override
    def order(self) -> int:
        return min(self.points, 2)

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        x0, noise = model(x, y, t)
        w = DDIM(self.eta, self.start).weights(model.sde, t, s)
        past = (memory or History()).past
        bends = bend(w, *(-w.h / distance for distance, _ in past))
        terms = [(w.x0 * (1 - sum(bends)), x0), (w.y, y), (w.noise, noise)]
        terms += [(w.x0 * c, x0_j) for c, (_, x0_j) in zip(bends, past, strict=True)]
        if self.eta > 0 or (memory is None and self.draws(model.sde)):
            terms.append((w.z, randn(x)))
        past = ((w.h, x0), *((distance + w.h, x0_j) for distance, x0_j in past))
        return weighted(*terms), History(past[: self.points - 1])

    @override
    def draws(self, sde: SDE) -> bool:
        return self.eta > 0 or (self.start > 0 and sde.pinned)


@dataclass(frozen=True)
class HybridHeun(Solver[Begun]):
    """The sampler of DDBM (Zhou et al. 2023, arXiv:2309.16948, by its code): noise, then Heun.

        t^ = t + share (s - t)
        x_t^ = x + (t^ - t) [f x + h y - g^2 score] + g sqrt(t - t^) z          at t
        x_s = x_t^ + (s - t^) (v_1 + v_2) / 2                                   v at t^, then at s

    an Euler-Maruyama step of the reverse process and a step of Heun's method for its flow v. What
    the paper's Doob transform adds to the drift of the untied diffusion is in f and h. It serves
    every process; a bridge has no score at t = 1 itself.

    Euler's share of the steps makes mean and variance of first order; without it this is `Heun`.

    In `solve` the step to t = 0 ends, after its noise, in x0. The published one is Euler's along
    the flow, which differs by what the bridge still has of y at t^.

    Args:
        share: of a step, that of Euler and Maruyama, 0 to 1 (less than 1); published is 0.33.
    """

    share: float = 0.33

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share < 1:
            raise ArgumentError(
                f"HybridHeun: share must be at least 0 and below 1, not {self.share}"
            )

    @property
    @override
    def order(self) -> int:
        return 2 if self.share == 0 else 1

    @property
    @override
    def evaluations(self) -> int:
        return 2 if self.share == 0 else 3

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        x, t = self.noisy(model, x, y, t, s, randn)
        return Heun().step(model, x, y, t, s, None, randn)

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        x, t = self.noisy(model, x, y, t, s, randn)
        return model(x, y, t).x0, ()

    def noisy(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, randn: Randn
    ) -> tuple[Tensor, Tensor]:
        """The state at t^ and t^ (batch,)."""
        if not self.draws(model.sde):
            return x, t
        middle = torch.lerp(t, s, self.share)
        return EulerMaruyama().step(model, x, y, t, middle, None, randn)[0], middle

    @override
    def draws(self, sde: SDE) -> bool:
        return self.share > 0

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return (self.share > 0 and needs_score(self, sde, start)) or needs_flow(self, sde, start)


@dataclass(frozen=True)
class DBMSolver(Solver[Begun]):
    """DBMSolver (Venugopal et al. 2026, arXiv:2605.05889, by its code): x0 linear in ln(SNR).

    A step of two evaluations, the exact integral of an x0 that is linear in mu = ln(SNR) / 2
    through t and the middle m. With p = sqrt(SNR / SNR_1 - 1) = a / (sigma sqrt(SNR_1)),

        x_m = a_m x0 + b_m y + sigma_m noise
        x_s = a_s (x0 + w (x0_m - x0) / (mu_m - mu_t)) + b_s y + sigma_s noise
        w = mu_s - mu_t - 1 + p_t / p_s + (arctan p_s - arctan p_t) / p_s.

    While ln(a / sigma) comes from minus infinity at x_1 = y, mu does not. From there the step draws
    x_s = a_s x0 + b_s y + sigma_s z, and with first = 2 the estimate at the middle of the same draw
    has the published weight (mu_s - mu_1) / (mu_m - mu_1) / 2 in place of w.

    As SNR_1 goes to 0, mu becomes ln(a / sigma) and this `Singlestep`, which is what serves
    processes that are not tied. In `solve` the step to t = 0 is x0; the published one is Euler's
    along the flow.

    Weights are computed on the host in float64, for w cancels: each step waits for a device.

    Args:
        first: order of the step from y, 1 (one evaluation, recommended by the authors) or 2 (two).
        middle: m has the mean of mu ("snr") or of t ("time"): published is one for each data set.
        kept: alpha_1 of the untied diffusion, which the scales of a bridge do not tell: 1 for
            `SBVE` and `BrownianBridge`, exp(-B(1) / 2) for `SBVP`. SNR_1 = kept a b / sigma^2, at
            t = 1 / 2. Any positive number is a solver of second order, also on a bridge that is no
            diffusion tied to y (`BBED`).
    """

    first: int = 1
    middle: Literal["snr", "time"] = "snr"
    kept: float = 1.0

    order = 2
    evaluations = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first not in (1, 2):
            raise ArgumentError(f"DBMSolver: first must be 1 or 2, not {self.first}")
        choice("middle", self.middle, ("snr", "time"))
        positive(self, kept=self.kept)

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        # Who calls a step by itself has its times on the device alone: there the host waits.
        own, to = (u.to("cpu", torch.float64) for u in (t, s))
        return self.told(model, x, y, t, own, to, memory is None, randn)

    @override
    def for_step(self, t: float, s: float) -> Solver[Begun]:
        return _AtTimes(self, t, s)

    def told(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        own: Tensor,
        to: Tensor,
        first: bool,
        randn: Randn,
    ) -> tuple[Tensor, Begun]:
        """The step from t, with the times `own` and `to` of the grid (batch,) on the host."""
        sde = model.sde
        x0, noise = model(x, y, t)
        tied = sde.scales(own).a == 0
        fresh = randn(x) if first and tied.any() else None
        m, weight = self.slope(sde, own, to, tied)
        w = self.along(sde, own, to, x)
        terms = [(w.y, y), (w.noise, noise)]
        if fresh is not None:
            terms.append((w.z, fresh))
        if self.first == 1 and tied.all():
            return weighted((w.x0, x0), *terms), ()
        way = self.along(sde, own, m, x)
        x_m = weighted((way.x0, x0), (way.y, y), (way.noise, noise))
        if fresh is not None:
            x_m = weighted((torch.ones_like(way.z), x_m), (way.z, fresh))
        x0_m = model(x_m, y, sent(m.to(t.dtype), t.device)).x0
        bent = sent(weight.to(w.x0.dtype), t.device)
        return weighted((w.x0 * (1 - bent), x0), (w.x0 * bent, x0_m), *terms), ()

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        return model(x, y, t).x0, ()

    def along(self, sde: SDE, t: Tensor, s: Tensor, x: Tensor) -> Weights:
        """Those of the first-order step, on the device and in the precision of x."""
        every = Exponential().weights(sde, t, s)
        return Weights(*(sent(w.to(x.real.dtype), x.device) for w in every))

    def slope(self, sde: SDE, t: Tensor, s: Tensor, tied: Tensor) -> tuple[Tensor, Tensor]:
        """m, and the weight w / (mu_m - mu_t) of x0_m - x0; (batch,), on the host."""
        half = torch.full((1,), 0.5, dtype=torch.float64)
        a, b, sigma = sde.scales(half)
        root = (self.kept * a * b).sqrt() / sigma  # of SNR_1

        def of(u: Tensor) -> tuple[Tensor, Tensor]:
            """p and mu - mu_1."""
            p = torch.exp(sde.log_snr(u)) / root
            return p, torch.log1p(p**2) / 2

        (p_t, mu_t), (p_s, mu_s) = of(t), of(s)
        if self.middle == "time":
            m = torch.lerp(t, s, 0.5)
        else:
            m = time_of(sde, torch.expm1(mu_t + mu_s).log() / 2 + root.log())
        h, way = mu_s - mu_t, of(m)[1] - mu_t
        w = h - 1 + (p_t + p_s.arctan() - p_t.arctan()) / p_s
        return m, torch.where(tied, h / 2, w) / way

    @override
    def draws(self, sde: SDE) -> bool:
        return sde.pinned

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        if sde.pinned:
            return None
        return (
            f"DBMSolver is made for bridges, which end in a point, and {sde} does not; use "
            "Singlestep, which it becomes without that end"
        )


@dataclass(frozen=True)
class _AtTimes(Solver[Begun]):
    """A step of a `DBMSolver` whose times the host knows."""

    solver: DBMSolver
    t: float
    s: float

    order = 2

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        own, to = (torch.full((len(t),), u, dtype=torch.float64) for u in (self.t, self.s))
        return self.solver.told(model, x, y, t, own, to, memory is None, randn)

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        return self.solver.finish(model, x, y, t, s, memory, randn)

    @override
    def draws(self, sde: SDE) -> bool:
        return self.solver.draws(sde)
