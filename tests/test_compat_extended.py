"""ER-SDE-Solver: a textbook implementation, and the orders that its stages have."""

from dataclasses import replace
from itertools import pairwise
from math import log

import pytest
import torch
from conftest import FAMILIES, first_often
from erring import LINEAR, OTHER
from problems import Draws, Gaussian, noise, slope, times
from proofs import faultless, finer_errors, law_errors

from sgmse.checkpoints import CLASSES
from sgmse.compat import ERSDE
from sgmse.config import from_plain, to_plain
from sgmse.errors import ArgumentError
from sgmse.sdes import OUVE, SBVE, VP, LinearVE, StraightFlow
from sgmse.solvers import (
    AsinhSNR,
    Between,
    Exponential,
    Extended,
    Karras,
    LogSNR,
    PosteriorVariance,
    Solver,
    Uniform,
    solve,
)

INSIDE = LogSNR(2, 0.9, 0.1, finish=False)


def textbook(problem, x, y, grid, phi, stages, points, randn):
    """Algorithms 1 to 3 of the paper for a diffusion, in its own letters, with lambda = v.

    The integrals are sums over the lower ends of `points` parts.
    """
    sde, known = problem.sde, []
    for t, s in pairwise(grid.times(sde)):
        (alpha_t, _, sigma_t), (alpha, _, sigma) = sde.scales(t), sde.scales(s)
        now = problem(x, y, t.expand(len(x))).x0
        if s == 0:
            return now
        at, to = sigma_t / alpha_t, sigma / alpha
        known = [(at, now), *known][:3]
        ratio = phi(to) / phi(at)
        x = alpha / alpha_t * ratio * x + alpha * (1 - ratio) * now
        values = to + torch.arange(points) * (at - to) / points
        part = (at - to) / points
        if stages > 1 and len(known) > 1:
            first = (known[0][1] - known[1][1]) / (known[0][0] - known[1][0])
            total = (part / phi(values)).sum()
            x = x + alpha * (to - at + total * phi(to)) * first
        if stages > 2 and len(known) > 2:
            before = (known[1][1] - known[2][1]) / (known[1][0] - known[2][0])
            second = (first - before) / ((known[0][0] - known[2][0]) / 2)
            total = (part * (values - at) / phi(values)).sum()
            x = x + alpha * ((to - at) ** 2 / 2 + total * phi(to)) * second
        variance = to**2 - (ratio * at) ** 2
        # Of the flow it is a rounding, whose root is none.
        x = x + alpha * torch.where(variance > 1e-12, variance, 0.0).sqrt() * randn(x)
    return x


NOISES = [
    (Extended(), lambda v: v * ((v**0.3).exp() + 10)),
    (0.0, lambda v: v),
    (1.0, lambda v: v**2),
    (0.7, lambda v: v**1.49),
]


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize(("eta", "phi"), NOISES, ids=lambda one: repr(one)[:12])
def test_the_textbook(eta, phi, stages):
    y = torch.zeros(1, 5, dtype=torch.complex128)
    for sde, grid in (
        (VP(), LogSNR(8)),
        (VP(), Uniform(8, 0.9, 0.1, finish=False)),
        (LinearVE(20.0), Karras(9)),
        (OUVE(), Uniform(7)),
    ):
        problem, x = Gaussian(sde, 0.5 - 0.3j, 0.3), sde.prior(y, noise(1, 5), grid.start)
        ours = solve(problem, y, ERSDE(eta, stages=stages), grid, x=x, randn=Draws()).x
        theirs = textbook(problem, x, y, grid, phi, stages, 100, Draws())
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stages", [2, 3])
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_the_integrals_are_the_limit_of_the_sums(sde, stages):
    problem, y = Gaussian(sde, 0.5 - 0.3j, 0.3), noise(1, 5, seed=1)
    ends = []
    for points in (2000, 4000, None):
        solver = ERSDE(stages=stages, points=points)
        x = sde.sample(noise(1, 5), y, times(0.9), noise(1, 5, seed=2))
        ends.append(solve(problem, y, solver, replace(INSIDE, steps=5), x=x, randn=Draws()).x)
    coarse, fine = ((end - ends[-1]).abs().max() for end in ends[:2])
    assert fine < 1e-4
    assert coarse / fine == pytest.approx(2, rel=0.01)


CASES = [
    (eta, stages, kind, sde)
    for sde in FAMILIES
    for kind in LINEAR
    for eta in (0.7, 0.0, 0.4, 1.0, Extended())
    for stages in (3, 2)
]


