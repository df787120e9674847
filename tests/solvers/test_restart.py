"""The law that ways up and down keep, what they leave of an error, and what they cost."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from conftest import FAMILIES
from problems import Draws, Gaussian, noise, times
from proofs import VARIANCES, response

from sgmse.errors import SgmseError
from sgmse.sdes import OUVE, SBVE, VP, BrownianBridge
from sgmse.solvers import (
    AnnealedLangevin,
    Exponential,
    Heun,
    LogSNR,
    MeanShifted,
    Multistep,
    PredictorCorrector,
    Restart,
    Uniform,
    solve,
)

MEAN = 0.5 - 0.3j
FLOW = Multistep(start=0.0, order=3)


def ended(sde, solver, grid, off=0.0):
    """Mean and variance of samples that start `off` the law at the grid's start, and the exact."""
    problem = Gaussian(sde, MEAN, VARIANCES)
    start = replace(problem, mean=MEAN + off)

    class Started(Gaussian):
        """Asks `response` to start at another mean, and estimates as the right law does."""

        def moments(self, y, t, like=None):
            return start.moments(y, t, like)

    found = response(Started(sde, MEAN, VARIANCES), solver, grid)
    mean, variance = problem.moments(torch.full((1, 16), 0.4 + 0.2j), times(grid.end))
    return (*found, mean[0], variance[0])


@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_the_law_is_kept(sde):
    """With exact estimates and enough steps mean and variance are those of the process."""
    grid = LogSNR(80, 0.9, 0.1, finish=False)
    mean, variance, exact_mean, exact = ended(sde, Restart(FLOW, steps=40, times=3), grid)
    torch.testing.assert_close(mean, exact_mean, rtol=0, atol=2e-4)
    torch.testing.assert_close(variance, exact, rtol=2e-4, atol=0)


@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
@pytest.mark.parametrize("repeats", [1, 3])
def test_what_is_left_of_an_error(sde, repeats):
    """(a_u / a_t) sqrt(w_t / w_u) of it each time, of the variance of the posterior."""
    grid = LogSNR(80, 0.9, 0.1, finish=False)
    t = next(u for u in grid.times(sde).flip(0) if u >= 0.2)
    restarted, without = (
        mean - exact
        for mean, _, exact, _ in (
            ended(sde, Restart(FLOW, steps=40, times=repeats), grid, off=1.0),
            ended(sde, FLOW, grid, off=1.0),
        )
    )
    (a_t, _, sigma_t), (a, _, sigma) = sde.scales(t[None]), sde.scales(times(0.5))
    w_t, w = (a_t**2 * VARIANCES[0] + sigma_t**2), (a**2 * VARIANCES[0] + sigma**2)
    left = (a / a_t * (w_t / w).sqrt()) ** repeats
    assert (left < 1).all()
    torch.testing.assert_close(restarted / without, left.to(without), rtol=2e-3, atol=0)


def distance(mean, variance, exact_mean, exact):
    """The Wasserstein-2 distance of Gaussians, over the exact standard deviation; its mean."""
    square = (mean - exact_mean).abs() ** 2 + (variance.sqrt() - exact.sqrt()) ** 2
    return float((square / exact).sqrt().mean())


def test_at_equal_evaluations_it_helps_where_the_start_errs_and_costs_where_not():
    """24 evaluations: 12 and two ways of 6, against 24 on one finer grid."""
    for sde in (OUVE(), VP(beta_min=0.5, beta_max=5.0)):
        within, plain = Restart(FLOW, steps=6), FLOW
        grid, fine = (LogSNR(n, 0.9, 0.1, finish=False) for n in (12, 24))
        counts = [
            solve(Gaussian(sde), noise(1, 3), solver, on).nfe
            for solver, on in ((within, grid), (plain, fine))
        ]
        assert counts == [24, 24]
        erring = [distance(*ended(sde, *pair, off=0.5)) for pair in ((within, grid), (plain, fine))]
        right = [distance(*ended(sde, *pair)) for pair in ((within, grid), (plain, fine))]
        assert erring[0] < 0.7 * erring[1]
        assert right[0] > right[1]


