"""What the published code does where it differs from the equation."""

from dataclasses import astuple, dataclass
from math import expm1, log

import torch
from torch import Tensor

from sgmse.sdes import OUVP, SBVE, SDE, Coefficients, Scales, expand, positive
from sgmse.solvers import Solver
from sgmse.solvers.base import Memory, Model, Randn


@dataclass(frozen=True)
class PublishedOUVP(OUVP):
    """`OUVP` with the noise of StoRM's code, which takes the variance for the standard deviation.

    sigma = (1 - a^2) / stiffness

    Drift and diffusion stay those of `OUVP`, so that they do not belong to this sigma.
    """

    def scales(self, t: Tensor) -> Scales:  # noqa: D102
        a, b, sigma = super().scales(t)
        return Scales(a, b, sigma**2)

    def coefficients(self, t: Tensor) -> Coefficients:  # noqa: D102
        return OUVP(*astuple(self)).coefficients(t)


def deviations(sde: SDE, t: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """s_t and v_t = sqrt(s_1^2 - s_t^2 + eps) of an `SBVE`, each (batch,)."""
    if not isinstance(sde, SBVE):
        raise ValueError(f"{sde} is not an SBVE, for which alone the published bridges are made")
    total = sde.c * expm1(2 * log(sde.k)) / (2 * log(sde.k))
    a, b, _ = sde.scales(t)
    return (total * b).sqrt(), (total * a + eps).sqrt()


class PublishedBridge(Solver):
    """What the published samplers of the Schroedinger bridge have in common.

    They are written in the deviations s_t and v_t = sqrt(s_1^2 - s_t^2) of `SBVE` and serve it
    alone. They evaluate the model at the state of time t but with the time s that they step to, so
    that it takes the state to be cleaner than it is.

    Their grid is Uniform(N, end=1e-4, finish=False). Where a grid goes on to t = 0, the last step
    is the estimate x0 at the state and at its own time.
    """

    order = 1

    def finish(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        return model(x, y, t).x0, None

    def refusal(self, sde: SDE, start: float) -> str | None:  # noqa: D102
        if isinstance(sde, SBVE):
            return None
        return (
            f"{type(self).__name__} is a published sampler of SBVE and needs its s_t, which {sde} "
            "does not have; use Exponential, the same step for every process"
        )


@dataclass(frozen=True)
class SBODE(PublishedBridge):
    """The published SB-ODE (Jukic et al. 2024, arXiv:2407.16074, eq. 11, with alpha = 1).

        p = s_s v_s / (s_t v_t + eps)
        x_s = p x + [v_s^2 - v_t s_s v_s / (s_t + eps)] / (s_1^2 + eps) x0_s
                  + [s_s^2 - s_t s_s v_s / (v_t + eps)] / (s_1^2 + eps) y

    where v_t^2 = s_1^2 - s_t^2 + eps. Without eps, and with the estimate at t, it is
    Exponential(start=0.0). In the step from t = 1, where v_t = sqrt(eps), the weights sum to 1.05
    (5 steps) or 1.02 (50) where the bridge has 1.
    """

    eps: float = 1e-8

    def __post_init__(self) -> None:
        positive(self, eps=self.eps)

    def step(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        eps = self.eps
        (s_t, v_t), (s_s, v_s) = (deviations(model.sde, time, eps) for time in (t, s))
        total = s_s**2 + v_s**2  # s_1^2 + eps
        of_x = s_s * v_s / (s_t * v_t + eps)
        of_x0 = (v_s**2 - v_t * s_s * v_s / (s_t + eps)) / total
        of_y = (s_s**2 - s_t * s_s * v_s / (v_t + eps)) / total
        x0 = model(x, y, s).x0
        return expand(of_x, x) * x + expand(of_x0, x) * x0 + expand(of_y, x) * y, None

    def draws(self, sde: SDE) -> bool:  # noqa: D102
        return False


@dataclass(frozen=True)
class SBSDE(PublishedBridge):
    """The published SB-SDE (Jukic et al. 2024, arXiv:2407.16074, eq. 10, with alpha = 1).

        q = s_s^2 / (s_t^2 + eps),      x_s = q x + (1 - q) x0_s + s_s sqrt(1 - q) z

    Without eps, and with the estimate at t, it is Exponential(eta=1.0). An estimate that takes the
    state to be cleaner keeps more of its noise: on a posterior of variance 0.03 the samples have
    4.0 times that after 5 steps, and 1.4 times after 50.

    Args:
        end: the last time of the grid; into it, the noise is drawn but left out.
    """

    eps: float = 1e-8
    end: float = 1e-4

    def __post_init__(self) -> None:
        positive(self, eps=self.eps)

    def step(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        (s_t, _), (s_s, _) = (deviations(model.sde, time, self.eps) for time in (t, s))
        q = s_s**2 / (s_t**2 + self.eps)
        # A grid ends at `end` itself, or in float32 at the number nearest to it.
        inside = s > self.end * (1 + 1e-6)
        noise = torch.where(inside, s_s * (1 - q).sqrt(), 0.0)
        x0 = model(x, y, s).x0
        return expand(q, x) * x + expand(1 - q, x) * x0 + expand(noise, x) * randn(x), None

    def draws(self, sde: SDE) -> bool:  # noqa: D102
        return True
