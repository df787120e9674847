"""An exponential solver of order 2 with two evaluations a step, and no memory."""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, expand, weighted
from sgmse.solvers._base import Model, Randn
from sgmse.solvers._exponential import Exponential, History, Memory, Weights, bend


@dataclass(frozen=True)
class Singlestep(Exponential):
    """x0 linear in lambda through an estimate at t and one on the way, at m.

        x_m = a_m x0 + b_m y + sigma_m noise,      p = k / (lambda_m - lambda_t)
        x_s = a_s (x0 + p m_1 (x0_m - x0)) + b_s y + sqrt(sigma_s^2 - tau^2) noise + tau z

    DPM-Solver++(2S) (Lu et al. 2022, arXiv:2211.01095, algorithm 1) with the exact integral m_1.
    For eta > 0 that is the flow on to lambda_t + k and the process back from there to s ("2S
    ancestral"), so that mean and variance are of second order, too.

    From an infinite lambda (a pinned end point, or a = 0) the first step leads to m and from there
    on to s, both at first order and the second without fresh noise. The step to t = 0 is x0, with
    one evaluation.

    Args:
        eta: share of fresh noise, 0 (ODE) to 1 (SDE).
        start: the same for a first step from a pinned end point.
        ratio: where m lies, (lambda_m - lambda_t) / k, about: it is interpolated from the middle of
            the step, and lies before s. Any ratio is of second order.
    """

    ratio: float = 0.5

    order = 2
    evaluations = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ratio <= 1:
            raise ArgumentError(f"Singlestep: ratio must lie above 0 and up to 1, not {self.ratio}")

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        sde, flow = model.sde, Exponential(0.0, self.start)
        x0, noise = model(x, y, t)
        w = self.weights(sde, t, s)
        m = self.between(sde, t, s, w)
        way = flow.weights(sde, t, m)
        terms = [(way.x0, x0), (way.y, y), (way.noise, noise)]
        fresh = [randn(x)] if self.refreshes(sde, memory) else []
        if memory is None:
            terms += [(way.z, z) for z in fresh]
        x0_m, noise_m = model(weighted(*terms), y, m)
        (middle,) = bend(w, w.k / way.h)
        if memory is None and sde.forgets:
            far = w.h.isinf()
            on = flow.weights(sde, m, s)
            w = Weights(*(torch.where(far, *pair) for pair in zip(on, w, strict=True)))
            far = expand(far, x)
            x0, noise = torch.where(far, x0_m, x0), torch.where(far, noise_m, noise)
        terms = [(w.x0 * (1 - middle), x0), (w.x0 * middle, x0_m), (w.y, y), (w.noise, noise)]
        return weighted(*terms, *((w.z, z) for z in fresh)), History()

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        return super().step(model, x, y, t, s, memory, randn)

    def between(self, sde: SDE, t: Tensor, s: Tensor, w: Weights) -> Tensor:
        """m: the share q of the way in time for the share r of it in lambda, both (batch,).

        q = r / (r + c (1 - r)), the simplest rising function from 0 to 1, with the one free c so
        that it holds at q = 1 / 2: lambda is steep near both ends of time.
        """
        # An infinite way in lambda has no shares, and neither has one of no length, by rounding.
        known = (w.h > 0) & w.h.isfinite()
        half = sde.log_snr(torch.lerp(t, s, 0.5)) - sde.log_snr(t)
        at_half = torch.where(known, half / w.h, 0.5).clamp(0.05, 0.95)
        r = torch.where(known, self.ratio * w.k / w.h, self.ratio).clamp(max=1)
        c = at_half / (1 - at_half)
        return torch.lerp(t, s, r / (r + c * (1 - r)))
