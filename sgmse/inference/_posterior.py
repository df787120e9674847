"""A prior and a measurement make a posterior: any solver samples p(x0 | m) with it.

A model of clean audio that has seen no recording, and m = A(x0) + n: the estimate at x_t given m is
that of the prior, moved by what m says,

    x0 <- x0 + D,      noise <- noise - (a / sigma) D,
    D = (sigma^2 / a) grad ln p(m | x_t),

so that x_t = a x0 + b y + sigma noise still holds, and every solver serves. Of p(m | x_t) nothing
is known in closed form but for Gaussian priors. With p(x0 | x_t) ~ CN(x0_hat, C), it is

    D = C A^T (A C A^T + noise^2)^-1 (m - A x0_hat),      C = (sigma^2 / a) J,  J = d x0_hat / d x_t

(Tweedie's covariance), and the published methods are what they take for the two C:

    ========  ====================  ==========================================================
              the first C           the second C
    ========  ====================  ==========================================================
    MMPS      (sigma^2 / a) J       (sigma^2 / a) J
    PiGDM     (sigma^2 / a) J       v sigma^2 / (a^2 v + sigma^2): one variance for all elements
    DPS       (sigma^2 / a) J       0: as if x0_hat were certain
    DiffPIR   sigma^2 / (l a^2)     the same: nothing goes through the network
    ========  ====================  ==========================================================

A Gaussian prior of any covariance is exact with MMPS, one of equal variances also with PiGDM. No
mixture is exact with any: p(x0 | x_t) is no Gaussian at the times at which modes are decided.

Where a = 0 the state says nothing, and D = 0: the first step is that of the prior.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, whole
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.inference._measurements import Measurement
from sgmse.inference._operators import conjugate_gradients
from sgmse.sdes import Scales, expand, positive
from sgmse.solvers import Model, modelled
from sgmse.solvers._analytic import variance_of
from sgmse.solvers._base import Around

#: v -> (sigma^2 / a) J^T v, of the network at the state at hand.
Pull = Callable[[Tensor], Tensor]


class Approximation(ABC):
    """What is taken for the covariance of x0 given x_t; subclasses are frozen dataclasses."""

    #: Whether it asks for the derivative of the network, about twice the time of an evaluation.
    through: bool = True

    @abstractmethod
    def shift(
        self, measured: Measurement, x0: Tensor, residual: Tensor, scales: Scales, pull: Pull
    ) -> Tensor:
        """D at the estimate x0 (batch, ...) with m - A(x0), at scales (batch,)."""


@dataclass(frozen=True)
class DPS(Approximation):
    """p(m | x_t) = p(m | x0_hat) (Chung et al. 2023, arXiv:2209.14687, theorem 1*, eq. 16*).

    What x0_hat does not know is left out, so that the measurement weighs too much while there is
    noise. Of N(0, 1) and m = 1 with noise 1/2, which is N(0.8, 0.2), the SDE ends at N(0.98, 0.12)
    on the finest grid, and the flow, which is another law then, at N(1.28, 0.02). Where the noise
    of m is far below what x_t leaves open, a step is too long for few steps, and explodes. The
    published step, with the norm of the residual in place of noise^2, is `PublishedDPS`.

    Args:
        weight: of D; less than 1 for less of both.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        positive(self, weight=self.weight)

    @override
    def shift(
        self, measured: Measurement, x0: Tensor, residual: Tensor, scales: Scales, pull: Pull
    ) -> Tensor:
        w = residual / measured.variance(x0)
        return self.weight * pull(measured.operator.adjoint(w, x0))


@dataclass(frozen=True)
class PiGDM(Approximation):
    """Of x0 given x_t all elements have one variance (Song et al. 2023, ICLR, 9_gsMA8MRKQ, eq. 7*).

        v sigma^2 / (a^2 v + sigma^2),      v = 1 in the paper (its r_t^2 for unit variance)

    Exact for a Gaussian prior of independent elements of the variance v. Of a recording's elements
    some vary more: what m says of those counts too little, and of the others too much.

    Args:
        variance: v, of an element of x0: E|x0 - E x0|^2.
    """

    variance: float = 1.0

    def __post_init__(self) -> None:
        positive(self, variance=self.variance)

    @override
    def shift(
        self, measured: Measurement, x0: Tensor, residual: Tensor, scales: Scales, pull: Pull
    ) -> Tensor:
        gain = variance_of(scales, self.variance)
        w = measured.operator.solve(residual, x0, gain, measured.variance(x0))
        return pull(measured.operator.adjoint(w, x0))


