"""Discretisations of the reverse process, one evaluation and one draw a step: x_s = mean + n z.

    dx = [f x + h y - (1 + eta^2) / 2 g^2 score] dt + eta g dw

has the marginals of the process at any eta: the probability flow for eta = 0, the reverse of the
process for eta = 1 (Song et al. 2021, arXiv:2011.13456).
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, expand, positive, weighted
from sgmse.solvers._base import Begun, Model, Randn, Solver, needs_score


def score(model: Model, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """-noise / sigma of the model's estimate."""
    return expand(-1 / model.sde.scales(t).sigma, x) * model(x, y, t).noise


class Discretisation(Solver[Begun]):
    """A step to a mean, with noise around it.

    In `solve` the step to t = 0 ends at its mean, which is the clean estimate of the published
    samplers. Its noise is drawn all the same, as theirs is, so that equal draws give equal results.
    """

    order = 1
    fewest_steps = 10

    @abstractmethod
    def mean(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean of x_s, a new tensor like x, and the scale n of its noise, (batch,)."""

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        mean, n = self.mean(model, x, y, t, s)
        if self.draws(model.sde):
            mean.addcmul_(expand(n, x).to(x.dtype), randn(x))  # no one else has it
        return mean, ()

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        mean, _ = self.mean(model, x, y, t, s)
        if self.draws(model.sde):
            randn(x)
        return mean, ()

    @override
    def draws(self, sde: SDE) -> bool:
        return True

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return needs_score(self, sde, start)


@dataclass(frozen=True)
class EulerMaruyama(Discretisation):
    """Euler's step of the reverse process.

        mean = x - d [f x + h y - (1 + eta^2) / 2 g^2 score],      n = eta g sqrt(d)

    Args:
        eta: share of fresh noise, 0 (the flow) to 1 (the reverse process).
        stepsize: d; the distance t - s if absent. The published predictor `reverse_diffusion` is
            EulerMaruyama(), and `euler_maruyama` is EulerMaruyama(stepsize=1 / N), which takes
            1 / N in every step, whatever the grid.
    """

    eta: float = 1.0
    stepsize: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ArgumentError(f"EulerMaruyama: eta must lie between 0 and 1, not {self.eta}")
        if self.stepsize is not None:
            positive(self, stepsize=self.stepsize)

    @override
    def mean(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor]:
        d = t - s if self.stepsize is None else torch.full_like(t, self.stepsize)
        f, h, g = model.sde.coefficients(t)
        share = (1 + self.eta**2) / 2
        noise = model(x, y, t).noise  # score = -noise / sigma
        to_score = share * d * g**2 / model.sde.scales(t).sigma
        mean = weighted((1 - d * f, x), (-d * h, y), (-to_score, noise))
        return mean, self.eta * g * d.sqrt()

    @override
    def draws(self, sde: SDE) -> bool:
        return self.eta > 0


@dataclass(frozen=True)
class ReverseDiffusion(Discretisation):
    """The reverse of the exact chain from s to t (Song et al. 2021, arXiv:2011.13456, eq. 46).

        x_t = A x_s + B y + q z
        A = a_t / a_s,   B = b_t - A b_s,   q^2 = sigma_t^2 - A^2 sigma_s^2

        mean = x - [(A - 1) x + B y] + q^2 score,      n = q

    The published predictor of VE and, with A^2 = 1 - beta, of VP. The predictor of that name in the
    published code of speech enhancement is `EulerMaruyama`.
    """

    @override
    def mean(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor
    ) -> tuple[Tensor, Tensor]:
        (a_t, b_t, sigma_t), (a, b, sigma) = model.sde.scales(t), model.sde.scales(s)
        A = a_t / a
        B = b_t - A * b
        q2 = (sigma_t**2 - (A * sigma) ** 2).clamp(min=0)
        noise = model(x, y, t).noise  # score = -noise / sigma
        return weighted((2 - A, x), (-B, y), (-q2 / sigma_t, noise)), q2.sqrt()
