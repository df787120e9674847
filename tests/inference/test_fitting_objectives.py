"""AYS and GITS: their costs are what is said of them, the grids cost least, and help."""

from itertools import combinations, pairwise
from math import inf

import numpy as np
import pytest
import torch
from conftest import first_often, in_turn
from problems import Correlated, Formula, Gaussian, bimodal, covariance, noise

from sgmse.errors import ArgumentError, FitWarning
from sgmse.inference import AYS, GITS, fit
from sgmse.inference._objectives import Trial, candidates, cheapest
from sgmse.sdes import OUVE, SBVE, VE, VP, FlowMatching
from sgmse.solvers import Exponential, LogSNR, Multistep, solve


class Sequence:
    """Other noise at each call, the same in each run."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, like):
        self.seed += 1
        return noise(*like.shape, seed=self.seed, dtype=like.dtype)


def trial(problem, y, steps=4, **others) -> Trial:
    settings = {"start": 1.0, "end": 0.03, "finish": True, "reference": 64} | others
    return Trial(
        problem, y, None, Exponential(), steps, randn=Sequence(), tell=lambda: None, **settings
    )


@pytest.mark.parametrize("growth", [1.0, 1.15])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_cheapest_path_is_that_of_brute_force(steps, growth):
    cost = np.random.default_rng(steps).random((9, 9))

    def total(path):
        return sum(growth**k * cost[i, j] for k, (i, j) in enumerate(pairwise(path)))

    paths = [(0, *inner, 8) for inner in combinations(range(1, 8), steps - 1)]
    assert tuple(cheapest(cost, steps, growth)) == min(paths, key=total)


@pytest.mark.parametrize("sde", [OUVE(), SBVE()], ids=repr)
def test_gits_weighs_steps_from_the_path(sde):
    """Steps of one candidate cost nothing; a long one leads where a run with that step does."""
    problem, y = bimodal(sde), noise(3, 8, seed=1)
    by, own = GITS(candidates=8), trial(problem, y)
    times = candidates(by, own, 4, finish=True)
    cost = by.cost(own, times)
    assert np.isposinf(cost[np.tril_indices(9)]).all()
    assert np.diagonal(cost, 1).max() < 1e-12
    ends = [solve(problem, y, Exponential(), LogSNR(n, end=0.03), randn=own.same).x for n in (8, 1)]
    apart = (ends[1] - ends[0]).norm(dim=1).mean()
    assert cost[0, -1] == pytest.approx(float(apart), rel=1e-12)
    # And the grid that comes of it is the best of all that there are.
    grid = fit(problem, y, Exponential(), 4, by=by, randn=Sequence(), reference=64, held_out=1).grid
    assert set(grid.points) <= set(times.tolist())


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("sde", [OUVE(), VE(), VP()], ids=repr)
def test_the_bound_of_a_gaussian_is_its_closed_form(sde, dtype):
    """E|x0_u - x0_t|^2 is the difference of their errors v sigma^2 / (a^2 v + sigma^2)."""
    variance, size = 0.3, 20_000
    problem = Gaussian(sde, 0.2, variance)
    y = torch.full((1, size), 0.5, dtype=dtype)
    own = trial(problem, y)
    own.target = problem.draw(y, y, seed=77)  # clean recordings that follow the law exactly
    by = AYS(candidates=12)
    times = candidates(by, own, 3, finish=False)
    cost = by.cost(own, times) / size
    snr = (2 * sde.log_snr(times)).exp().numpy()
    error = variance / (1 + snr * variance)
    apart = error[:, None] - error[None]
    exact = np.zeros((13, 13))
    for i in range(13):
        for j in range(i + 1, 13):
            exact[i, j] = np.trapezoid(apart[i, i : j + 1], snr[i : j + 1]) / 2
    ahead = np.triu_indices(13, 1)
    assert cost[ahead] == pytest.approx(exact[ahead], rel=0.06, abs=2e-3 * exact.max())


@pytest.mark.parametrize(
    ("sde", "by", "solver"),
    first_often(
        2,
        [
            (VP(), AYS(32), Multistep()),
            (VP(), GITS(candidates=32), Multistep()),
            (VP(), GITS(candidates=32), Exponential()),
            (SBVE(), AYS(32), Exponential()),
            (SBVE(), GITS(candidates=32), Multistep()),
            (OUVE(), GITS(candidates=32), Multistep()),
            (FlowMatching(), GITS(candidates=32), Exponential()),
        ],
    ),
    ids=repr,
)
def test_better_than_the_usual_grids_on_recordings_held_out(sde, by, solver):
    """By more than the noise of eight other groups of recordings."""
    problem = bimodal(sde)
    found = fit(problem, noise(12, 16, seed=1), solver, 6, by=by, randn=Sequence(), reference=64)
    best = min(found.standard, key=found.standard.get)
    assert found.error < 0.95 * found.standard[best]
    y = noise(32, 16, seed=9)
    many, few, usual = (
        solve(problem, y, solver, grid, randn=Sequence(99)).x
        for grid in (LogSNR(100, end=0.03), found.grid, best)
    )
    off, before = ((x - many).square().abs().reshape(8, -1).sum(dim=1).sqrt() for x in (few, usual))
    gains = (off / before).numpy()
    assert gains.mean() + 3 * gains.std() / 8**0.5 < 1


def test_the_bound_of_the_sde_does_not_serve_every_ode():
    """On OUVE its grid is worse than the usual ones, which the recordings held out tell."""
    with pytest.warns(FitWarning, match="held out.*: take that, or fit to others"):
        found = fit(
            bimodal(OUVE()), noise(9, 8, seed=1), Multistep(), 6, by=AYS(32), randn=Sequence()
        )
    assert found.error > min(found.standard.values())


@pytest.mark.slow
@pytest.mark.parametrize("by", [AYS(16), GITS(candidates=16)], ids=["AYS", "GITS"])
@pytest.mark.parametrize(
    ("finish", "ends", "steps"),
    in_turn([True, False], [(0.9, 0.01), (1.0, 0.03)], [1, 2, 5]),
)
@pytest.mark.filterwarnings("ignore::sgmse.errors.FitWarning")
def test_the_grid_is_what_was_asked_for(by, finish, ends, steps):
    start, end = ends
    for sde in (SBVE(), FlowMatching()):
        seen = []
        found = fit(
            bimodal(sde),
            noise(3, 8, seed=1),
            Exponential(),
            steps,
            by=by,
            start=start,
            end=end,
            finish=finish,
            reference=16,
            randn=Sequence(),
            callback=lambda *done, seen=seen: seen.append(done),
        )
        t = found.grid.times(sde)
        assert len(t) == steps + 1
        assert (t.diff() < 0).all()
        assert t[0] == start
        assert t[-1] == (0 if finish else end)
        assert seen == [(i + 1, 13) for i in range(13)]


def test_evaluations_are_counted_and_tensors_kept():
    problem, calls = Correlated(VP(), covariance(6), 0.2), []

    def counting(x, y, t):
        calls.append(t)
        return problem(x, y, t)

    x = noise(6, 6)
    copy = x.clone()
    for by, passes in ((AYS(20), 21), (GITS(candidates=20), 20)):
        calls.clear()
        found = fit(Formula(VP(), counting), None, Exponential(), 4, by=by, x=x, reference=32)
        assert found.nfe == len(calls) == 2 * 32 + 2 * 5 * 4 + passes
    assert torch.equal(x, copy)


def test_refused():
    with pytest.raises(ArgumentError, match="follows a path without noise"):
        GITS(Exponential(eta=1.0))
    with pytest.raises(ArgumentError, match="growth must"):
        GITS(growth=-inf)
    with pytest.raises(ArgumentError, match="5 steps cannot be chosen from 3 candidates"):
        fit(bimodal(VP()), noise(2, 4), Exponential(), 5, by=GITS(candidates=3), reference=16)
