"""Analytic-DPM: the optimal variance of a step in closed form, estimated, and what it brings."""

import pytest
import torch
from conftest import FAMILIES, first_often
from erring import LINEAR, Affine
from problems import Gaussian, noise, slope, times
from proofs import law_errors, response

from sgmse.checkpoints import CLASSES
from sgmse.compat import DDIM
from sgmse.config import from_plain, to_plain
from sgmse.errors import ArgumentError
from sgmse.inference import posterior_variance
from sgmse.sdes import BBED, OUVE, SBVE, SDE, VP
from sgmse.solvers import (
    Exponential,
    LogSNR,
    Multistep,
    PosteriorVariance,
    Solver,
    Uniform,
    solve,
)

MEAN, VARIANCE = 0.5 - 0.3j, 0.4
GRID = LogSNR(4, 0.9, 0.1, finish=False)


def closed(sde: SDE, grid, variance: float = VARIANCE) -> PosteriorVariance:
    """D = v sigma^2 / (a^2 v + sigma^2) at the times of a grid."""
    t = grid.times(sde).flip(0)
    a, _, sigma = sde.scales(t)
    D = torch.where(sigma > 0, variance * sigma**2 / (a**2 * variance + sigma**2), variance)
    return PosteriorVariance(t.tolist(), torch.where((a > 0) | (sigma > 0), D, variance).tolist())


