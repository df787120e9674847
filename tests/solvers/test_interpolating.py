"""iSDE-2S-kappa: its integrals, its order, its marginals, and the published step."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import SDES, together
from problems import Formula, Gaussian, Recorded, noise, slope, times
from proofs import STEPS, VARIANCES, errors, response

from sgmse.estimates import Estimate
from sgmse.sdes import BBED, OUVE, SBVE, SDE, VP, StraightFlow
from sgmse.solvers import BrownianTree, InterpolatingSDE, LogSNR, Uniform, solve
from sgmse.solvers._interpolating import integrals

PROBLEM = {"mean": 0.5 - 0.3j, "variance": 0.3}
MANY = [torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(200)]


def by_quadrature(sde: SDE, t: float, s: float, power: int) -> float:
    """int_s^t (u - t)^power g^2 / (2 a) du, by many points."""
    nodes, weights = MANY
    u = (t + s) / 2 + (t - s) / 2 * nodes
    density = sde.coefficients(u).g ** 2 / (2 * sde.scales(u).a)
    return float((t - s) / 2 * (weights * density * (u - t) ** power).sum())


@pytest.mark.parametrize(("t", "s"), [(0.9, 0.1), (0.5, 0.3)])
def test_integrals(sde, t, s):
    for power, ours in enumerate(integrals(sde, times(t), times(s))):
        assert float(ours) == pytest.approx(by_quadrature(sde, t, s, power), rel=1e-9)


@pytest.mark.parametrize("sde", [SBVE(), BBED(), StraightFlow()], ids=repr)
def test_integrals_beside_a_pole(sde):
    """Beside a = 0 the integrand grows without bounds."""
    for t, tolerance in ((0.999, 2e-3), (0.99, 1e-6)):
        for power, ours in enumerate(integrals(sde, times(t), times(0.5))):
            exact = by_quadrature(sde, t, 0.5, power)
            assert float(ours) == pytest.approx(exact, rel=tolerance)


def linear(sde: SDE) -> Formula:
    """A model whose score is c + d t, whatever the state."""

    def estimate(x, y, t) -> Estimate:
        sigma = sde.scales(t).sigma[:, None]
        return Estimate(x, -sigma * ((1 - 2j) + (3 + 1j) * t[:, None]) * torch.ones_like(x))

    return Formula(sde, estimate)


@together(sde=SDES, kappa=[0.0, 0.3])
def test_exact_for_a_score_linear_in_time(sde, kappa):
    t, s = 0.8, 0.2
    x, y, z = (noise(1, 4, seed=i) for i in range(3))
    solver = InterpolatingSDE(kappa)
    ours, _ = solver.step(linear(sde), x, y, times(t), times(s), None, lambda like: z)
    (a_t, b_t, sigma_t), (a, b, sigma) = sde.scales(times(t)), sde.scales(times(s))
    whole, first = (by_quadrature(sde, t, s, power) for power in (0, 1))
    at_t = (1 - 2j) + (3 + 1j) * t
    drift = a * (1 + kappa**2) * (whole * at_t + first * (3 + 1j))
    fresh = kappa * a * ((sigma_t / a_t) ** 2 - (sigma / a) ** 2).sqrt() * z
    theirs = a / a_t * x + (b - a / a_t * b_t) * y + drift + fresh
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kappa", [0.0, 0.125, 1.0])
@pytest.mark.parametrize("sde", [OUVE(), SBVE()], ids=repr)
def test_second_order(sde, kappa):
    solver = InterpolatingSDE(kappa)
    assert solver.order == 2
    found = errors(sde, solver, STEPS[:2])
    # The slope nears 2 from either side; 0.35 is what is left of that at 64 steps.
    assert slope(STEPS[:2], found) == pytest.approx(2, abs=0.35)
    assert found[-1] < 0.003


def test_the_published_middle_is_of_first_order():
    """For kappa > 0; it is not on the path of the process, but on that of the flow."""
    found = errors(OUVE(), InterpolatingSDE(1.0, published=True), STEPS[:2])
    assert slope(STEPS[:2], found) == pytest.approx(1, abs=0.1)
    assert InterpolatingSDE(1.0, published=True).order == 1
    assert InterpolatingSDE(0.0, published=True).order == 2


def test_mean_of_the_path():
    """From anywhere, the samples' mean nears that of the process with second order."""
    sde, kappa = OUVE(), 0.5
    problem, x, y = Gaussian(sde, **PROBLEM), noise(1, 8), noise(1, 8, seed=1)
    ends = [
        # A solver that is linear in its noise has its mean where there is none.
        solve(problem, y, InterpolatingSDE(kappa), Uniform(n, 0.9, 0.1, False), x=x, randn=zero).x
        for n in (16, 32, 64)
    ]
    ratio = (ends[1] - ends[0]).abs().max() / (ends[2] - ends[1]).abs().max()
    assert float(ratio) == pytest.approx(4, rel=0.15)


def zero(like):
    return torch.zeros_like(like)


