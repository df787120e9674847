"""Discretisations of the reverse process, against their formulas and what they approximate."""

from itertools import count

import pytest
import torch
from conftest import SDES, together
from problems import Gaussian, noise, slope, times
from proofs import STEPS, VARIANCES, errors, response

from sgmse.sdes import BBED, OUVE, SBVE, VE, VP, CosineVP, StraightFlow
from sgmse.solvers import EulerMaruyama, LogSNR, ReverseDiffusion, Uniform, solve

DISCRETISATIONS = [
    EulerMaruyama(),
    EulerMaruyama(eta=0.5),
    EulerMaruyama(eta=0.0),
    ReverseDiffusion(),
]
PROBLEM = {"mean": 0.5 - 0.3j, "variance": 0.3}


@pytest.mark.parametrize("solver", DISCRETISATIONS, ids=repr)
@pytest.mark.parametrize("sde", [OUVE(), SBVE(), StraightFlow()], ids=repr)
def test_order(sde, solver):
    found = errors(sde, solver, STEPS[:2])
    # The slope nears 1 from either side; 0.2 is what is left of that at 64 steps.
    assert slope(STEPS[:2], found) == pytest.approx(solver.order, abs=0.2)
    assert found[-1] < 0.25


@pytest.mark.parametrize("solver", DISCRETISATIONS, ids=repr)
@pytest.mark.parametrize("sde", [OUVE(), SBVE(), VE()], ids=repr)
def test_moments_of_the_posterior(sde, solver):
    """Any share of fresh noise has the marginals of the process, to first order."""
    problem, grid = Gaussian(sde, PROBLEM["mean"], VARIANCES), LogSNR(80, 0.9, 0.05, False)
    mean, variance = response(problem, solver, grid)
    y = torch.full((1, 1), 0.4 + 0.2j, dtype=torch.complex128)
    exact_mean, exact = problem.moments(y, times(grid.end))
    # What a first order leaves of 80 steps, and half of it of 160.
    assert (mean - exact_mean).abs().max() < 0.02
    assert (variance / exact - 1).abs().max() < 0.12


def test_the_step_of_euler():
    sde, t, s = OUVE(), times(0.6, 0.6), times(0.5, 0.5)
    x, y, z = (noise(2, 3, seed=i) for i in range(3))
    problem = Gaussian(sde, **PROBLEM)
    f, h, g = (c[:, None] for c in sde.coefficients(t))
    drift, score = f * x + h * y, problem.score(x, y, t)
    for solver, share, d in (
        (EulerMaruyama(), 1.0, 0.1),
        (EulerMaruyama(eta=0.4), 0.58, 0.1),
        (EulerMaruyama(eta=0.0), 0.5, 0.1),
        (EulerMaruyama(stepsize=0.02), 1.0, 0.02),
    ):
        ours, memory = solver.step(problem, x, y, t, s, None, lambda like: z)
        theirs = x - d * (drift - share * g**2 * score) + solver.eta * g * d**0.5 * z
        torch.testing.assert_close(ours, theirs)
        assert memory == ()


def test_reverse_diffusion_is_song_s_predictor_of_ve():
    """Song et al. 2021, algorithm 2."""
    sde, t, s = VE(), times(0.6), times(0.5)
    x, y, z = (noise(1, 5, seed=i) for i in range(3))
    problem = Gaussian(sde, **PROBLEM)
    q2 = sde.scales(t).sigma ** 2 - sde.scales(s).sigma ** 2
    ours, _ = ReverseDiffusion().step(problem, x, y, t, s, None, lambda like: z)
    torch.testing.assert_close(ours, x + q2 * problem.score(x, y, t) + q2.sqrt() * z)


def test_reverse_diffusion_is_song_s_predictor_of_vp():
    """Song et al. 2021, algorithm 3, with the beta of the chain, 1 - (a_t / a_s)^2."""
    sde, t, s = VP(), times(0.6), times(0.5)
    x, y, z = (noise(1, 5, seed=i) for i in range(3))
    problem = Gaussian(sde, **PROBLEM)
    beta = 1 - (sde.scales(t).a / sde.scales(s).a) ** 2
    ours, _ = ReverseDiffusion().step(problem, x, y, t, s, None, lambda like: z)
    mean = (2 - (1 - beta).sqrt()) * x + beta * problem.score(x, y, t)
    torch.testing.assert_close(ours, mean + beta.sqrt() * z)


def test_both_agree_to_first_order(sde):
    """A step of Euler is the reverse of a step of Euler, of the exact chain for small steps."""
    problem = Gaussian(sde, **PROBLEM)
    x, y, t = noise(1, 5), noise(1, 5, seed=1), times(0.5)
    gaps = []
    for d in (1e-3, 5e-4):
        steps = [
            solver.step(problem, x, y, t, t - d, None, torch.zeros_like)[0]
            for solver in (EulerMaruyama(), ReverseDiffusion())
        ]
        gaps.append(float((steps[0] - steps[1]).abs().max()))
    assert gaps[1] == pytest.approx(gaps[0] / 4, rel=0.05)


@pytest.mark.parametrize("solver", [EulerMaruyama(), ReverseDiffusion()], ids=repr)
def test_the_step_to_zero_ends_at_its_mean(solver):
    problem, y, x = Gaussian(OUVE(), **PROBLEM), noise(2, 3, seed=1), noise(2, 3, seed=2)
    drawn = count()

    def randn(like):
        next(drawn)
        return torch.ones_like(like)

    t, zero = times(0.03, 0.03), times(0.0, 0.0)
    end, nfe, _ = solve(problem, y, solver, Uniform(1, 0.03, 0.0), x=x, randn=randn)
    mean, _ = solver.step(problem, x, y, t, zero, None, torch.zeros_like)
    noisy, _ = solver.step(problem, x, y, t, zero, None, torch.ones_like)
    assert torch.equal(end, mean)
    assert (noisy - mean).abs().min() > 1e-3
    assert next(drawn) == nfe == 1  # drawn as in the published samplers, and dropped


def test_without_eta_nothing_is_drawn():
    def refuse(like):
        pytest.fail("noise was drawn")

    y = noise(1, 3)
    assert not EulerMaruyama(eta=0.0).draws(OUVE())
    solve(Gaussian(OUVE()), y, EulerMaruyama(eta=0.0), Uniform(3), x=y, randn=refuse)
    assert all(solver.draws(OUVE()) for solver in (EulerMaruyama(), ReverseDiffusion()))


@together(sde=SDES, solver=[EulerMaruyama(), ReverseDiffusion()])
def test_refused_exactly_where_the_drift_or_the_score_is_infinite(sde, solver):
    for start in (1.0, 0.999):
        t = times(start)
        finite = all(c.isfinite() for c in sde.coefficients(t)) and sde.scales(t).sigma > 0
        assert (solver.refusal(sde, start) is None) == bool(finite)


@pytest.mark.parametrize("sde", [SBVE(), BBED(), CosineVP()], ids=repr)
def test_refused_at_an_end_without_x0(sde):
    with pytest.raises(ValueError, match=r"EulerMaruyama needs .* at t = 1, .*start=0.999"):
        solve(Gaussian(sde), noise(1, 2), EulerMaruyama(), Uniform(5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EulerMaruyama(eta=1.5), "EulerMaruyama: eta must lie between 0 and 1, not 1.5"),
        (lambda: EulerMaruyama(eta=-0.1), "eta must lie between 0 and 1, not -0.1"),
        (lambda: EulerMaruyama(stepsize=0.0), "EulerMaruyama: stepsize must be positive, not 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