def test_the_optimum_of_the_paper():
    """Bao et al. 2022, eq. 7* in its own letters, for DDPM's and DDIM's lambda and any between."""
    sde, t, s = VP(), times(0.6), times(0.4)
    (alpha, _, _), (alpha_s, _, _) = sde.scales(t), sde.scales(s)
    beta, beta_s = 1 - alpha**2, 1 - alpha_s**2  # its beta-bar; alpha-bar = a^2
    step = (alpha / alpha_s) ** 2  # its alpha_n
    D = closed(sde, Uniform(1, 0.6, 0.4, finish=False))
    score2 = 1 / (alpha**2 * VARIANCE + beta)  # E|score|^2 / d of x_t ~ CN(., w)
    for solver in (DDIM(0.0, unknown=D), DDIM(0.6, unknown=D), DDIM(1.0, unknown=D)):
        lambda2 = solver.eta**2 * beta_s / beta * (1 - step)
        optimum = lambda2 + ((beta / step).sqrt() - (beta_s - lambda2).sqrt()) ** 2 * (
            1 - beta * score2
        )
        found = solver.deviation(solver.weights(sde, t, s), sde, t, s) ** 2
        torch.testing.assert_close(found, optimum, rtol=1e-12, atol=0)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_the_law_is_exact_in_few_steps(sde, eta):
    """Of one variance, with D in closed form, where the plain steps are far off."""
    variance = torch.full((1, 1), VARIANCE, dtype=torch.float64)
    problem = Gaussian(sde, MEAN, variance)
    y = torch.full((1, 1), 0.4 + 0.2j, dtype=torch.complex128)
    exact_mean, exact = problem.moments(y, times(0.1))
    mean, ours = response(problem, Exponential(eta, unknown=closed(sde, GRID)), GRID)
    torch.testing.assert_close(ours, exact[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(mean, exact_mean[0], rtol=1e-10, atol=1e-10)
    _, plain = response(problem, Exponential(eta), GRID)
    assert abs(plain / exact[0] - 1) > 0.05


def test_many_variances_are_nearer_on_the_mean():
    """The optimum of the paper is one for all elements: exact on the mean over a step alone."""
    variances = torch.logspace(-1.5, 0, 16, dtype=torch.float64)[None]
    for sde in (OUVE(), SBVE(), VP()):
        problem = Gaussian(sde, MEAN, variances)
        y = torch.full((500, 16), 0.4 + 0.2j, dtype=torch.complex128)
        D = posterior_variance(problem, problem.draw(y, y, seed=1), y, GRID)
        _, exact = problem.moments(y[:1], times(0.1))
        errors = [
            float((response(problem, solver, GRID)[1] - exact[0]).mean() / exact.mean())
            for solver in (Exponential(1.0), Exponential(1.0, unknown=D))
        ]
        assert abs(errors[1]) < 0.5 * abs(errors[0])


@pytest.mark.parametrize("by", ["error", "noise"])
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_the_estimate_is_the_closed_form(sde, by):
    problem, y = Gaussian(sde, MEAN, VARIANCE), noise(400, 50)
    exact = closed(sde, GRID)
    found = posterior_variance(problem, problem.draw(y, y, seed=1), y, GRID, by=by)
    assert found.times == pytest.approx(exact.times, rel=1e-12)
    # 20000 elements: relative errors of |z|^2 of 0.7 %, of 1 - |z|^2 more where most is known.
    t = torch.tensor(exact.times, dtype=torch.float64)
    a, _, sigma = sde.scales(t)
    size = (sigma / a) ** 2 if by == "noise" else torch.tensor(exact.values, dtype=t.dtype)
    off = (torch.tensor(found.values) - torch.tensor(exact.values)).abs()
    assert (off < 0.03 * size).all()


def test_from_the_end_of_a_bridge():
    """There all of x0 is unknown, by its error; by the noise nothing can be said."""
    sde, y, grid = BBED(), noise(300, 50), LogSNR(3, end=0.1, finish=False)
    problem = Gaussian(sde, MEAN, VARIANCE)
    x0 = problem.draw(y, y, seed=1)
    found = posterior_variance(problem, x0, y, grid, draws=2)
    assert found.times[-1] == 1
    assert found.values[-1] == pytest.approx(VARIANCE, rel=0.03)
    x = solve(problem, y, Exponential(1.0, unknown=found), grid, randn=torch.randn_like).x
    mean, exact = problem.moments(y, times(0.1).expand(len(y)))
    assert float(((x - mean).abs() ** 2).mean() / exact.mean()) == pytest.approx(1, abs=0.04)
    with pytest.raises(ArgumentError, match='at t = 1: take by="error"'):
        posterior_variance(problem, x0, y, grid, by="noise")


def test_estimates_that_err():
    """The error has the bias in it, where the square of the noise does not."""
    problem, y = Gaussian(VP(), MEAN, VARIANCE), noise(400, 50)
    model, x0 = Affine(problem, 1.0, 0.3), problem.draw(y, y, seed=1)
    exact = closed(VP(), GRID)
    biased = posterior_variance(model, x0, y, GRID).values
    assert biased == pytest.approx([D + 0.09 for D in exact.values], rel=0.05)


def test_between_the_times():
    D = PosteriorVariance([0.2, 0.4, 0.8], [0.1, 0.3, 0.1])
    at = D.at(times(0.0, 0.2, 0.3, 0.4, 0.6, 1.0))
    torch.testing.assert_close(at, times(0.1, 0.1, 0.2, 0.3, 0.2, 0.1))
    torch.testing.assert_close(PosteriorVariance([0.5], [0.2]).at(times(0.1, 0.9)), times(0.2, 0.2))


def test_no_noise_in_the_step_to_zero():
    """It returns the clean estimate, also with what is unknown of it."""
    problem, y = Gaussian(OUVE(), MEAN, VARIANCE), noise(2, 3)
    x, solver = noise(2, 3, seed=1), Exponential(1.0, unknown=PosteriorVariance([0.5], [0.2]))
    t, s = times(0.5, 0.5), times(0.0, 0.0)
    end, _ = solver.step(problem, x, y, t, s, (), torch.randn_like)
    torch.testing.assert_close(end, problem(x, y, t).x0)


CASES = [(kind, eta, sde) for sde in FAMILIES for eta in (0.7, 0.0, 0.4, 1.0) for kind in LINEAR]


@pytest.mark.parametrize(("kind", "eta", "sde"), first_often(1, CASES), ids=repr)
def test_the_order_is_that_without_it(kind, eta, sde):
    """On estimates that err: what a step adds is of h^2, so that the law of the SDE stays."""
    solver = Exponential(eta, unknown=PosteriorVariance([0.1, 0.9], [0.05, 0.3]))
    assert solver.order == solver.weak_order == 1
    grid = LogSNR(2, 0.9, 0.1, finish=False)
    found = law_errors(LINEAR[kind], sde, solver, grid, (64, 128))
    assert slope([64, 128], found) == pytest.approx(1, abs=0.1)


def test_in_files():
    solver = Exponential(1.0, unknown=PosteriorVariance([0.1, 0.5], [0.1, 0.2]))
    assert from_plain(Solver, to_plain(solver, CLASSES), CLASSES) == solver


def test_refused():
    for arguments, words in (
        (([], []), "at least one"),
        (([0.1, 0.2], [0.1]), "as many values as times"),
        (([0.3, 0.2], [0.1, 0.1]), "must ascend"),
        (([0.3, 1.2], [0.1, 0.1]), "within 0 and 1"),
        (([0.3], [-0.1]), "may be negative"),
    ):
        with pytest.raises(ArgumentError, match=words):
            PosteriorVariance(*arguments)
    D = PosteriorVariance([0.5], [0.2])
    with pytest.raises(ArgumentError, match="Multistep: unknown is of steps with one estimate"):
        Multistep(1.0, unknown=D)
    y = noise(2, 3)
    with pytest.raises(ArgumentError, match="at least one time above 0"):
        posterior_variance(Gaussian(VP()), y, y, [0.0])
    with pytest.raises(ArgumentError, match="draws must be at least 1"):
        posterior_variance(Gaussian(VP()), y, y, [0.5], draws=0)