def test_a_run_is_the_plain_loop():
    """Algorithm: down to t_min, K times up by fresh noise and down again, on to the end."""
    sde, heun = OUVE(), Heun()
    problem, x, y, grid = Gaussian(sde, MEAN, 0.3), noise(1, 5), noise(1, 5, seed=1), Uniform(8)
    draws = [noise(1, 5, seed=2 + i) for i in range(2)]
    left = iter(draws)
    solver = Restart(heun, low=0.3, high=0.6, steps=2)
    ours = solve(problem, y, solver, grid, x=x, randn=lambda like: next(left)).x
    assert next(left, None) is None
    down = grid.times(sde)
    first = [float(t) for t in down if t >= 0.3]
    back = LogSNR(2, 0.6, first[-1], finish=False).times(sde).split(1)
    for t, s in pairwise(first):
        x, _ = heun.step(problem, x, y, times(t), times(s), (), torch.randn_like)
    for z in draws:
        a_t, a = (sde.scales(t).a for t in (back[-1], back[0]))
        spread = (
            sde.scales(back[0]).sigma ** 2 - (a / a_t * sde.scales(back[-1]).sigma) ** 2
        ).sqrt()
        x = a / a_t * x + (1 - a / a_t) * y + spread * z  # b = 1 - a
        for t, s in pairwise(back):
            x, _ = heun.step(problem, x, y, t, s, (), torch.randn_like)
    rest = [first[-1], *(float(t) for t in down if t < 0.3)]
    for t, s in pairwise(rest):
        step = heun.finish if s == 0 else heun.step
        x, _ = step(problem, x, y, times(t), times(s), (), torch.randn_like)
    torch.testing.assert_close(ours, x, rtol=1e-12, atol=1e-12)


def test_up_to_the_end_of_a_bridge_and_down():
    """From x_1 = y the solver within starts as from any pinned end: the samples begin anew."""
    problem, y = Gaussian(SBVE(), MEAN, 0.3), noise(1, 3)
    solver = Restart(Exponential(eta=1.0), high=1.0, steps=8, times=1)
    ends = [
        solve(problem, y, solver, Uniform(12, 0.9), x=x, randn=Draws(seed=3)).x for x in (y, -3 * y)
    ]
    assert torch.equal(*ends)


def test_nothing_happens_beside_its_times():
    problem, x, y = Gaussian(VP(), MEAN, 0.3), noise(1, 5), noise(1, 5, seed=1)
    for solver, grid in (
        (Restart(low=0.02, high=0.5), Uniform(8, 0.9, 0.1, finish=False)),  # the last of all
        (Restart(low=0.2, high=0.3), Uniform(2, 0.9, 0.1)),  # the last before is 0.9
    ):
        ours = solve(problem, y, solver, grid, x=x)
        plain = solve(problem, y, Multistep(), grid, x=x)
        assert torch.equal(ours.x, plain.x)
        assert ours.nfe == plain.nfe


def test_refused():
    assert "low 0.5, high 0.2" in error(low=0.5, high=0.2)
    assert "high 1.5" in error(high=1.5)
    assert "at least 1" in error(steps=0)
    assert "at least 1" in error(times=0)
    assert "put it around Restart" in error(solver=MeanShifted())
    # The solver within starts again from `high`, which it must be able to.
    assert "t = 1" in Restart(Heun(), high=1.0).refusal(BrownianBridge(), 0.9)
    assert Restart(Heun()).refusal(BrownianBridge(), 0.9) is None
    assert Restart().refusal(BrownianBridge(), 1.0) is None
    problem, x = Gaussian(VP()), noise(2, 3)
    with pytest.raises(SgmseError, match="at the same time"):
        Restart().step(problem, x, x, times(0.3, 0.25), times(0.1, 0.1), (), torch.randn_like)


def error(**arguments):
    with pytest.raises(SgmseError) as caught:
        Restart(**arguments)
    return str(caught.value)


def test_around_and_within_others():
    """Around a corrector, within a start that is moved: each does its part."""
    problem, y = Gaussian(OUVE(), MEAN, 0.3), noise(2, 3)
    corrected = Restart(PredictorCorrector(Exponential(), AnnealedLangevin(0.1)))
    assert corrected.once == 2 * 3 * 2
    assert MeanShifted(Restart()).once == 7
    for solver in (corrected, MeanShifted(Restart())):
        assert solve(problem, y, solver, Uniform(5)).x.isfinite().all()