@pytest.mark.parametrize("kappa", [0.0, 0.125, 1.0])
@pytest.mark.parametrize("sde", [SBVE(), VP(), StraightFlow()], ids=repr)
def test_marginals_for_all_kappa(sde, kappa):
    problem, grid = Gaussian(sde, PROBLEM["mean"], VARIANCES), LogSNR(60, 0.9, 0.05, False)
    mean, variance = response(problem, InterpolatingSDE(kappa), grid)
    y = torch.full((1, 1), 0.4 + 0.2j, dtype=torch.complex128)
    exact_mean, exact = problem.moments(y, times(grid.end))
    # What a second order leaves of 60 steps.
    assert (mean - exact_mean).abs().max() < 1e-3
    assert (variance / exact - 1).abs().max() < 0.01


@pytest.mark.parametrize("kappa", [0.0, 0.125, 1.0])
def test_the_published_step(kappa):
    """The middle by the flow, the integrals by quadrature, one draw."""
    sde, t, m, s = OUVE(), 0.6, 0.45, 0.3
    problem = Gaussian(sde, **PROBLEM)
    x, y, z = (noise(1, 5, seed=i) for i in range(3))
    draws = iter([z])

    def psi(time):
        return (-sde.theta * (time - t) * torch.ones(1, dtype=torch.float64)).exp()

    score = problem.score(x, y, times(t))
    a_m, a = (sde.scales(times(time)).a for time in (m, s))
    middle = psi(m) * x + (1 - psi(m)) * y + a_m * by_quadrature(sde, t, m, 0) * score
    slope_ = (score - problem.score(middle, y, times(m))) / (t - m)
    taylor = by_quadrature(sde, t, s, 0) * score + by_quadrature(sde, t, s, 1) * slope_
    u = torch.linspace(s, t, 2001, dtype=torch.float64)
    ito = torch.trapezoid((sde.coefficients(u).g / sde.scales(u).a) ** 2, u)
    theirs = psi(s) * x + (1 - psi(s)) * y + a * (1 + kappa**2) * taylor
    theirs = theirs + kappa * a * ito.sqrt() * z
    solver = InterpolatingSDE(kappa, published=True)
    ours, _ = solver.step(problem, x, y, times(t), times(s), None, lambda like: next(draws))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_last_step():
    """The estimate x0 of one evaluation, or as published a step of the flow to 0 in two."""
    problem, y, x = Gaussian(OUVE(), 0.5, 0.02), noise(1, 4, seed=1), noise(1, 4, seed=2)
    grid, last = Uniform(1, 0.1, 0.0), times(0.1)
    model = Recorded(problem)
    ours, nfe, _ = solve(model, y, InterpolatingSDE(1.0), grid, x=x)
    assert torch.equal(ours, problem(x, y, last).x0)
    assert (model.times, nfe) == ([0.1], 1)
    model = Recorded(problem)
    published, _, _ = solve(model, y, InterpolatingSDE(1.0, published=True), grid, x=x)
    assert [float(t) for t in model.times] == pytest.approx([0.1, 0.05])
    # The flow keeps the whole variance of the posterior, its mean does not.
    flow = problem.flow(x, y, last, times(0.0))
    assert (published - flow).abs().max() < 1e-4
    assert (ours - flow).abs().max() > 0.01


def test_two_evaluations_a_step():
    model = Recorded(Gaussian(OUVE(), **PROBLEM))
    _, nfe, _ = solve(model, noise(1, 2), InterpolatingSDE(), Uniform(3, 0.9, 0.3, finish=False))
    assert nfe == 3 * InterpolatingSDE.evaluations
    assert [float(t) for t in model.times] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


@pytest.mark.slow
def test_runs_on_one_brownian_path_converge():
    """The first draw of a step is that of the whole step, the second one only splits it."""
    solver = InterpolatingSDE(1.0)
    problem, x, y = Gaussian(OUVE(), **PROBLEM), noise(8, 4), noise(8, 4, seed=1)
    ends = [
        solve(problem, y, solver, Uniform(n, 0.9, 0.1, False), x=x, randn=BrownianTree(range(8))).x
        for n in (16, 32, 64, 128)
    ]
    gaps = [float((e - f).abs().pow(2).mean().sqrt()) for e, f in pairwise(ends)]
    # Strong order 1: the gaps halve.
    assert gaps[2] < 0.65 * gaps[1] < 0.65 * 0.65 * gaps[0]
    assert gaps[2] < 0.02


def test_draws():
    assert not InterpolatingSDE(0.0).draws(OUVE())
    assert InterpolatingSDE(0.1).draws(OUVE())

    def refuse(like):
        pytest.fail("noise was drawn")

    y = noise(1, 3)
    solve(Gaussian(OUVE()), y, InterpolatingSDE(0.0), Uniform(3), x=y, randn=refuse)


def test_refused():
    with pytest.raises(ValueError, match=r"InterpolatingSDE needs .* score .*start=0.999"):
        solve(Gaussian(SBVE()), noise(1, 2), InterpolatingSDE(), Uniform(5))
    for kappa in (-0.1, 1.1):
        with pytest.raises(ValueError, match="kappa must lie between 0 and 1, not "):
            InterpolatingSDE(kappa)
