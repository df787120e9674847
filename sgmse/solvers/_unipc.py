"""UniPC: a multistep predictor, corrected in every step at no evaluation more."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from sgmse.solvers._exponential import Weights, bend
from sgmse.solvers._multistep import Multistep, correction


@dataclass(frozen=True)
class UniPC(Multistep):
    """The unified predictor-corrector for data prediction (Zhao et al. 2023, arXiv:2302.04867).

    The paper calls UniPC-p what has a predictor of order p and thereby order p + 1: UniPC(order=2)
    is its UniPC-1, DDIM corrected by the line through both ends of the step, UniPC(order=3) is its
    UniPC-2, the line through two estimates corrected by the parabola through three. The integrals
    of these polynomials are exact, so that its function B(h) cancels: in bh1 and bh2 it remains
    only where the paper replaces the solution of an equation by 1 / 2.

    The first step is predicted by the constant estimate and corrected to order 2, which for both
    orders is enough. The last state of a run is predicted, not corrected, as nothing is evaluated
    there; after a step to t = 0 it is x0. On an infinite lambda nothing is corrected.

    Order 2 follows no estimate beyond where it was made: the safer choice for few, long steps.

    Args:
        eta: share of fresh noise, 0 (ODE) to 1 (SDE); the paper has the ODE.
        start: the same for a first step from a pinned end point.
        order: 2 or 3, of the paths for eta = 0; with fresh noise as for `Multistep`.
    """

    @override
    def predictor(self, w: Weights, p: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return bend(w, *p[: self.order - 2])

    @override
    def corrector(
        self, w: Weights, p: Sequence[Tensor], predicted: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        return correction(w, p[: self.order - 2], predicted)
