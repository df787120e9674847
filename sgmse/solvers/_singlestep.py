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

        x_m = a_m x0 + b_m y + sqrt(sigma_m^2 - tau_m^2) noise + tau_m z_m
        x_s = a_s (x0 + p m_1 (x0_m - x0)) + b_s y + sqrt(sigma_s^2 - tau^2) noise + tau z

    with p = (lambda_s - lambda_t) / (lambda_m - lambda_t): DPM-Solver++(2S) (Lu et al. 2022,
    arXiv:2211.01095, algorithm 1*) with the exact integral m_1. For eta > 0 both states are on one
    path of the SDE, which takes a second draw z': of the noise of the step, m has seen a part,

        z_m = rho z + sqrt(1 - rho^2) z',
        1 - rho^2 = (1 - e^(-2 eta^2 (lambda_s - lambda_m))) / (1 - e^(-2 eta^2 h)).

    So mean and variance are of second order for any estimate. Without noise at m ("2S ancestral")
    they are so for an exact one alone.

    From an infinite lambda (a pinned end point, or a = 0) the first step leads to m and from there
    on to s, both at first order. The step to t = 0 is x0, with one evaluation.

    Args:
        eta: strength of the noise of the SDE, 0 (ODE) to 1 (the reverse of the process), or a
            `Strength`, which varies with time.
        start: the share of the noise that is drawn in a first step from a pinned end point.
        ratio: where m lies, (lambda_m - lambda_t) / (lambda_s - lambda_t), about: it is
            interpolated from the middle of the step. Any ratio is of second order.
    """

    ratio: float = 0.5

    order = 2
    evaluations = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_whole()
        if not 0 < self.ratio <= 1:
            raise ArgumentError(f"Singlestep: ratio must lie above 0 and up to 1, not {self.ratio}")

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        sde = model.sde
        x0, noise = model(x, y, t)
        w = self.weights(sde, t, s)
        m = self.between(sde, t, s, w)
        way, on = self.weights(sde, t, m), self.weights(sde, m, s)
        # The noise of the step, and what divides it at m.
        fresh = (
            [randn(x) for _ in range(2 if self.fresh else 1)] if self.refreshes(sde, memory) else []
        )
        parts = (t, s, w.h), (t, m, way.h), (m, s, on.h)
        seen = self.seen(*(self.area(sde, *part) for part in parts))[: len(fresh)]
        terms = [(way.x0, x0), (way.y, y), (way.noise, noise)]
        terms += [(way.z * share, z) for share, z in zip(seen, fresh, strict=True)]
        x0_m, noise_m = model(weighted(*terms), y, m)
        (middle,) = bend(w, w.h / way.h)
        of_z = [w.z, torch.zeros_like(w.z)][: len(fresh)]
        if memory is None and sde.forgets:
            far = way.h.isinf()
            # What the step from m has of its own: that of the whole without what m has seen of it.
            left = [z - w.z * seen[0] * share for z, share in zip(of_z, seen, strict=True)]
            of_z = [torch.where(far, *pair) for pair in zip(left, of_z, strict=True)]
            w = Weights(*(torch.where(far, *pair) for pair in zip(on, w, strict=True)))
            far = expand(far, x)
            x0, noise = torch.where(far, x0_m, x0), torch.where(far, noise_m, noise)
        terms = [(w.x0 * (1 - middle), x0), (w.x0 * middle, x0_m), (w.y, y), (w.noise, noise)]
        return weighted(*terms, *zip(of_z, fresh, strict=True)), History()

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        return super().step(model, x, y, t, s, memory, randn)

    def seen(self, whole: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """rho and sqrt(1 - rho^2) at m, by the areas of the whole step and its parts, (batch,)."""
        if not self.fresh:
            return torch.ones_like(whole), torch.zeros_like(whole)
        whole, before, after = (-torch.expm1(-2 * area) for area in (whole, before, after))
        whole = torch.where(whole > 0, whole, 1.0)
        rho2 = (1 - after) * before / whole
        return rho2.clamp(0, 1).sqrt(), (after / whole).clamp(0, 1).sqrt()

    def between(self, sde: SDE, t: Tensor, s: Tensor, w: Weights) -> Tensor:
        """m: the share q of the way in time for the share `ratio` of it in lambda, (batch,).

        q = r / (r + c (1 - r)), the simplest rising function from 0 to 1, with the one free c so
        that it holds at q = 1 / 2: lambda is steep near both ends of time.
        """
        # An infinite way in lambda has no shares, and neither has one of no length, by rounding.
        known = (w.h > 0) & w.h.isfinite()
        half = sde.log_snr(torch.lerp(t, s, 0.5)) - sde.log_snr(t)
        at_half = torch.where(known, half / w.h, 0.5).clamp(0.05, 0.95)
        c = at_half / (1 - at_half)
        r = self.ratio
        return torch.lerp(t, s, r / (r + c * (1 - r)))
