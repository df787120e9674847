"""Solvers of posteriors whose steps forget: x0 anew from each state, and noise on it anew.

    x_s = a_s x0 + b_s y + sigma_s (sqrt(1 - share) noise + sqrt(share) z)

A share of 1 leaves of x_t nothing but x0: an error of a step is not carried on, as there is no path
that would carry it.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, number, real, whole
from sgmse.errors import ArgumentError
from sgmse.inference._measurements import Measurement
from sgmse.inference._posterior import pulled
from sgmse.inference._steering import Once
from sgmse.sdes import SDE, expand, positive, weighted
from sgmse.solvers import Begun, Exponential, LogSNR, Model, Randn, Solver, Wrapping, solve
from sgmse.solvers._analytic import variance_of
from sgmse.solvers._wrapping import Take


def renewed(
    sde: SDE, x0: Tensor, noise: Tensor, y: Tensor, s: Tensor, share: float, randn: Randn
) -> Tensor:
    """The state at s (batch,) of clean audio, with that share of fresh noise; x0 at s = 0."""
    a, b, sigma = sde.scales(s)
    sigma = torch.where(s > 0, sigma, 0.0)
    terms = [(a, x0), (b, y), (sigma * (1 - share) ** 0.5, noise)]
    return weighted(*terms, (sigma * share**0.5, randn(x0))) if share else weighted(*terms)


@dataclass(frozen=True)
class Renewed(Solver[Begun]):
    """The step of DiffPIR (Zhu et al. 2023, arXiv:2305.08995, algorithm 1*), with its zeta.

    The share is of each step, however short: with more steps more noise is drawn, and there is no
    SDE to which it converges; so no order, which 0 stands for. For a share of 0 it is `Exponential`
    and of first order.

    Args:
        share: zeta, 0 to 1.
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        number("Renewed: share", self.share, 0, 1)

    @property
    @override
    def order(self) -> int:
        return 1 if self.share == 0 else 0

    @override
    def step(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Begun | None,
        randn: Randn,
    ) -> tuple[Tensor, Begun]:
        x0, noise = model(x, y, t)
        return renewed(model.sde, x0, noise, y, s, self.share, randn), ()

    @override
    def draws(self, sde: SDE) -> bool:
        return self.share > 0