@pytest.mark.parametrize(("eta", "stages", "kind", "sde"), first_often(2, CASES), ids=repr)
def test_orders_of_the_law(eta, stages, kind, sde):
    solver = ERSDE(eta, stages=stages, points=None)
    assert solver.order == solver.weak_order == 2
    found = slope([64, 128], law_errors(LINEAR[kind], sde, solver, INSIDE, (64, 128)))
    assert found == pytest.approx(2, abs=0.1)


ENDS = [
    (eta, stages, sde)
    for eta in (1.0, 0.0, 0.4, 0.7)
    for stages in (2, 3)
    for sde in (SBVE(), StraightFlow())
]


@pytest.mark.slow
@pytest.mark.parametrize(("eta", "stages", "sde"), first_often(1, ENDS), ids=repr)
def test_from_an_infinite_v(sde, eta, stages):
    """Second order on a grid that begins there, for little noise up to a logarithm."""
    solver = ERSDE(eta, stages=stages, points=None)
    for kind in (faultless, LINEAR["linear"]):
        plain = slope(
            [64, 128], law_errors(kind, sde, solver, AsinhSNR(2, 1.0, 0.1, finish=False), (64, 128))
        )
        logarithm = plain + log(log(128) / log(64)) / log(2)
        assert plain > 2 - 0.1 or logarithm == pytest.approx(2, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("stages", [2, 3])
@pytest.mark.parametrize("eta", [0.0, 0.4, 0.7, 1.0])
def test_a_bridge_left_by_a_step_in_t(eta, stages):
    """As for every method: what the first step leaves is n^-(1 + eta^2)."""
    solver, grid = ERSDE(eta, stages=stages, points=None), LogSNR(2, 1.0, 0.1, finish=False)
    found = slope([64, 128], law_errors(faultless, SBVE(), solver, grid, (64, 128)))
    assert found == pytest.approx(1 + eta**2, abs=0.17)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHER)
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_orders_of_the_path(sde, kind):
    for stages in (2, 3):
        solver = ERSDE(0.0, stages=stages, points=None)
        found = slope([128, 256], finer_errors(OTHER[kind], sde, solver, INSIDE, (128, 256)))
        assert found == pytest.approx(2, abs=0.1)


def test_the_published_sums_are_of_first_order():
    """Their error is that of stage 1 divided by about the points."""
    sde, kind, steps = VP(), LINEAR["linear"], [60, 120]
    found = law_errors(kind, sde, ERSDE(0.0, stages=2, points=5), INSIDE, steps)
    assert slope(steps, found) == pytest.approx(1, abs=0.15)
    one = law_errors(kind, sde, ERSDE(0.0, stages=1), INSIDE, steps[1:])
    assert found[-1] == pytest.approx(one[-1] / 5, rel=0.3)
    assert ERSDE().order == ERSDE(stages=1, points=None).order == 1


def test_one_stage_is_the_exponential():
    problem, y = Gaussian(SBVE(), 0.5, 0.3), noise(1, 5)
    for eta in (Extended(), Between(), 0.5):
        ends = [
            solve(problem, y, solver, Uniform(5), randn=Draws()).x
            for solver in (ERSDE(eta, stages=1), Exponential(eta))
        ]
        torch.testing.assert_close(*ends)


@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_from_the_end_to_zero(sde):
    """Pinned ends, a = 0 and t = 0, where v is infinite or 0: nearer than with one stage."""
    problem, y = Gaussian(sde, 0.5 - 0.3j, 0.3), noise(1, 5)
    many = solve(problem, y, ERSDE(0.0, points=None), AsinhSNR(400), randn=Draws()).x
    one, two, three = (
        (solve(problem, y, ERSDE(0.0, stages=n), AsinhSNR(16), randn=Draws()).x - many).abs().max()
        for n in (1, 2, 3)
    )
    assert max(two, three) < 0.5 * one


def test_in_files():
    for solver in (ERSDE(), ERSDE(Between(), 0.5, stages=2, points=None)):
        assert from_plain(Solver, to_plain(solver, CLASSES), CLASSES) == solver


def test_refused():
    with pytest.raises(ArgumentError, match="stages must lie between 1 and 3, not 4"):
        ERSDE(stages=4)
    with pytest.raises(ArgumentError, match="points must be at least 1, not 0"):
        ERSDE(points=0)
    with pytest.raises(ArgumentError, match="unknown is of steps with one estimate"):
        ERSDE(unknown=PosteriorVariance([0.5], [0.1]))
    with pytest.raises(ArgumentError, match="cannot use those of whole steps"):
        ERSDE(whole=True)
