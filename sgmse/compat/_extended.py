"""ER-SDE-Solver of its three orders, as published: x0 polynomial in the noise level sigma / a."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import whole
from sgmse._device import constants
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, weighted
from sgmse.solvers import Extended, Model, Randn, Strength, Weights
from sgmse.solvers._exponential import Exponential, History, Memory
from sgmse.solvers._strength import area

#: Of Gauss and Legendre on [-1/2, 1/2]: for smooth noise exact to rounding.
NODES, WEIGHTS = (tuple((part / 2).tolist()) for part in np.polynomial.legendre.leggauss(24))


@dataclass(frozen=True)
class ERSDE(Exponential):
    """ER-SDE-Solver-1, -2 and -3 (Cui et al. 2023, arXiv:2309.06169, algorithms 1* to 3*).

    With v = sigma / a, and phi of the noise (phi_s / phi(v) = e^-k of a step from v to s),

        x_s = step of `Exponential` + a_s (c_1 x0' + c_2 x0'')
        c_1 = v_s - v_t + phi_s int 1 / phi dv
        c_2 = (v_s - v_t)^2 / 2 + phi_s int (v - v_t) / phi dv,      both from v_s to v_t
        x0' = (x0 - x0_1) / (v_t - v_1),      x0'' = 2 (x0' - x0_1') / (v_t - v_2)

    by the estimates at this time and the two before. As x0' is the slope of a chord also beside
    x0'', both 2 and 3 are of second order. The published sums have an error of first order, a
    hundredth of that of stage 1, which few steps do not show; points=None integrates exactly.
    `Multistep` with the same eta is polynomial in ln v, and its order 3 is one.

    Args:
        eta: the noise. `Extended()` is that of the published code, 0 the flow, 1 the reverse of the
            process.
        stages: 1, 2 or 3, the number of the solver.
        points: in the sums that stand for the integrals, at the lower end of each part; 100 in the
            published code. None integrates instead.
    """

    eta: float | Strength = field(default_factory=Extended)
    stages: int = 3
    points: int | None = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_whole()
        whole("ERSDE: stages", self.stages, least=1, most=3)
        if self.points is not None:
            whole("ERSDE: points", self.points, least=1)
        if self.unknown is not None:
            raise ArgumentError("ERSDE: unknown is of steps with one estimate: take Exponential")

    @property
    @override
    def order(self) -> int:  # type: ignore[override]
        """2 with exact integrals and more than one stage, else 1."""
        return 1 if self.stages == 1 or self.points is not None else 2

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        x0, noise = model(x, y, t)
        w = self.weights(model.sde, t, s)
        past = () if memory is None else memory.past
        bends = self.bends(model.sde, t, s, w, [distance for distance, _ in past])
        terms = [(w.x0 - sum(bends), x0), (w.y, y), (w.noise, noise)]
        terms += [(b, x0_j) for b, (_, x0_j) in zip(bends, past, strict=True)]
        if self.refreshes(model.sde, memory):
            terms.append((w.z, randn(x)))
        kept = ((w.h, x0), *((distance + w.h, x0_j) for distance, x0_j in past))
        return weighted(*terms), History(kept[: self.stages - 1])

    def bends(
        self, sde: SDE, t: Tensor, s: Tensor, w: Weights, distances: list[Tensor]
    ) -> list[Tensor]:
        """The weights (batch,) of the estimates before, in place of as much of that at t."""
        if not distances:
            return []
        v = torch.exp(-sde.log_snr(t))
        c_1, c_2 = self.coefficients(sde, t, s)
        first, *second = (v * torch.exp(distance) for distance in distances)  # v_1 and v_2
        bends = [-w.x0 * c_1 / (v - first)]
        if second:
            (last,) = second
            share = 2 * w.x0 * c_2 / (v - last)  # of x0' - x0_1'
            bends[0] = bends[0] + share * (-1 / (v - first) - 1 / (first - last))
            bends.append(share / (first - last))
        # Nothing is known of the slope from an infinite v, and none is wanted to v = 0.
        known = [s > 0] * len(bends)
        for number, far in enumerate((first, *second)):
            known[number:] = [one & far.isfinite() for one in known[number:]]
        return [torch.where(one, b, 0.0) for one, b in zip(known, bends, strict=True)]

    def coefficients(self, sde: SDE, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """c_1 and c_2 of a step from t to s > 0, (batch,)."""
        log_t, log_s = (-sde.log_snr(time)[..., None] for time in (t, s))
        v_t, v_s = log_t.exp(), log_s.exp()
        length = v_t - v_s
        if self.points is None:  # in ln v, where phi_s / phi is smooth over long steps, too
            log_v = log_s + (constants(NODES, t) + 0.5) * (log_t - log_s)
            v = log_v.exp()
            dv = constants(WEIGHTS, t) * (log_t - log_s) * v
        else:
            parts = torch.arange(self.points, dtype=t.dtype, device=t.device) / self.points
            v = v_s + parts * length
            log_v, dv = v.log(), length / self.points
        strength = area(self.eta, sde, -log_v, (-log_s).expand_as(v))
        kept = v_s / v * torch.exp(-strength)  # phi_s / phi(v)
        c_1 = (dv * kept).sum(dim=-1) - length[..., 0]
        c_2 = length[..., 0] ** 2 / 2 + (dv * (v - v_t) * kept).sum(dim=-1)
        return c_1, c_2
