"""Orders, EDM to the letter, and what a step leaves to the device."""

from itertools import pairwise
from math import sqrt

import pytest
import torch
from conftest import OFTEN
from problems import Gaussian, Recorded, bimodal, noise, slope, times
from proofs import VARIANCES, flow_errors, response

from sgmse.sdes import (
    BBED,
    OUVE,
    SBVE,
    VE,
    VP,
    BrownianBridge,
    CosineVP,
    FlowMatching,
    LinearVE,
    StraightFlow,
    expand,
)
from sgmse.solvers import Heun, LogSNR, RungeKutta4, Uniform, solve
from sgmse.solvers._runge_kutta import CLASSIC, MOST_CHURN, TRAPEZOIDAL, velocity

MEAN = 0.5 - 0.3j


def silent(like):
    pytest.fail("noise was drawn")


def test_the_velocity_is_that_of_the_probability_flow(sde):
    """f x + h y - g^2 score / 2, of a mixture."""
    problem, t = bimodal(sde), times(0.1, 0.5, 0.9)
    x, y = noise(3, 4), noise(3, 4, seed=1)
    f, h, g = (expand(c, x) for c in sde.coefficients(t))
    exact = f * x + h * y - g**2 * problem.score(x, y, t) / 2
    torch.testing.assert_close(velocity(problem, x, y, t), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
@pytest.mark.parametrize(("solver", "steps"), [(Heun(), (32, 64)), (RungeKutta4(), (24, 48))])
def test_order(sde, solver, steps):
    problem = Gaussian(sde, MEAN, VARIANCES)
    errors = flow_errors(problem, solver, Uniform(1, 0.9, 0.1, finish=False), steps)
    # The slope nears its limit from either side; 0.2 is what is left of that.
    assert slope(steps, errors) == pytest.approx(solver.order, abs=0.2)


@pytest.mark.parametrize("tableau", [TRAPEZOIDAL, CLASSIC])
def test_stages_stand_at_their_times(tableau):
    """c_i = sum_j A_ij, and the weights add up to 1."""
    assert [sum(row) for row in tableau.rows] == list(tableau.nodes)
    assert sum(tableau.weights) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_order_of_the_moments_with_churn(sde):
    """Steps whose churn shrinks with them, S_churn / N: mean and variance have the order."""
    problem, steps = Gaussian(sde, MEAN, VARIANCES), (24, 48)
    centre, exact = problem.moments(
        torch.full((1, 16), 0.4 + 0.2j, dtype=torch.complex128), times(0.1)
    )
    means, variances = [], []
    for n in steps:
        # From 0.8, so that no way back is cut short by the end of time.
        mean, variance = response(problem, Heun(churn=1 / n), Uniform(n, 0.8, 0.1, finish=False))
        means.append(float((mean - centre[0]).abs().max()))
        variances.append(float((variance / exact[0] - 1).abs().max()))
    assert Heun.order - 0.15 < slope(steps, variances) < Heun.order + 0.3
    # Where a and b are linear in time, the mean is exact.
    assert means[1] < 1e-14 or slope(steps, means) > Heun.order - 0.15


@pytest.mark.parametrize("churn", [0.0, 0.02])
@pytest.mark.parametrize("sde", [OUVE(), SBVE(), BBED(), VE(), VP(), StraightFlow()], ids=repr)
def test_moments_of_the_posterior(sde, churn):
    """From the right start to x0_hat, whose variance is the part a^2 v / w of the posterior's."""
    problem, end = Gaussian(sde, MEAN, VARIANCES), 1e-3
    mean, variance = response(problem, Heun(churn), LogSNR(80, 0.95, end))
    last = times(end * (1 + churn))  # the last step too goes back first
    a, _, _ = sde.scales(last)
    _, w = problem.moments(torch.zeros(1, 16), last)
    ratio = variance / (a**2 * VARIANCES**2 / w)[0]
    # What a method of second order leaves of steps of a few hundredths in t. Without the noise of
    # the way back, a quarter of it to nearly all would be missing.
    assert (mean - MEAN).abs().max() < 0.003
    assert (ratio - 1).abs().max() < 0.03


def test_the_way_back_is_the_process(sde):
    """The law of x at t becomes that at t^, for any law of x0."""
    solver, t = Heun(churn=0.3, first=0.95, last=0.1), times(0.05, 0.1, 0.5, 0.9, 0.98)
    x, y, z = (noise(5, 16, seed=i) for i in range(3))
    problem = Gaussian(sde, MEAN, VARIANCES)
    (centre, w), calls = problem.moments(y, t), []

    def go(x, z):
        there, later = solver.back(sde, x, y, t, lambda like: calls.append(like) or z)
        return there, later

    moved, later = go(centre, torch.zeros_like(z))
    latest = 0.999 if sde.pinned else 1.0
    expected = times(0.05, 0.13, 0.65, latest, 0.98)
    torch.testing.assert_close(later, expected, rtol=1e-15, atol=0)
    mean, variance = problem.moments(y, later)
    torch.testing.assert_close(moved, mean, rtol=1e-12, atol=1e-12)
    share = go(centre + x, torch.zeros_like(z))[0] - moved
    fresh = go(centre, z)[0] - moved
    share, fresh = (share / x).abs() ** 2, (fresh / z).abs() ** 2
    # The rounding of q^2 as a difference, over the small variance at the end of a bridge.
    torch.testing.assert_close(share * w + fresh, variance, rtol=1e-9, atol=1e-14)
    unmoved, _ = go(x, z)
    assert torch.equal(unmoved[[0, 4]], x[[0, 4]])
    assert len(calls) == 4


def test_a_way_back_does_not_pass_the_end_of_a_bridge():
    late = times(0.9985, 0.9995, 0.5)
    x, later = Heun(churn=0.4).back(SBVE(), noise(3, 2), noise(3, 2), late, torch.randn_like)
    assert x.isfinite().all()
    torch.testing.assert_close(later, times(0.999, 0.9995, 0.7), rtol=1e-15, atol=0)
    x = noise(2, 2)
    same, later = Heun(churn=0.4).back(StraightFlow(), x, x, times(1.0, 1.0), torch.randn_like)
    assert torch.equal(same, x)
    assert torch.equal(later, times(1.0, 1.0))


def edm(denoise, x, sigmas, churn, noise, low, high, draw):
    """Karras et al. 2022, algorithm 2, with s(t) = 1 and sigma(t) = t, and their S_*."""
    n = len(sigmas) - 1
    for t, following in pairwise(sigmas):
        gamma = min(churn / n, sqrt(2) - 1) if low <= t <= high else 0.0
        hat = t + gamma * t
        x = x + sqrt(hat**2 - t**2) * noise * draw()
        d = (x - denoise(x, hat)) / hat
        ahead = x + (following - hat) * d
        if following != 0:
            other = (ahead - denoise(ahead, following)) / following
            ahead = x + (following - hat) * (d + other) / 2
        x = ahead
    return x


@pytest.mark.parametrize("churn", [0.0, 1.2])
def test_it_is_the_sampler_of_edm(churn):
    process, y = LinearVE(), torch.zeros(2, 3, dtype=torch.complex128)
    problem, grid = bimodal(process), Uniform(6, 0.8, 0.02)
    solver = Heun(churn / 6, noise=1.03, first=0.7, last=0.05)
    x = noise(2, 3)
    ours = (noise(2, 3, seed=i) for i in range(1, 10))
    theirs = (noise(2, 3, seed=i) for i in range(1, 10))

    def denoise(x, t):
        return problem(x, y, torch.full((len(x),), t, dtype=torch.float64)).x0

    exact = edm(
        denoise,
        x,
        grid.times(process).tolist(),
        *(churn, 1.03, 0.05, 0.7),
        lambda: next(theirs),
    )
    got = solve(problem, y, solver, grid, x=x, randn=lambda like: next(ours)).x
    torch.testing.assert_close(got, exact, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("solver", [Heun(), Heun(churn=0.1), RungeKutta4()], ids=repr)
@pytest.mark.parametrize("grid", [Uniform(5), LogSNR(5), Uniform(4, end=0.0), Uniform(1)], ids=repr)
def test_the_last_step_is_one_evaluation_and_gives_the_clean_estimate(solver, grid):
    model, y = Recorded(bimodal(OUVE())), noise(2, 3, seed=1)
    x, nfe, _ = solve(model, y, solver, grid)
    assert nfe == len(model.times) == (grid.steps - 1) * solver.evaluations + 1
    torch.testing.assert_close(x, model.estimates[-1].x0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", [Heun(), RungeKutta4()], ids=repr)
def test_every_evaluation_is_counted_without_a_last_step(solver):
    model = Recorded(Gaussian(VE()))
    x = noise(2, 3)
    nfe = solve(model, noise(2, 3), solver, Uniform(5, finish=False), x=x, randn=silent).nfe
    assert nfe == len(model.times) == 5 * solver.evaluations


@pytest.mark.parametrize("solver", [Heun(), RungeKutta4()], ids=repr)
def test_stages_end_at_the_time_itself(solver):
    """1 + (s - 1) is 0 in float32 for a small s, where the rates are infinite."""
    model, s = Recorded(Gaussian(OUVE(), variance=0.2)), torch.tensor([1e-9])
    x = noise(1, 3, dtype=torch.complex64)
    assert (1 + (s - 1) == 0).all()
    moved, _ = solver.step(model, x, x, torch.ones(1), s, None, silent)
    assert moved.isfinite().all()
    assert torch.equal(model.times[-1], s)


@pytest.mark.parametrize("solver", [Heun(), RungeKutta4()], ids=repr)
@pytest.mark.parametrize("sde", [StraightFlow(), StraightFlow(sigma_min=0.05), FlowMatching()])
def test_a_straight_path_takes_one_step(sde, solver):
    """With x0 known the flow is straight, also from t = 1, where a = 0."""
    problem, x, y = Gaussian(sde, MEAN, 0.0), noise(1, 4), noise(1, 4, seed=1)
    y = y if sde.observed else torch.zeros_like(y)
    assert solver.refusal(sde, 1.0) is None
    moved = solve(problem, y, solver, Uniform(1, 1.0, 0.3, finish=False), x=x).x
    exact = problem.flow(x, y, times(1.0), times(0.3))
    torch.testing.assert_close(moved, exact, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("solver", [Heun(), Heun(churn=0.1), RungeKutta4()], ids=repr)
def test_where_they_start(solver):
    for sde in (SBVE(), BBED(), BrownianBridge()):
        with pytest.raises(ValueError, match=r"needs the probability flow .*start=0.999"):
            solve(Gaussian(sde), noise(1, 2), solver, Uniform(5))
        x, _, _ = solve(Gaussian(sde), noise(1, 2), solver, Uniform(5, start=0.999))
        assert x.isfinite().all()
    for sde in (OUVE(), VE(), VP(), CosineVP(), FlowMatching(), StraightFlow()):
        assert solver.refusal(sde, 1.0) is None
        x, _, _ = solve(Gaussian(sde), noise(1, 2), solver, Uniform(5))
        assert x.isfinite().all()


@pytest.mark.parametrize("solver", [Heun(), Heun(churn=0.1), RungeKutta4()], ids=repr)
def test_draws(solver):
    churn = isinstance(solver, Heun) and solver.churn > 0
    drawn = []

    def randn(like):
        drawn.append(like)
        return torch.randn_like(like)

    solve(Gaussian(OUVE()), noise(1, 2), solver, Uniform(4), x=noise(1, 2), randn=randn)
    assert solver.draws(OUVE()) == churn
    assert len(drawn) == 4 * churn


@pytest.mark.parametrize("solver", [Heun(), Heun(churn=0.1), RungeKutta4()], ids=repr)
def test_a_step_looks_at_no_number(solver):
    """Tensors of the device `meta` have none to look at."""
    x, t = torch.empty(2, 3, dtype=torch.complex64, device="meta"), torch.empty(2, device="meta")
    for step in (solver.step, solver.finish):
        moved, _ = step(Gaussian(OUVE()), x, x, t, t, None, torch.randn_like)
        assert moved.device.type == "meta"
        assert moved.shape == x.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Heun(churn=-0.1), r"churn is the share .* not -0.1; divide"),
        (lambda: Heun(churn=0.5), r"0 to sqrt\(2\) - 1, not 0.5; divide the S_churn"),
        (lambda: Heun(churn=float("nan")), "not nan"),
        (lambda: Heun(noise=0.0), "Heun: noise must be positive, not 0"),
        (lambda: Heun(first=0.2, last=0.5), "not last 0.5, first 0.2"),
        (lambda: Heun(first=1.5), "not last 0.0, first 1.5"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    assert Heun(churn=MOST_CHURN).draws(OUVE())
