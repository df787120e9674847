"""What the published code does where it differs from the equation."""

from dataclasses import astuple, dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.estimates import Preconditioned
from sgmse.sdes import OUVP, SBVE, SDE, Coefficients, Scaled, Scales, expand, positive, weighted
from sgmse.solvers import (
    Begun,
    EulerMaruyama,
    Exponential,
    Model,
    Randn,
    Solver,
    Weights,
    needs_flow,
    two_timed,
)


@dataclass(frozen=True)
class PublishedOUVP(OUVP):
    """`OUVP` with the noise of StoRM's code, which takes the variance for the standard deviation.

    sigma = (1 - a^2) / stiffness

    Drift and diffusion stay those of `OUVP`, so that they do not belong to this sigma.
    """

    @override
    def scales(self, t: Tensor) -> Scales:
        a, b, sigma = super().scales(t)
        return Scales(a, b, sigma**2)

    @override
    def coefficients(self, t: Tensor) -> Coefficients:
        return OUVP(*astuple(self)).coefficients(t)


def bridges(sde: SDE) -> bool:
    """Whether the formulas of the published bridges are those of this process."""
    return isinstance(sde.process if isinstance(sde, Scaled) else sde, SBVE)


def deviations(sde: SDE, t: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """s_t, v_t = sqrt(s_1^2 - s_t^2 + eps) and s_1^2 + eps of an `SBVE`, `Scaled` or not.

    Each is (batch,). As the weights of the first step cancel to four digits, they are computed in
    the published order of operations, so that the roundings are the published ones in float32, too.
    """
    if isinstance(sde, Scaled):
        sde = sde.process
    if not isinstance(sde, SBVE):
        raise ArgumentError(f"{sde} is not an SBVE, for which alone the published bridges are made")
    k, c = sde.k, sde.c
    log_k = torch.log(t.new_full((), k))
    done, total = (
        (c * (k ** (2 * time) - 1) / (2 * log_k)).sqrt() for time in (t, torch.ones_like(t))
    )
    return done, (total**2 - done**2 + eps).sqrt(), total**2 + eps


@dataclass(frozen=True)
class PublishedPreconditioning(Preconditioned):
    """`Preconditioned` by the published sigma of `SBVE`, which is not 0 at t = 1.

        sigma = s_t v_t / (s_1 + eps),    v_t^2 = s_1^2 - s_t^2 + eps

    Only the coefficients take it; what x0 says about the noise stays as it is. The sigma of other
    processes is published as it is here.
    """

    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, eps=self.eps)

    @override
    def level(self, t: Tensor, sde: SDE) -> Tensor:
        if not bridges(sde):
            return super().level(t, sde)
        done, left, total = deviations(sde, t, self.eps)
        factor = sde.factor if isinstance(sde, Scaled) else 1.0
        return factor * done * left / ((total - self.eps).sqrt() + self.eps)

    @override
    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        return None if self.of == "data" and bridges(sde) else super().refusal(sde, latest)


@dataclass(frozen=True)
class DDIM(Exponential):
    """The step with the published eta, a share of the noise of each step (Song, Meng, Ermon 2021).

        x_s = a_s x0 + b_s y + sqrt(sigma_s^2 - tau^2) noise + tau z
        tau^2 = eta^2 sigma_s^2 (1 - e^-2h),      e^-h = a_t sigma_s / (a_s sigma_t)

    On `VP`, arXiv:2010.02502, eq. 12* and 16*; on bridges, DBIM (Zheng et al. 2024,
    arXiv:2405.15885). For eta = 0 and eta = 1 it is `Exponential`. Between them, its noise over a
    time depends on how many steps are made of it: to first order that of `Exponential` with the
    same eta, of which it is another discretisation, and of first order whatever the estimate.

    Args:
        eta: the share, 0 to 1, of the standard deviation of x_s given x_t and x0.
        start, whole, unknown: as for `Exponential`.
    """

    eta: float = 0.0

    @override
    def weights(self, sde: SDE, t: Tensor, s: Tensor) -> Weights:
        w = super().weights(sde, t, s)
        noisy = sde.scales(t).sigma > 0
        sigma = torch.where(s > 0, sde.scales(s).sigma, 0.0)
        # 1 - tau^2 / sigma^2, written so that nothing cancels.
        carried = ((1 - self.eta) * (1 + self.eta) + (self.eta * torch.exp(-w.h)) ** 2).sqrt()
        fresh = self.eta * (-torch.expm1(-2 * w.h)).clamp(min=0).sqrt()
        return w._replace(
            noise=torch.where(noisy, sigma * carried, w.noise),
            z=torch.where(noisy, sigma * fresh, w.z),
            k=torch.where(noisy, w.h - carried.log(), w.k),
        )