@dataclass(frozen=True)
class MMPS(Approximation):
    """The covariance that the network itself implies, (sigma^2 / a) J, by conjugate gradients.

    Moment matching posterior sampling (Rozet et al. 2024, arXiv:2405.13712, section 4*). Exact for
    every Gaussian prior. Each iteration takes a derivative of the network, about an evaluation and
    a half. J of a trained network is not quite symmetric, for which few iterations are the remedy.

    Args:
        iterations: of conjugate gradients, at most.
    """

    iterations: int = 5

    def __post_init__(self) -> None:
        kinds(self)
        whole("MMPS: iterations", self.iterations, least=1)

    @override
    def shift(
        self, measured: Measurement, x0: Tensor, residual: Tensor, scales: Scales, pull: Pull
    ) -> Tensor:
        operator, variance = measured.operator, measured.variance(x0)

        def matrix(w: Tensor) -> Tensor:
            return operator.along(pull(operator.adjoint(w, x0)), x0) + variance * w

        w = conjugate_gradients(matrix, residual, self.iterations)
        return pull(operator.adjoint(w, x0))


@dataclass(frozen=True)
class DiffPIR(Approximation):
    """The point nearest to the measurement and to x0_hat (Zhu et al. 2023, arXiv:2305.08995).

        x0 <- argmin |m - A x|^2 / noise^2 + rho |x - x0_hat|^2,      rho = weight a^2 / sigma^2

    (its eq. 12*, 13*); an A that is not linear is taken for its derivative at x0_hat. With
    `Renewed(share)` as the solver it is the paper's algorithm 1*. No derivative of the network. The
    point has no spread of its own: samples have less than the posterior, in what is heard and, the
    more is renewed, in gaps. Of N(0, 1) and m = 1 with noise 1/2, N(0.8, 0.2), 60 steps with the
    shares 0, 0.3 and 1 give N(0.87, 0.14), N(0.85, 0.15) and N(0.81, 0.09); of a gap in it, which
    is N(0, 1), the variances 0.92, 0.85 and 0.46.

    Args:
        weight: lambda: more for the prior, less for the measurement.
    """

    weight: float = 1.0

    through = False

    def __post_init__(self) -> None:
        positive(self, weight=self.weight)

    @override
    def shift(
        self, measured: Measurement, x0: Tensor, residual: Tensor, scales: Scales, pull: Pull
    ) -> Tensor:
        gain = variance_of(scales, torch.inf) / self.weight
        w = measured.operator.solve(residual, x0, gain, measured.variance(x0))
        return expand(gain, x0) * measured.operator.adjoint(w, x0)


@dataclass(frozen=True, eq=False)
class Posterior(Around):
    """A model of x0 given a measurement; any solver takes it for a `Model`.

    The prior is asked as it is: without an observation where its process has none (`y=None`), else
    with the y of `solve`, which is zeros for a prior that has learnt without, or any for
    `Blind(prior)`. An evaluation is one of the prior, and its derivatives.

    Args:
        model: the prior.
        measurement: of the x0 that is sampled.
        by: what is taken for the covariance of x0 given x_t.
    """

    model: Model
    measurement: Measurement
    by: Approximation = field(default_factory=MMPS)

    def __post_init__(self) -> None:
        kinds(self)
        modelled(self.model)

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x, y (batch, ...) and t (batch,), without gradients."""
        if len(self.measurement.value) not in (1, len(x)):
            raise ArgumentError(
                f"a measurement of {len(self.measurement.value)} items cannot be that of {len(x)} "
                "states: it needs one item, or as many"
            )
        scales = self.sde.scales(t)
        (x0, noise), pull = pulled(self.model, x, y, t, scales, self.by.through)
        residual = self.measurement.residual(x0)
        shift = self.by.shift(self.measurement, x0, residual, scales, pull)
        known = (scales.a > 0) & (scales.sigma > 0)
        ratio = torch.where(known, scales.a / torch.where(known, scales.sigma, 1.0), 0.0)
        shift = torch.where(expand(known, x), shift, 0.0)
        return Estimate(x0 + shift, noise - expand(ratio, x) * shift)


def pulled(
    model: Model, x: Tensor, y: Tensor | None, t: Tensor, scales: Scales, through: bool = True
) -> tuple[Estimate, Pull]:
    """The estimate, and v -> (sigma^2 / a) J^T v at it, 0 where a = 0."""
    if not through:
        return model(x, y, t), torch.zeros_like
    a, _, sigma = scales
    factor = expand(torch.where(a > 0, sigma**2 / torch.where(a > 0, a, 1.0), 0.0), x)
    with torch.inference_mode(False), torch.enable_grad():
        state = x.detach().clone().requires_grad_()
        seen = None if y is None else y.detach().clone()
        estimate = model(state, seen, t.clone())

    def pull(v: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            grown = torch.autograd.grad(estimate.x0, state, v.clone(), retain_graph=True)
        return factor * grown[0]

    return Estimate(*(part.detach() for part in estimate)), pull
