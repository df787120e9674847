"""UniPC: a multistep predictor, corrected in every step at no evaluation more."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from sgmse.solvers._exponential import Weights
from sgmse.solvers._multistep import Multistep


@dataclass(frozen=True)
class UniPC(Multistep):
    """The unified predictor-corrector for data prediction (Zhao et al. 2023, arXiv:2302.04867).

    The paper calls UniPC-p what has a predictor of order p and thereby order p + 1: UniPC(order=2)
    is its UniPC-1, DDIM corrected by the line through both ends of the step, UniPC(order=3) is its
    UniPC-2, the line through two estimates corrected by the parabola through three. Where the
    integrals of these polynomials are exact its function B(h) cancels. It remains where the paper
    replaces the solution of an equation by 1 / 2, which `coefficients` = "bh1" or "bh2" do, too:
    in the corrector of UniPC-1 and the predictor of UniPC-2.

    The first step is predicted by the constant estimate and corrected to order 2, which for both
    orders is enough. The last state of a run is predicted, not corrected, as nothing is evaluated
    there; after a step to t = 0 it is x0. On an infinite lambda nothing is corrected.

    Order 2 follows no estimate beyond where it was made: the safer choice for few, long steps.

    Args:
        eta: strength of the noise of the SDE, or a `Strength`; the paper has the ODE. With it, this
            is SA-Solver with as many steps in its predictor as in its corrector, `order` - 1.
        start: the share of the noise that is drawn in a first step from a pinned end point.
        order: 2 or 3, of the paths for eta = 0; with fresh noise as for `Multistep`.
        coefficients: "exact", or those of the paper's B(h) = -h, "bh1", or e^-h - 1, "bh2".
    """

    @override
    def predictor(self, w: Weights, p: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return self.bend(w, *p[: self.order - 2])

    @override
    def corrector(
        self, w: Weights, p: Sequence[Tensor], predicted: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        return self.correction(w, p[: self.order - 2], predicted)
