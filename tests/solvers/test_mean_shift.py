"""The start that is moved to the estimated mean: what it removes, costs and leaves."""

import pytest
import torch
from problems import Draws, Gaussian, Recorded, bimodal, noise, times

from sgmse.sdes import BBED, FOUVE, OUVE, SBVE, SDE, VE, VP, CosineVP
from sgmse.solvers import (
    Exponential,
    Heun,
    LogSNR,
    MeanShifted,
    Multistep,
    PredictorCorrector,
    Solver,
    Uniform,
    solve,
)

WITHIN = [Multistep(), Multistep(eta=1.0), Heun(), PredictorCorrector(), Exponential(eta=0.5)]
MEAN, VARIANCE = 0.2 + 0.1j, 0.25**2 + 0.08**2
Y = 0.4 + 0.2j


@pytest.mark.parametrize("within", WITHIN, ids=repr)
def test_the_solver_goes_on_from_the_moved_state(within):
    """One evaluation, at the mean of the prior; then nothing but the solver itself."""
    sde, x, y = OUVE(), noise(2, 3), noise(2, 3, seed=1)
    problem = Gaussian(sde, MEAN, VARIANCE)
    for steps in (1, 4):
        model, grid = Recorded(problem), Uniform(steps)
        ours = solve(model, y, MeanShifted(within), grid, x=x, randn=Draws())
        a, b, _ = sde.scales(times(1.0, 1.0))
        centre = (a + b)[:, None] * y
        moved = x + a[:, None] * (problem(centre, y, times(1.0, 1.0)).x0 - y)
        theirs = solve(problem, y, within, grid, x=moved, randn=Draws())
        assert torch.equal(ours.x, theirs.x)
        assert ours.nfe == theirs.nfe + 1
        assert torch.equal(model.states[0], centre)
        assert (model.times[0] == 1).all()


def prior_mean_after(sde: SDE, solver: Solver, problem: Gaussian, y) -> torch.Tensor:
    """Where a linear solver takes the mean of the prior: to the mean of the samples."""
    t = times(1.0)
    return solve(problem, y, solver, LogSNR(60), x=sde.prior(y, torch.zeros_like(y), float(t))).x


@pytest.mark.parametrize("sde", [OUVE(), OUVE(theta=2.0), FOUVE(), VE()], ids=repr)
def test_what_it_leaves_on_a_gaussian(sde):
    """The share a^2 v / (a^2 v + sigma^2) of the error of the start, and so of the samples."""
    problem, y = Gaussian(sde, MEAN, VARIANCE), torch.full((1, 1), Y, dtype=torch.complex128)
    without, with_it = (
        complex(prior_mean_after(sde, solver, problem, y) - MEAN)
        for solver in (Multistep(), MeanShifted())
    )
    a, _, sigma = sde.scales(times(1.0))
    left = a**2 * VARIANCE / (a**2 * VARIANCE + sigma**2)
    assert with_it / without == pytest.approx(float(left), rel=1e-9)
    assert abs(without) > 0.05 * VARIANCE**0.5
    assert abs(with_it) < 0.02 * VARIANCE**0.5


@pytest.mark.parametrize(
    ("solver", "least", "most"),
    [
        # Off by parts of the standard deviation of the posterior; the standard error is 0.004.
        (Multistep(), 0.13, 0.16),
        (MeanShifted(), 0.0, 0.02),
        (Multistep(eta=1.0), 0.02, 0.05),
        (MeanShifted(Multistep(eta=1.0)), 0.0, 0.015),
    ],
    ids=repr,
)
def test_the_bias_on_a_bimodal_posterior(solver, least, most):
    problem, samples = bimodal(OUVE()), 60000
    y = torch.full((1, samples), Y, dtype=torch.complex128)
    z = noise(1, samples // 2, seed=3)
    # Every draw of the start with its negative, so that their own mean is exactly 0.
    x = OUVE().prior(y, torch.cat([z, -z], dim=1))
    end, _, _ = solve(problem, y, solver, LogSNR(16), x=x, randn=Draws())
    off = float((end.real.mean() - MEAN.real).abs()) / VARIANCE**0.5
    assert least <= off <= most


def test_without_an_observation():
    """0 stands for y: the start is moved by a times the estimated mean of the data."""
    sde = VE()
    problem, x = Gaussian(sde, MEAN, VARIANCE), sde.prior(None, noise(1, 4))
    ours = solve(problem, None, MeanShifted(), Uniform(4), x=x).x
    moved = x + problem(torch.zeros_like(x), None, times(1.0)).x0
    assert torch.equal(ours, solve(problem, None, Multistep(), Uniform(4), x=moved).x)
    assert (moved - x - MEAN).abs().max() < 0.1 * abs(MEAN)


def test_it_is_what_the_solver_within_is():
    for within in WITHIN:
        solver = MeanShifted(within)
        assert solver.order == within.order
        assert solver.evaluations == within.evaluations
        assert solver.fewest_steps == within.fewest_steps
        for sde in (OUVE(), SBVE(), VP()):
            assert solver.draws(sde) == within.draws(sde)
            assert solver.refusal(sde, 0.9) == within.refusal(sde, 0.9)


@pytest.mark.parametrize("sde", [SBVE(), BBED(), CosineVP()], ids=repr)
def test_refused_where_nothing_is_left_of_the_data(sde):
    says = r"MeanShifted has nothing to move at t = 1 of .*; use Multistep\(.*\) by itself"
    with pytest.raises(ValueError, match=says):
        solve(Gaussian(sde), noise(1, 2), MeanShifted(), Uniform(5))
    assert MeanShifted().refusal(sde, 0.9) is None