Told = Literal["target", "state"]


class PublishedBridge(Solver[Begun]):
    """What the published samplers of the Schroedinger bridge have in common.

    They are written in the deviations s_t and v_t = sqrt(s_1^2 - s_t^2) of `SBVE` and serve it
    alone, also as `Scaled`, which leaves s_t and v_t as they are and multiplies the noise. They
    evaluate the model at the state of time t but with the time s that they step to, so that it
    takes the state to be cleaner than it is: told = "target". Those of NeMo and `edm2se` tell it
    the time of the state, told = "state"; that of NeMo can do the other, too.

    Their grid is Uniform(N, end=1e-4, finish=False). Where a grid goes on to t = 0, the last step
    is the estimate x0 at the state and at its own time.
    """

    eps: float
    told: Told

    order = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, eps=self.eps)
        if self.told not in get_args(Told):
            raise ArgumentError(f"told must be 'target' or 'state', not {self.told!r}")

    def clean(self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The estimate x0 at the state of time t, in a step to s."""
        return model(x, y, s if self.told == "target" else t).x0

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        return model(x, y, t).x0, ()

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        if bridges(sde):
            return None
        return (
            f"{type(self).__name__} is a published sampler of SBVE and needs its s_t, which {sde} "
            "does not have; use Exponential, the same step for every process"
        )


@dataclass(frozen=True)
class SBODE(PublishedBridge):
    """The published SB-ODE (Jukic et al. 2024, arXiv:2407.16074, eq. 11*, with alpha = 1).

        p = s_s v_s / (s_t v_t + eps)
        x_s = p x + [v_s^2 - v_t s_s v_s / (s_t + eps)] / (s_1^2 + eps) x0_s
                  + [s_s^2 - s_t s_s v_s / (v_t + eps)] / (s_1^2 + eps) y

    where v_t^2 = s_1^2 - s_t^2 + eps. Without eps, and with the estimate at t, it is
    Exponential(start=0.0). In the step from t = 1, where v_t = sqrt(eps), the weights sum to 1.05
    (5 steps) or 1.02 (50) where the bridge has 1.

    Args:
        told: the time that the model is told.
    """

    eps: float = 1e-8
    told: Told = "target"

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        eps = self.eps
        (s_t, v_t, total), (s_s, v_s, _) = (deviations(model.sde, time, eps) for time in (t, s))
        of_x = s_s * v_s / (s_t * v_t + eps)
        of_x0 = 1 / total * (v_s**2 - v_t * s_s * v_s / (s_t + eps))
        of_y = 1 / total * (s_s**2 - s_t * s_s * v_s / (v_t + eps))
        x0 = self.clean(model, x, y, t, s)
        return expand(of_x, x) * x + expand(of_x0, x) * x0 + expand(of_y, x) * y, ()

    @override
    def draws(self, sde: SDE) -> bool:
        return False


@dataclass(frozen=True)
class SBSDE(PublishedBridge):
    """The published SB-SDE (Jukic et al. 2024, arXiv:2407.16074, eq. 10*, with alpha = 1).

        q = s_s^2 / (s_t^2 + eps),      x_s = q x + (1 - q) x0_s + s_s sqrt(1 - q) z

    Without eps, and with the estimate at t, it is Exponential(eta=1.0). An estimate that takes the
    state to be cleaner keeps more of its noise: on a posterior of variance 0.03 the samples have
    4.0 times that after 5 steps, and 1.4 times after 50.

    Args:
        end: the last time of the grid; into it, the noise is drawn but left out. With 0 it is kept,
            as NeMo does.
        told: the time that the model is told.
    """

    eps: float = 1e-8
    end: float = 1e-4
    told: Told = "target"

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        (s_t, *_), (s_s, *_) = (deviations(model.sde, time, self.eps) for time in (t, s))
        q = s_s**2 / (s_t**2 + self.eps)
        # A grid ends at `end` itself, or in float32 at the number nearest to it.
        inside = s > self.end * (1 + 1e-6)
        factor = model.sde.factor if isinstance(model.sde, Scaled) else 1.0
        noise = torch.where(inside, factor * s_s * (1 - q).sqrt(), 0.0)
        x0 = self.clean(model, x, y, t, s)
        return expand(q, x) * x + expand(1 - q, x) * x0 + expand(noise, x) * randn(x), ()

    @override
    def draws(self, sde: SDE) -> bool:
        return True


@dataclass(frozen=True)
class ConsistencyTrajectory(Solver[Begun]):
    """The step of SB-CTM (Nishigori et al. 2025, arXiv:2507.11925), straight in t.

        x_s = (s / t) x_t + (1 - s / t) g,      g = x0 of the whole step from t to s

    A model of two times is trained for g to lead along the flow of its teacher in steps of any
    length. On an estimate that does not know s it is Euler's step of dx = (x - x0) / t dt.
    """

    order = 0
    whole = True

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        x0, _ = two_timed(model)(x, y, t, s=s)
        return weighted((s / t, x), (1 - s / t, x0)), ()

    @override
    def draws(self, sde: SDE) -> bool:
        return False


@dataclass(frozen=True)
class CorrectedReverse(EulerMaruyama):
    """Euler's steps for a network fine-tuned on them (Lay et al. 2024, arXiv:2309.09677).

    It was trained so that the mean of the last of a few steps is the clean spectrogram. What the
    steps neglect it makes up for, so that its output is no score, and other solvers, or many steps,
    do not fit it. One step serves.
    """

    fewest_steps = 1


@dataclass(frozen=True)
class FlowEuler(Solver[Begun]):
    """Euler's step of the flow, as the code of FlowSE takes it (Lee et al. 2025).

        x_s = x + (s - t) (a' x0 + b' y + sigma' noise)

    On `StraightFlow` it is Exponential() in every step but that to t = 0, which keeps the noise
    that the process has there, sigma(0) noise. And a start before t = 1 gets the noise of t = 1,

        x <- y + (sigma(1) / sigma(t)) (x - y).

    Args:
        grow: give a start before t = 1 the noise of t = 1, as FlowSE does and MeanFlowSE does not.
        whole: as for `Exponential`: the displacement of MeanFlowSE.
    """

    grow: bool = True
    whole: bool = False

    order = 1

    @property
    @override
    def moves_start(self) -> bool:
        return self.grow

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        if memory is None and self.grow:
            grow = model.sde.scales(torch.ones_like(t)).sigma / model.sde.scales(t).sigma
            x = y + expand(grow, x) * (x - y)
        x0, noise = two_timed(model)(x, y, t, s=s) if self.whole else model(x, y, t)
        a, b, sigma = model.sde.rates(t)
        return x + expand(s - t, x) * weighted((a, x0), (b, y), (sigma, noise)), ()

    @override
    def draws(self, sde: SDE) -> bool:
        return False

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return needs_flow(self, sde, start)