@dataclass(frozen=True, eq=False)
class DAPS(Solver[Begun]):
    """Decoupled annealing (Zhang et al. 2024, arXiv:2407.01521, proposition 1*, algorithm 1*).

    Of the prior x0_hat at x_t, by `steps` of a solver of the flow; of p(m | x0) N(x0; x0_hat, r^2)
    a draw, by Langevin dynamics, or exactly where A is linear; and of that x_s, with all of its
    noise fresh. With draws of p(x0 | x_t, m) itself every x_s would have the law p(x_s | m).

    For a Gaussian prior of one variance v, `DAPS(measurement, variance=v)` draws from that law: the
    samples are exact, however few steps there are. With an infinite variance, as published, r =
    sigma / a is wider than what x_t leaves open, and the end of the flow, `steps` > 1, is a sample
    more than a mean: of N(0, 1) and m = 1 with noise 1/2, N(0.8, 0.2), 60 steps then give
    N(0.81, 0.20) and, with five each, N(0.86, 0.21), and of a gap, N(0, 1), 1.10 and 1.70. Langevin
    dynamics leave x0_hat where it is, if they are few, and are too wide, if they are long.

    Args:
        measurement: of the x0 that is sampled; the model is the prior.
        variance: v in r^2 = v sigma^2 / (a^2 v + sigma^2), infinite in the paper.
        flow: takes the steps of the flow, in equal steps of lambda.
        steps: of the flow, 1 for the estimate itself, 5 in the paper.
        langevin: steps of Langevin dynamics where A is not linear.
        stepsize: of each of them, of 1 / (1 / r^2 + 1 / noise^2); below 1.
    """

    measurement: Measurement
    variance: float = torch.inf
    flow: Solver = field(default_factory=Exponential)
    steps: int = 1
    langevin: int = 100
    stepsize: float = 0.1

    order = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("DAPS: steps", self.steps, least=1)
        whole("DAPS: langevin", self.langevin, least=1)
        positive(self, stepsize=self.stepsize)
        real("DAPS: variance", self.variance)
        if not self.variance > 0 or self.stepsize >= 1:
            raise ArgumentError("DAPS: variance must be positive, and stepsize below 1")

    @property
    @override
    def evaluations(self) -> int:
        return self.steps * self.flow.evaluations

    @override
    def step(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Begun | None,
        randn: Randn,
    ) -> tuple[Tensor, Begun]:
        mean = self.clean(model, x, y, t)
        r2 = variance_of(model.sde.scales(t), self.variance)
        draw = self.exact if self.measurement.operator.linear else self.by_langevin
        return renewed(model.sde, draw(mean, r2, randn), mean, y, s, 1.0, randn), ()

    def clean(self, model: Model, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """x0_hat at t (batch,)."""
        first = float(t[0])
        if self.steps == 1 or not bool((t == t[0]).all()):
            return model(x, y, t).x0
        grid = LogSNR(self.steps, first, first / 50)
        return solve(model, y, self.flow, grid, x=x).x

    def exact(self, mean: Tensor, r2: Tensor, randn: Randn) -> Tensor:
        """By a draw of the prior that is measured with a draw of the noise."""
        measured = self.measurement
        x0 = mean + expand(r2.sqrt(), mean) * randn(mean)
        residual = measured.residual(x0)
        residual = residual - torch.as_tensor(measured.noise).to(residual.real) * randn(residual)
        w = measured.operator.solve(residual, x0, r2, measured.variance(x0))
        return x0 + expand(r2, x0) * measured.operator.adjoint(w, x0)

    def by_langevin(self, mean: Tensor, r2: Tensor, randn: Randn) -> Tensor:
        """A draw by x <- x + e grad ln p + sqrt(2 e) z."""
        noise2 = self.measurement.variance(mean).min()
        prior = expand(torch.where(r2 > 0, r2, 1.0), mean)
        step = self.stepsize / (1 / prior + 1 / noise2)
        x = mean
        for _ in range(self.langevin):
            slope = self.measurement.score(x) - (x - mean) / prior
            x = x + step * slope + (2 * step).sqrt() * randn(x)
        return torch.where(expand(r2 > 0, x), x, mean)

    @override
    def draws(self, sde: SDE) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class PublishedDPS(Wrapping):
    """DPS with its published step (Chung et al. 2023, arXiv:2209.14687, algorithm 1*).

        x_s <- x_s - zeta / |r| grad_x |r|^2,      r = m - A(x0_hat(x_t))

    after a step of the solver, ancestral in the paper, and a derivative of the network. The norm is
    over an item, the gradient that of real and imaginary parts. The length does not know the noise
    of m: zeta is to be found for each task, and the samples are those of no law; `DPS` has the
    weight that the noise gives.

    Args:
        measurement: of the x0 that is sampled; the model is the prior.
        zeta: 0.3 to 1 in the paper.
        solver: takes the steps.
    """

    measurement: Measurement
    zeta: float = 1.0
    solver: Solver = field(default_factory=lambda: Exponential(eta=1.0))

    order = 0
    weak_order = 0

    def __post_init__(self) -> None:
        kinds(self)
        positive(self, zeta=self.zeta)

    @property
    @override
    def inner(self) -> Solver:
        return self.solver

    @override
    def around(
        self,
        take: Take,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: object,
        randn: Randn,
    ) -> tuple[Tensor, object]:
        scales = model.sde.scales(t)
        estimate, pull = pulled(model, x, y, t, scales)
        r = self.measurement.residual(estimate.x0)
        size = expand(r.abs().square().flatten(1).sum(dim=1).sqrt(), r)
        # |r|^2 falls along 2 J^T A^T r; `pull` has (sigma^2 / a) J^T.
        slope = pull(self.measurement.operator.adjoint(2 * r / size.clamp(min=1e-30), estimate.x0))
        a, _, sigma = scales
        share = torch.where(sigma > 0, a / torch.where(sigma > 0, sigma, 1.0) ** 2, 0.0)
        known = Once(model, x, t, estimate)
        x_s, memory = take(known, x, y, t, s, memory, randn)
        return x_s + self.zeta * expand(share, x) * slope, memory
