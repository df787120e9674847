"""Exponential solvers of order 2 and 3 at one evaluation a step: the estimates before are used.

An estimate x0 polynomial in lambda through this and the last estimates predicts x_s, by the exact
integrals of `exponential`. The next step evaluates the model there, and with that estimate the same
step could be taken again, one order better: the corrector. Its result is never needed by itself,

    x_s' - x_s = a_s sum_j c_j (x0_j - x0_s),

and as the step from s on keeps the share e^-k of it, that step adds e^-k c_j to its own weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import choice
from sgmse.errors import ArgumentError
from sgmse.sdes import weighted
from sgmse.solvers._base import Model, Randn
from sgmse.solvers._exponential import Exponential, History, Memory, Weights, bend

#: Up to this many times the length of the step before, a parabola is followed further.
LONGEST = 1.5


@dataclass(frozen=True)
class Multistep(Exponential):
    """x0 polynomial in lambda through the last two or three estimates.

    DBIM of order 2 and 3 on bridges (Zheng et al. 2024, arXiv:2405.15885); on diffusions it agrees
    to that order with DPM-Solver++(2M), (3M) and their SDE variants (Lu et al. 2022,
    arXiv:2211.01095), with the exact integrals in place of their approximations.

    The first step has one estimate and the second has two. A first step of order 1 costs an error
    of h^2 once, which order 2 can bear; for order 3 the second step corrects it to an error of h^3,
    without an evaluation more. The parabola is followed no further than 1.5 times the step before,
    beyond it the line, as on grids uniform in t, whose last steps are long in lambda.

    From an infinite lambda (a pinned end point, or a = 0) the first two steps are of first order,
    and a step to sigma = 0 returns x0. The orders are those from any other start. From a pinned
    point the flow keeps a part of the error of its first step: on `LogSNR` the order is 1 + eta^2,
    at most 2, and on `AsinhSNR` it is 2, for the flow up to a logarithm (docs/theory.md, section
    4). docs/solvers.md has the measured ones.

    Args:
        eta: share of fresh noise, 0 (ODE) to 1 (SDE).
        start: the same for a first step from a pinned end point.
        order: 2 or 3, of the paths for eta = 0. With fresh noise mean and variance are of second
            order for both (`weak_order`), as no estimate has seen the noise of its own step; the
            error of order 3 is several times smaller.
        coefficients: the integral m_1 of a line, where an estimate is one through two points. The
            "exact" one, or half of a function B of k as in the papers: "bh1" has B = k, "bh2"
            B = 1 - e^-k. Multistep(coefficients="bh2") is DPM-Solver++(2M), and with eta = 1
            SDE-DPM-Solver++(2M), to the letter (Lu et al. 2022, arXiv:2211.01095, algorithm 2*).
            Parabolas are exact with all.
    """

    order: int = 2
    coefficients: Literal["exact", "bh1", "bh2"] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_whole()
        if self.order not in (2, 3):
            raise ArgumentError(f"{type(self).__name__}: order must be 2 or 3, not {self.order}")
        choice(f"{type(self).__name__}: coefficients", self.coefficients, ("exact", "bh1", "bh2"))

    @property
    @override
    def weak_order(self) -> int:
        return 2

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, History]:
        x0, noise = model(x, y, t)
        w = self.weights(model.sde, t, s)
        past, correction = memory or History()
        p = [-w.h / distance for distance, _ in past]
        predicted = self.predictor(w, p)
        kept = torch.exp(-w.k)
        bends = [
            sum(pair)
            for pair in zip_longest(predicted, [kept * c for c in correction], fillvalue=0.0)
        ]
        terms = [(w.x0 * (1 - sum(bends)), x0), (w.y, y), (w.noise, noise)]
        terms += [(w.x0 * b, x0_j) for b, (_, x0_j) in zip(bends, past, strict=False)]
        if self.refreshes(model.sde, memory):
            terms.append((w.z, randn(x)))
        past = ((w.h, x0), *((distance + w.h, x0_j) for distance, x0_j in past))
        return weighted(*terms), History(past[: self.order - 1], self.corrector(w, p, predicted))

    def predictor(self, w: Weights, p: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The w_j of a step, given the p_j of the estimates before."""
        if len(p) < 2:
            return self.bend(w, *p)
        return self.bend(w, p[0], torch.where(-p[0] <= LONGEST, p[1], 0.0))

    def corrector(
        self, w: Weights, p: Sequence[Tensor], predicted: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """The c_j that the next step needs; none where it need not correct this one."""
        return self.correction(w, p, predicted) if self.order == 3 and not p else ()

    def correction(
        self, w: Weights, p: Sequence[Tensor], predicted: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """The c_j of x0_t and those at p_j, at most one, of a step that had `predicted` as w_j.

        The polynomial goes through the same estimates and that at s, where p = 1.
        """
        at_s, *others = self.bend(w, torch.ones_like(w.k), *p)
        change = [c - b for c, b in zip(others, predicted, strict=True)]
        return (-(at_s + sum(change)), *change)

    def bend(self, w: Weights, *p: Tensor) -> tuple[Tensor, ...]:
        """The w_j of a step for the polynomial through the estimate at t and those at p_j."""
        if len(p) != 1 or self.coefficients == "exact":
            return bend(w, *p)
        half = (w.k if self.coefficients == "bh1" else -torch.expm1(-w.k)) / 2
        known = w.h.isfinite() & w.k.isfinite()
        return (torch.where(known, p[0] * torch.where(known, half, 0.0), 0.0),)
