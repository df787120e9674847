"""Exponential solvers: the linear part of the equation is exact, only the estimate is approximated.

With lambda = ln(a / sigma) and h = lambda_s - lambda_t, an estimate held constant over a step gives

    x_s = a_s x0 + b_s y + sqrt(sigma_s^2 - tau^2) noise + tau z,
    tau^2 = sigma_s^2 (1 - e^(-2 eta^2 h)),      e^-h = a_t sigma_s / (a_s sigma_t),

the exact step of

    dx = [f x + h y - (1 + eta^2) / 2 g^2 score] dt + eta g dw,

the ODE for eta = 0, the SDE for eta = 1. Of (x_t - b_t y) / a_t the step keeps the share e^-k,

    k = (1 + eta^2) h.

An estimate that is the polynomial in lambda through x0 and further estimates x0_j at
lambda_t + h / p_j adds a_s sum_j w_j (x0_j - x0). With

    m_i = k int_0^1 e^(-k (1 - q)) q^i dq,      m_1 = 1 - (1 - e^-k) / k,      m_2 = 1 - 2 m_1 / k

one of them has the weight w_1 = p_1 m_1, two have

    w_1 = p_1^2 (m_1 - p_2 m_2) / (p_1 - p_2),      w_2 = p_2^2 (m_1 - p_1 m_2) / (p_2 - p_1).

Earlier estimates have p < 0, one inside the step p > 1, one at its end p = 1.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, weighted
from sgmse.solvers._analytic import PosteriorVariance, variance_of
from sgmse.solvers._base import Model, Randn, Solver, two_timed
from sgmse.solvers._strength import Strength


class Weights(NamedTuple):
    """Of x0, y, noise and z in a step, and its lengths h and k; each (batch,)."""

    x0: Tensor
    y: Tensor
    noise: Tensor
    z: Tensor
    h: Tensor
    k: Tensor


class History(NamedTuple):
    """What the last steps leave to the next; nothing, if its estimate is all that a step uses."""

    #: Distances lambda_t - lambda_j (batch,) and estimates x0_j (batch, ...), the newest first.
    past: tuple[tuple[Tensor, Tensor], ...] = ()
    #: The weights c_j (batch,) that correct x_t, in the same order; there may be fewer.
    correction: tuple[Tensor, ...] = ()


#: None at the first step.
Memory = History | None


def integrals(k: Tensor) -> tuple[Tensor, Tensor]:
    """m_1 and m_2 for 0 <= k <= infinity, to the last digits of the precision of k."""
    # Below 1 they cancel: there m_2 = k / 3 (1 - k / 4 (1 - k / 5 (1 - ...))), and m_1 from it.
    near, far = k.clamp(max=1), k.clamp(min=1)
    terms = (-near[..., None] / torch.arange(4, 21, device=k.device)).cumprod(dim=-1)
    small = near / 3 * (1 + terms.sum(dim=-1))
    large = 1 + torch.expm1(-far) / far
    return (
        torch.where(k < 1, near / 2 * (1 - small), large),
        torch.where(k < 1, small, 1 - 2 * large / far),
    )


def bend(weights: Weights, *p: Tensor) -> tuple[Tensor, ...]:
    """The w_j of none, one or two p_j (batch,) in a step; 0 where it has no length or no end.

    An estimate at an infinite lambda has p = 0, and weighs nothing.
    """
    if not p:
        return ()
    m_1, m_2 = integrals(weights.k)
    if len(p) == 1:
        w: tuple[Tensor, ...] = (p[0] * m_1,)
    else:
        p_1, p_2 = p
        w = (
            p_1**2 * (m_1 - p_2 * m_2) / (p_1 - p_2),
            p_2**2 * (m_1 - p_1 * m_2) / (p_2 - p_1),
        )
    return tuple(torch.where(w_j.isfinite() & weights.h.isfinite(), w_j, 0.0) for w_j in w)


@dataclass(frozen=True)
class Exponential(Solver[History]):
    """The exact step for a constant estimate.

    DDIM (VP), SB-ODE and DBIM (bridges) and the Euler step of a straight flow for eta = 0,
    ancestral sampling and SB-SDE for eta = 1 (Song, Meng, Ermon 2021, arXiv:2010.02502, eq. 12*;
    Jukic et al. 2024, arXiv:2407.16074; Zheng et al. 2024, arXiv:2405.15885).

    DDIM's own eta between 0 and 1, whose step is of no SDE, is `sgmse.compat.DDIM`.

    Args:
        eta: strength of the noise of the SDE, 0 (ODE) to 1 (the reverse of the process), or one
            that varies with time, such as `Between(1.0, low=0.05)`. SA-Solver calls it tau (Xue et
            al. 2023, arXiv:2309.05019), k-diffusion's eta is its square.
        start: in a first step from a pinned end point, where there is no noise to carry on, the
            share that is drawn of what the process has there: 1 is its law, 0 keeps the step
            deterministic as the published SB-ODE.
        whole: ask a model of two times for the estimate of the whole step from t to s, of average
            velocities (MeanFlow) and consistency trajectories (Kim et al. 2024, arXiv:2310.02279):
            with the exact one a single step is exact.
        unknown: what the model cannot know of x0, whose variance each step but that to t = 0 then
            has in its noise: Analytic-DPM's optimal one (Bao et al. 2022, arXiv:2201.06503, eq.
            7*), and Analytic-DDIM's for eta = 0. Of a Gaussian posterior with one variance for
            all elements the law at every time of the grid is exact, however few steps there are.
            A number v stands for that of x0 of variance v, v sigma^2 / (a^2 v + sigma^2): on `VP`
            0, or None, and 1 are the two variances of DDPM, beta-tilde and beta (Ho et al. 2020,
            arXiv:2006.11239, section 3.2*).
    """

    eta: float | Strength = 0.0
    start: float = 1.0
    whole: bool = False
    unknown: PosteriorVariance | float | None = None

    order = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        constant = 0.0 if isinstance(self.eta, Strength) else self.eta
        if not (0 <= constant <= 1 and 0 <= self.start <= 1):
            raise ArgumentError(f"{self}: eta and start must lie between 0 and 1")
        if isinstance(self.unknown, int | float) and not 0 <= self.unknown < inf:
            raise ArgumentError(f"{self}: unknown is a variance, and must not be negative")
        if self.order > 1 and self.unknown is not None:
            raise ArgumentError(
                f"{type(self).__name__}: unknown is of steps with one estimate: leave it out, or "
                "take Exponential"
            )

    def refuse_whole(self) -> None:
        """Refuse the estimate of a whole step, for solvers that ask for estimates at times."""
        if self.whole:
            raise ArgumentError(
                f"{type(self).__name__}: it joins estimates at times, and cannot use those of "
                "whole steps; leave out whole=True, or use Exponential(whole=True)"
            )

    def weights(self, sde: SDE, t: Tensor, s: Tensor) -> Weights:
        """The weights of a step from t to s, both (batch,)."""
        a_t, _, sigma_t = sde.scales(t)
        a, b, sigma = sde.scales(s)
        # The end of time asks for x0 itself, also where a process (VE) would leave a little noise.
        sigma = torch.where(s > 0, sigma, 0.0)
        noisy = sigma_t > 0
        shrink = torch.where(noisy, a_t * sigma / (a * torch.where(noisy, sigma_t, 1.0)), 0.0)
        h = -shrink.log()
        area = self.area(sde, t, s, h)
        # Of a number e^-A is known to the last digit.
        carried = torch.exp(-area) if isinstance(self.eta, Strength) else shrink**self.eta**2
        # From a point all of `noise` is 0, and its weight what the fresh one leaves.
        noise = torch.where(noisy, carried, (1 - self.start**2) ** 0.5)
        # Below 0 from two times a rounding apart, and without noise where time is turned round.
        fresh = (-torch.expm1(-2 * area)).clamp(min=0).sqrt()
        z = torch.where(noisy, fresh, self.start)
        return Weights(a, b, sigma * noise, sigma * z, h, h + area)

    def area(self, sde: SDE, t: Tensor, s: Tensor, h: Tensor) -> Tensor:
        """int eta^2 dlambda over a step from t to s of the length h in lambda; each (batch,)."""
        if isinstance(self.eta, Strength):
            return self.eta.area(sde, sde.log_snr(t), sde.log_snr(s))
        return self.eta**2 * h if self.eta else torch.zeros_like(h)

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        x0, noise = two_timed(model)(x, y, t, s=s) if self.whole else model(x, y, t)
        w = self.weights(model.sde, t, s)
        terms = [(w.x0, x0), (w.y, y), (w.noise, noise)]
        if self.refreshes(model.sde, memory):
            terms.append((self.deviation(w, model.sde, t, s), randn(x)))
        return weighted(*terms), History()

    def deviation(self, w: Weights, sde: SDE, t: Tensor, s: Tensor) -> Tensor:
        """Of the noise in a step from t to s with these weights, (batch,)."""
        if self.unknown is None:
            return w.z
        if isinstance(self.unknown, PosteriorVariance):
            left = self.unknown.at(t)
        else:
            left = variance_of(sde.scales(t), self.unknown)
        added = (w.x0 * -torch.expm1(-w.k)) ** 2 * left
        return torch.where(s > 0, (w.z**2 + added).sqrt(), w.z)

    def draws(self, sde: SDE) -> bool:
        """Whether steps of this solver on that process need noise."""
        return self.fresh or (self.start > 0 and sde.pinned)

    def refreshes(self, sde: SDE, memory: Memory) -> bool:
        """Whether a step adds noise: all with eta, else only one from a pinned end, the first."""
        return self.fresh or (memory is None and self.draws(sde))

    @property
    def fresh(self) -> bool:
        """Whether there is noise in the middle of the process."""
        return isinstance(self.eta, Strength) or self.eta > 0 or self.unknown is not None
