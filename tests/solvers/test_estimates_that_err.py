"""Orders for estimates that err: every strength of noise, from the interior and from t = 1.

What every solver claims is in test_every_solver.py; here are the strengths between 0 and 1 of the
exponential ones, what DDIM's eta makes of them, and what a start at an infinite lambda leaves.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import log

import pytest
import torch
from erring import LINEAR, OTHER, Affine
from problems import Gaussian, noise, slope, times
from proofs import VARIANCES, faultless, law_errors, response

from sgmse.compat import DDIM
from sgmse.sdes import BBED, OUVE, SBVE, VP, FlowMatching, StraightFlow
from sgmse.solvers import (
    AsinhSNR,
    Between,
    BrownianTree,
    Exponential,
    Extended,
    LogSNR,
    Multistep,
    Path,
    Singlestep,
    UniPC,
    solve,
)

INSIDE = LogSNR(2, 0.9, 0.1, finish=False)
FAMILIES = (OUVE(), SBVE(), VP(), StraightFlow())
SECOND = (Multistep, UniPC, Singlestep)
ETAS = [0.0, 0.4, 0.7, 1.0, Extended()]


@pytest.mark.parametrize("eta", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("kind", SECOND)
def test_second_order_for_every_strength(kind, eta):
    """Mean and variance of 0.8 times the exact estimate and a constant."""
    assert kind(eta).weak_order == 2
    found = law_errors(Affine, OUVE(), kind(eta), INSIDE, (24, 48))
    assert slope([24, 48], found) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("eta", [*ETAS, Between(1.0, 0.2, 0.8)], ids=repr)
@pytest.mark.parametrize("kind", [Exponential, *SECOND])
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
@pytest.mark.parametrize("error", LINEAR)
@pytest.mark.slow
def test_order_for_every_strength(error, sde, kind, eta):
    # Where eta jumps in a step, that costs h^2 times what depends on where in it, up to twofold.
    steps, close = ([32, 256], 0.35) if isinstance(eta, Between) else ([64, 128], 0.1)
    found = law_errors(LINEAR[error], sde, kind(eta), INSIDE, steps)
    assert slope(steps, found) == pytest.approx(kind(eta).weak_order, abs=close)


@dataclass(frozen=True)
class Before(DDIM, Multistep):
    """A line through two estimates, with the noise of DDIM's eta."""


def test_with_the_eta_of_ddim_no_method_is_of_second_order():
    """Its steps are of no SDE; an exact estimate does not tell."""
    steps = [24, 48]
    assert slope(steps, law_errors(faultless, SBVE(), Before(0.7), INSIDE, steps)) > 1.8
    found = law_errors(Affine, SBVE(), Before(0.7), INSIDE, steps)
    assert slope(steps, found) == pytest.approx(1, abs=0.2)
    ours = law_errors(Affine, SBVE(), Multistep(0.7), INSIDE, steps)
    assert ours[1] < found[1] / 3


def test_moments_are_those_of_many_small_steps():
    """The equations of tests/erring.py, against the first-order step itself."""
    sde, eta = SBVE(), 0.7
    model = LINEAR["early"](Gaussian(sde, 0.5 - 0.3j, VARIANCES))
    y = torch.full((1, 16), 0.4 + 0.2j, dtype=torch.complex128)
    ends = [
        response(model.problem, Exponential(eta), LogSNR(n, 0.9, 0.3, finish=False), model)
        for n in (20, 40)
    ]
    start = (part.expand_as(y) for part in model.problem.moments(y, times(0.9)))
    exact = model.moments(y, *start, times(0.9), times(0.3), eta)
    for coarse, fine, truth in zip(*ends, exact, strict=True):
        # Twice the finer less the coarser one is of second order.
        torch.testing.assert_close(2 * fine - coarse, truth[0], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("eta", ETAS, ids=repr)
@pytest.mark.parametrize("kind", [Exponential, *SECOND])
@pytest.mark.parametrize("sde", [SBVE(), BBED(), FlowMatching(), StraightFlow()], ids=repr)
@pytest.mark.slow
def test_from_an_infinite_lambda_on_a_grid_that_begins_there(sde, kind, eta):
    """On AsinhSNR the order is the declared one, for little noise up to a logarithm."""
    steps, order = [64, 128], kind(eta).weak_order
    for error in (faultless, Affine):
        found = law_errors(error, sde, kind(eta), AsinhSNR(2, 1.0, 0.1, finish=False), steps)
        if order == 1:
            assert slope(steps, found) == pytest.approx(1, abs=0.1)
            continue
        # e = c h^2 ln n for the flow, of which the second factor goes with eta.
        plain = slope(steps, found)
        logarithm = plain + log(log(128) / log(64)) / log(2)
        assert plain > 2 - 0.1 or logarithm == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize(("eta", "order"), [(0.0, 1.0), (0.4, 1.16), (0.7, 1.49), (1.0, 2.0)])
@pytest.mark.parametrize("kind", SECOND)
@pytest.mark.slow
def test_a_bridge_left_by_a_step_in_t(kind, eta, order):
    """On LogSNR the first step from the end of a bridge leaves an error of n^-(1 + eta^2)."""
    grid = LogSNR(2, 1.0, 0.1, finish=False)
    found = slope([64, 128], law_errors(faultless, SBVE(), kind(eta), grid, [64, 128]))
    assert found == pytest.approx(order, abs=0.17)


class Pairs(Path):
    """A path of noise for half of the items of a state, and its negative for the others."""

    def __init__(self) -> None:
        self.tree = BrownianTree([0])

    def __call__(self, like):
        half = self.tree(like[:, ::2])
        return torch.cat([half, -half], dim=1)

    def between(self, t, s):
        draw = self.tree.between(t, s)

        def randn(like):
            half = draw(like[:, ::2])
            return torch.cat([half, -half], dim=1)

        return randn


@pytest.mark.parametrize("error", OTHER)
@pytest.mark.parametrize(
    "solver", [Multistep(0.4), Multistep(1.0), Singlestep(1.0), UniPC(0.4)], ids=repr
)
@pytest.mark.slow
def test_second_order_of_the_moments_for_nonlinear_estimates(solver, error):
    """Runs of ever finer steps on the same 2^18 paths: their means and second moments."""
    model = OTHER[error](Gaussian(OUVE(), 0.5, 0.3))
    y = torch.full((1, 2**18), 0.4, dtype=torch.float64)
    mean, variance = model.problem.moments(y, times(0.9))
    x = mean + variance.sqrt() * noise(*y.shape, dtype=torch.float64)
    laws = []
    for n in (10, 20, 40):
        grid = LogSNR(n, 0.9, 0.1, finish=False)
        end = solve(model, y, solver, grid, x=x, randn=Pairs()).x
        laws.append(torch.stack([end.mean(), end.square().mean()]))
    gaps = [float((a - b).abs().max()) for a, b in pairwise(laws)]
    # The gaps have standard errors of up to a tenth.
    assert slope([10, 20], gaps) == pytest.approx(2, abs=0.4)
