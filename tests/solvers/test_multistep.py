"""Polynomials integrated by quadrature, the correction of the first step, infinite lambda."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import OFTEN, together
from problems import Gaussian, Mixture, Recorded, bimodal, noise, slope, times
from proofs import VARIANCES, response

from sgmse.errors import SgmseError
from sgmse.sdes import BBED, OUVE, SBVE, VP, CosineVP, FlowMatching, StraightFlow
from sgmse.solvers import Exponential, LogSNR, Multistep, Uniform, UniPC, solve
from sgmse.solvers._grids import time_of
from sgmse.solvers._multistep import LONGEST, History

MEAN = 0.5 - 0.3j
SOME = [OUVE(), SBVE(), VP(), StraightFlow()]
POINTS = [((q + 1) / 2, w / 2) for q, w in zip(*np.polynomial.legendre.leggauss(40), strict=True)]


def silent(like):
    pytest.fail("noise was drawn")


def lagrange(at, j, q):
    """The polynomial that is 1 at the j-th of the points and 0 at the others."""
    others = [node for i, node in enumerate(at) if i != j]
    return torch.stack([(q - node) / (at[j] - node) for node in others]).prod(dim=0)


def integrated(sde, x, y, t, s, estimates, eta=0.0, z=0.0):
    """The step for the polynomial in lambda through two or more (time, x0), by quadrature.

    With X = (x - b y) / a the flow is dX = (x0 - X) dlambda, and with fresh noise a step keeps
    less of X: X_s = e^-k X_t + k int_0^1 e^(-k (1 - q)) x0(lambda_t + q h) dq + tau z / a_s.
    """
    (a_t, b_t, sigma_t), (a, b, sigma) = sde.scales(t), sde.scales(s)
    h = sde.log_snr(s) - sde.log_snr(t)
    tau = sigma * (1 - torch.exp(-2 * eta**2 * h)).sqrt()
    kept = (sigma**2 - tau**2).sqrt() / sigma_t * a_t / a
    k = -kept.log()
    at = [(sde.log_snr(u) - sde.log_snr(t)) / h for u, _ in estimates]
    total = kept * (x - b_t * y) / a_t
    for j, (_, x0) in enumerate(estimates):
        curve = [w * k * torch.exp(-k * (1 - q)) * lagrange(at, j, q) for q, w in POINTS]
        total = total + sum(curve) * x0
    return a * total + b * y + tau * z


def remembered(sde, t, *estimates):
    """What steps that ended at t left, without a correction: (time, x0), the newest first."""
    return History(tuple((sde.log_snr(t) - sde.log_snr(u), x0) for u, x0 in estimates))


def lambdas(sde, *h, t=0.6):
    """The times with these distances in lambda after t."""
    return time_of(sde, sde.log_snr(times(t)) + times(*h)).split(1)


def test_order_2_is_dbim():
    """Zheng et al. 2024: x0 linear in lambda, integrated exactly."""
    for sde in (SBVE(), BBED(), OUVE(), VP()):
        problem = Gaussian(sde, MEAN, 0.3)
        u, t, s = times(0.7), times(0.55), times(0.45)
        x_u, x, y = (noise(1, 5, seed=i) for i in range(3))
        x0_u, x0 = problem(x_u, y, u).x0, problem(x, y, t).x0
        (a, b, sigma), (_, b_t, sigma_t) = sde.scales(s), sde.scales(t)
        h = sde.log_snr(s) - sde.log_snr(t)
        bent = ((-h).exp() + h - 1) * (x0 - x0_u) / (sde.log_snr(t) - sde.log_snr(u))
        share = sigma / sigma_t
        theirs = share * x + (b - b_t * share) * y + a * ((1 - (-h).exp()) * x0 + bent)
        memory = remembered(sde, t, (u, x0_u))
        ours, _ = Multistep().step(problem, x, y, t, s, memory, silent)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_dpm_solver_to_third_order_in_a_step(eta):
    """DPM-Solver++(2M) and its SDE variant (Lu et al. 2022, arXiv:2211.01095) are near in a step.

    They take (1 - e^-k) / 2 for the integral m_1 of x0 - x0_before, whose difference is of second
    order; as that of the estimates is of first, the steps differ by one of third.
    """
    sde, problem, z = VP(), Gaussian(VP(), MEAN, 0.3), noise(1, 5, seed=2)
    gaps, lengths = [], (0.1, 0.05, 0.025)
    for length in lengths:
        u, t, s = lambdas(sde, -1.3 * length, 0.0, length)
        x, x_u = noise(1, 5), noise(1, 5)
        x0, before = problem(x, None, t).x0, problem(x_u, None, u).x0
        memory = remembered(sde, t, (u, before))
        ours, _ = Multistep(eta).step(problem, x, torch.zeros_like(x), t, s, memory, lambda _: z)
        (_, _, sigma_t), (a, _, sigma) = sde.scales(t), sde.scales(s)
        h, r = sde.log_snr(s) - sde.log_snr(t), 1.3
        if eta:
            whole = a * (1 - torch.exp(-2 * h))
            theirs = sigma / sigma_t * torch.exp(-h) * x + whole * (x0 + (x0 - before) / (2 * r))
            theirs = theirs + sigma * (1 - torch.exp(-2 * h)).sqrt() * z
        else:
            d = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
            theirs = sigma / sigma_t * x - a * torch.expm1(-h) * d
        gaps.append(float((ours - theirs).abs().max()))
    assert slope([1 / length for length in lengths], gaps) == pytest.approx(3, abs=0.1)


@together(eta=[0.0, 0.4, 1.0])
def test_a_step_is_the_polynomial_through_the_estimates(sde, eta):
    """Through two and three of any values, at distances in lambda without a pattern."""
    x, y, z, x0_v, x0_u = (noise(1, 5, seed=i) for i in range(5))
    v, u, t, s = lambdas(sde, -0.9, -0.25, 0.0, 0.3)
    problem = Gaussian(sde, MEAN, 0.3)
    past = [(u, x0_u), (v, x0_v)]
    for order in (2, 3):
        known = past[: order - 1]
        memory = remembered(sde, t, *known)
        ours, left = Multistep(eta, order=order).step(problem, x, y, t, s, memory, lambda _: z)
        estimates = [(t, problem(x, y, t).x0), *known]
        theirs = integrated(sde, x, y, t, s, estimates, eta, z)
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
        # What it leaves are the estimates here and, for order 3, that before; it corrects nothing.
        assert len(left.past) == order - 1
        for (distance, x0), (time, theirs) in zip(left.past, estimates, strict=False):
            torch.testing.assert_close(distance, sde.log_snr(s) - sde.log_snr(time))
            assert torch.equal(x0, theirs)
        assert left.correction == ()


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("sde", SOME, ids=repr)
def test_a_run_is_the_plain_loop(sde, order, eta):
    """Estimate, for order 3 take the first step again, go on with a polynomial: to the same end."""
    problem, y = bimodal(sde), noise(1, 5, seed=1)
    x, z = sde.sample(y / 2, y, times(0.9), noise(1, 5, seed=2)), noise(6, 1, 5, seed=3)
    grid, draws = Uniform(6, 0.9, 0.1, finish=False), iter(z)
    solver = Multistep(eta, order=order)
    ours = solve(problem, y, solver, grid, x=x, randn=lambda like: next(draws)).x
    t, known, log_snr = grid.times(sde).split(1), [], sde.log_snr(grid.times(sde))
    start, lengths, followed = x, log_snr.diff(), []
    for i, (now, after) in enumerate(pairwise(t)):
        known = [(now, problem(x, y, now).x0), *known]
        if i == 1 and order == 3:
            x = integrated(sde, start, y, t[0], now, known[:2], eta, z[0])
        if i == 0:
            x, _ = Exponential(eta).step(problem, x, y, now, after, None, lambda like: z[0])
            continue
        far = lengths[i] > LONGEST * lengths[i - 1]
        followed.append(2 if far else min(order, len(known)))
        x = integrated(sde, x, y, now, after, known[: followed[-1]], eta, z[i])
    torch.testing.assert_close(ours, x, rtol=1e-10, atol=1e-10)
    assert set(followed) == {2, order}


def test_the_correction_of_the_first_step():
    """It is a_s m_1 (x0_s - x0_t), of which the second step keeps what it keeps of any state."""
    for sde in (OUVE(), SBVE(), VP()):
        problem, y = bimodal(sde), noise(1, 5, seed=1)
        t, s, r = times(0.6), times(0.5), times(0.42)
        x, solver = sde.sample(y / 2, y, t, noise(1, 5, seed=2)), Multistep(start=0.0, order=3)
        x_s, memory = solver.step(problem, x, y, t, s, None, silent)
        naive, _ = solver.step(problem, x_s, y, s, r, memory._replace(correction=()), silent)
        ours, _ = solver.step(problem, x_s, y, s, r, memory, silent)
        h = sde.log_snr(s) - sde.log_snr(t)
        m_1 = 1 - (1 - torch.exp(-h)) / h
        change = sde.scales(s).a * m_1 * (problem(x_s, y, s).x0 - problem(x, y, t).x0)
        kept = sde.scales(r).sigma / sde.scales(s).sigma
        torch.testing.assert_close(ours - naive, kept * change, rtol=1e-9, atol=1e-12)
        assert change.abs().min() > 1e-4
        # Order 2 does without, and so agrees with the naive one.
        x_s, memory = Multistep(start=0.0).step(problem, x, y, t, s, None, silent)
        assert memory.correction == ()
        second, _ = Multistep().step(problem, x_s, y, s, r, memory, silent)
        torch.testing.assert_close(second, naive, rtol=1e-12, atol=1e-12)


def test_third_order_from_the_first_steps(sde):
    """Two steps of length h have an error of h^3, and one of h^2 without the correction."""
    problem, x, y = Gaussian(sde, MEAN, VARIANCES), noise(1, 16), noise(1, 16, seed=1)
    found, without, parts, solver = [], [], (16, 32), Multistep(start=0.0, order=3)
    for n in parts:
        t, s, r = lambdas(sde, 0.0, 1 / n, 2 / n, t=0.5)
        exact = problem.flow(x, y, t, r)
        x_s, memory = solver.step(problem, x, y, t, s, None, silent)
        for left, errors in ((memory, found), (memory._replace(correction=()), without)):
            x_r, _ = solver.step(problem, x_s, y, s, r, left, silent)
            errors.append(float((x_r - exact).abs().max()))
    # The slope is 0.1 below its limit at steps of 1 / 16.
    assert slope(parts, found) > 2.8
    assert slope(parts, without) < 2.2


def steps_by(sde, order, *ratios):
    """Steps of `ratios` times the length of the one before, after estimates of any values."""
    t, u, v, *s = lambdas(sde, 0.0, -0.2, -0.5, *(0.2 * ratio for ratio in ratios))
    x, *past = (noise(1, 5, seed=i) for i in range(3))
    memory = remembered(sde, t, *list(zip((u, v), past, strict=True))[: order - 1])
    problem, solver = Gaussian(sde, MEAN, 0.3), Multistep(order=order)
    x, t, s = x.expand(len(s), 5), t.expand(len(s)), torch.cat(s)
    return solver.step(problem, x, x, t, s, memory, silent)[0]


def test_the_parabola_is_followed_up_to_the_longest_step():
    assert LONGEST == 1.5
    for sde in (OUVE(), BBED(), VP()):
        around = LONGEST - 1e-6, LONGEST + 1e-6
        gap = (steps_by(sde, 3, *around) - steps_by(sde, 2, *around)).abs()
        assert gap[0].min() > 1e-3
        assert (gap[1] == 0).all()
        # Elsewhere it is continuous in the length of the step, from the state itself on.
        for low, high in ((1e-7, LONGEST - 1e-6), (LONGEST + 1e-6, 3.0)):
            path = steps_by(sde, 3, *np.linspace(low, high, 201))
            assert path.diff(dim=0).abs().max() < gap[0].min() / 2
        torch.testing.assert_close(steps_by(sde, 3, 1e-7), noise(1, 5), rtol=0, atol=1e-6)


def test_each_item_has_its_own_steps():
    """One at a pinned end, one with a step too long for the parabola, one with it."""
    sde, solver = SBVE(), Multistep(order=3)
    problem, x, y = Gaussian(sde, MEAN, 0.3), noise(3, 5), noise(3, 5, seed=1)
    x[0] = y[0]
    rows = times(1.0, 0.9, 0.8, 0.9, 0.8, 0.4, 0.9, 0.8, 0.7).reshape(3, 3).T
    rows = torch.cat([rows, times(0.7, 0.05, 0.6)[None]])

    def run(items):
        state, memory, draw = x[items], None, noise(3, 5, seed=2)[items]
        for t, s in pairwise(rows[:, items]):
            state, memory = solver.step(problem, state, y[items], t, s, memory, lambda _: draw)
        return state

    together = run(torch.arange(3))
    alone = torch.cat([run(torch.tensor([i])) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-13, atol=1e-13)


def test_a_far_estimate_weighs_nothing():
    """An estimate at ever lower lambda turns the parabola into the line, and the line into x0."""
    sde, t, s = VP(), times(0.5), times(0.45)
    problem, x, x0_u, x0_v = Gaussian(sde, MEAN, 0.3), noise(1, 5), noise(1, 5, seed=1), noise(1, 5)
    near = sde.log_snr(t) - sde.log_snr(times(0.6))

    def step(*past):
        memory = History(tuple((d, x0) for d, x0 in zip(past, (x0_u, x0_v), strict=False)))
        return Multistep(order=3).step(problem, x, 0 * x, t, s, memory, silent)[0]

    for known in ((), (near,)):
        far = [step(*known, times(d)) for d in (1e3, 1e6, torch.inf)]
        gap, tiny = ((value - far[-1]).abs().max() for value in far[:-1])
        assert 0 < tiny < 2e-3 * gap  # as 1 / d
        torch.testing.assert_close(far[-1], step(*known), rtol=1e-13, atol=1e-13)


@together(
    solver=[Multistep(), Multistep(order=3), UniPC(), UniPC(order=3)],
    eta=[0.0, 1.0],
    sde=[SBVE(), BBED(), FlowMatching(), StraightFlow(), CosineVP()],
)
def test_two_steps_of_first_order_from_an_infinite_lambda(sde, solver, eta):
    """a(1) = 0: as no line leads there, the first two steps are those of order 1."""
    solver = type(solver)(eta, order=solver.order)
    assert sde.log_snr(times(1.0)) == -torch.inf
    problem, y, z = Gaussian(sde, MEAN, 0.3), noise(2, 4, seed=1), noise(2, 4, seed=2)
    for steps in (1, 2, 3):
        grid = Uniform(3, 1.0, 0.4, finish=False).times(sde)[: steps + 1]
        results = []
        for one in (Exponential(eta), solver):
            x, memory = sde.prior(y, z), None
            for t, s in pairwise(grid):
                rows = t.expand(2), s.expand(2)
                x, memory = one.step(problem, x, y, *rows, memory, lambda like: z)
            results.append(x)
        assert results[1].isfinite().all()
        assert torch.allclose(*results, rtol=1e-13, atol=1e-13) == (steps < 3)


def test_the_flow_from_a_point_keeps_an_error_of_first_order():
    """Its first step leaves an error in the variance for ever; with fresh noise it fades."""
    problem, steps = Gaussian(SBVE(), MEAN, VARIANCES), (48, 96)
    _, exact = problem.moments(torch.zeros(1, 1), times(0.1))
    slopes = {}
    for eta in (0.0, 1.0):
        errors = []
        for n in steps:
            grid = LogSNR(n, end=0.1, finish=False)
            _, variance = response(problem, Multistep(eta), grid)
            errors.append(float((variance / exact - 1).abs().max()))
        slopes[eta] = slope(steps, errors)
    # 0.94 and 1.96: at these numbers of steps both are near their limits, 1 and 2.
    assert slopes[0.0] == pytest.approx(1, abs=0.15)
    assert slopes[1.0] == pytest.approx(2, abs=0.15)


@together(solver=[Multistep(eta=0.5, order=3), UniPC(order=3)])
def test_the_last_step_returns_the_estimate(sde, solver):
    """Neither a polynomial nor a correction reaches over a step of infinite length."""
    model = Recorded(bimodal(sde))
    for grid in (Uniform(4), LogSNR(4, end=1e-9)):
        x = solve(model, noise(1, 4), solver, grid).x
        torch.testing.assert_close(x, model.estimates[-1].x0, rtol=1e-13, atol=1e-13)


@together(solver=[Multistep(order=3), UniPC(order=3)])
def test_single_precision_down_to_tiny_steps(sde, solver):
    """Where distances in lambda are roundings, or 0, they are divided by each other to no harm."""
    problem, items, generator = bimodal(sde), 200, torch.Generator().manual_seed(0)
    for roundings in (4, 100, 1e5):
        t = [0.01 + 0.98 * torch.rand(items, generator=generator)]
        for _ in range(4):
            length = (roundings * torch.rand(items, generator=generator)).round() * 6e-8
            t.append(t[-1] * (1 - length))
        results = []
        for dtype in (torch.complex64, torch.complex128):
            at = [time.to(dtype.to_real()) for time in t]
            y, z = (noise(items, 2, seed=i, dtype=torch.complex64).to(dtype) for i in range(2))
            x, memory = sde.sample(y / 2, y, at[0], z), ()
            for pair in pairwise(at):
                x, memory = solver.step(problem, x, y, *pair, memory, silent)
            results.append(x.to(torch.complex128))
        # A few roundings of 6e-8 a step, of values up to 3.
        assert (results[0] - results[1]).abs().max() < 1e-5


@pytest.mark.parametrize("sde", SOME, ids=repr)
def test_order_3_with_fresh_noise(sde):
    """Mean and variance are of second order for both, and those of order 3 several times nearer."""
    problem, grid = Gaussian(sde, MEAN, VARIANCES), LogSNR(32, 0.9, 0.1, finish=False)
    _, exact = problem.moments(torch.zeros(1, 1), times(0.1))
    errors = []
    for order in (2, 3):
        solver = Multistep(eta=1.0, order=order)
        assert (solver.order, solver.weak_order) == (order, 2)
        _, variance = response(problem, solver, grid)
        errors.append(float((variance / exact - 1).abs().max()))
    assert errors[1] < errors[0] / 2  # 2.3 on VP to 3.3 on OUVE


@pytest.mark.slow
@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_a_bimodal_posterior(sde):
    """y / 2 +- 1/4 with standard deviation 0.08: not a Gaussian, so nothing is linear in x."""
    samples, end = 20000, 0.05
    y = torch.full((1, samples), 0.4 + 0.2j, dtype=torch.complex128)
    modes = (0.2 + 0.1j - 0.25, 0.2 + 0.1j + 0.25)
    pick = torch.tensor(modes, dtype=y.dtype)[torch.arange(samples) % 2][None]
    clean = pick + 0.08 * noise(1, samples, seed=1)
    # From the exact marginal, as the prior of a process that is not pinned is not.
    x = sde.sample(clean, y, times(1.0), noise(1, samples, seed=2))
    generator = torch.Generator().manual_seed(3)

    def randn(like):
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    problem, grid = Mixture(sde, modes, 0.08**2), LogSNR(48, end=end, finish=False)
    x, _, _ = solve(problem, y, Multistep(eta=1.0), grid, x=x, randn=randn)
    exact = sde.sample(clean, y, times(end), noise(1, samples, seed=4))
    for ours, theirs in ((x.real, exact.real), (x.imag, exact.imag)):
        # Wasserstein-1 over the standard deviation: two exact samples of this size differ by 0.01.
        distance = np.abs(np.sort(ours[0]) - np.sort(theirs[0])).mean()
        assert distance / theirs.std() < 0.025


def test_begins_with_the_first_order_step(sde):
    problem, y, z = Gaussian(sde, MEAN, 0.3), noise(1, 4, seed=1), noise(1, 4, seed=2)
    for grid in (Uniform(1), Uniform(1, finish=False, end=0.5), LogSNR(1)):
        first, *others = (
            solve(problem, y, solver, grid, randn=lambda like: z).x
            for solver in (Exponential(), Multistep(), Multistep(order=3))
        )
        assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("order", [0, 1, 4, 2.5])
def test_other_orders_are_refused(order):
    with pytest.raises(SgmseError, match=f"Multistep: order must be .* not {order}"):
        Multistep(order=order)


@pytest.mark.parametrize("arguments", [{"eta": -0.1}, {"eta": 1.1}, {"start": 2.0}])
def test_other_shares_of_noise_are_refused(arguments):
    with pytest.raises(ValueError, match="eta and start must lie between 0 and 1"):
        Multistep(**arguments)
