"""The linear systems of the paper, and what the corrector costs and gains."""

from itertools import pairwise
from math import factorial

import pytest
import torch
from conftest import SDES, together
from problems import Formula, Gaussian, bimodal, noise, slope, times
from proofs import VARIANCES

from sgmse.estimates import Estimate
from sgmse.sdes import OUVE, SBVE, VE, VP, CosineVP, LinearVE, StraightFlow
from sgmse.solvers import Exponential, LogSNR, Multistep, Uniform, UniPC, solve
from sgmse.solvers._multistep import History

SOME = [OUVE(), SBVE(), VP(), LinearVE(), StraightFlow()]
#: B(h) of the paper's two variants, for data prediction.
SCALES = {"bh1": lambda h: -h, "bh2": lambda h: torch.expm1(-h)}


def silent(like):
    pytest.fail("noise was drawn")


def coefficients(r, h, scale):
    """The a_m of the paper: R a = phi / B(h), R_nm = (r_m h)^(n - 1), phi_n = h^n n! psi_n+1.

    psi_n, for data prediction, is int_0^1 e^((q - 1) h) q^(n - 1) / (n - 1)! dq, by its recursion.
    """
    psi = [-torch.expm1(-h) / h]
    for n in range(1, len(r) + 1):
        psi.append((1 / factorial(n) - psi[-1]) / h)
    n = range(1, len(r) + 1)
    system = torch.stack([torch.cat([(r_m * h) ** (i - 1) for r_m in r]) for i in n])
    phi = torch.cat([h**i * factorial(i) * psi[i] for i in n])
    return torch.linalg.solve(system, phi / scale(h))


def unified(sde, x, t, x0, s, others, scale):
    """The step on a process with b = 0 from the state x and the estimate x0 at t to s.

    UniP if the others, (time, estimate), are earlier; UniC if one of them is at s.
    """
    (a_t, _, sigma_t), (a, _, sigma) = sde.scales(t), sde.scales(s)
    h = (a / sigma).log() - (a_t / sigma_t).log()
    x_s = sigma / sigma_t * x - a * torch.expm1(-h) * x0
    if not others:
        return x_s
    r = [(sde.log_snr(u) - sde.log_snr(t)) / h for u, _ in others]
    terms = zip(coefficients(r, h, scale), r, others, strict=True)
    return x_s + a * scale(h) * sum(a_m / r_m * (x0_m - x0) for a_m, r_m, (_, x0_m) in terms)


@pytest.mark.parametrize("variant", SCALES)
@pytest.mark.parametrize("order", [1, 2])
def test_a_step_and_its_correction_are_those_of_the_paper(order, variant):
    """From estimates of any values: our order 2 is their UniPC-1, and 3 their UniPC-2."""
    scale, solver = SCALES[variant], UniPC(order=order + 1)
    for sde in (VP(), VE(), CosineVP()):
        problem = bimodal(sde)
        u, t, s, r = times(0.8), times(0.5), times(0.35), times(0.3)
        x, before = noise(1, 5), noise(1, 5, seed=1)
        x0, y = problem(x, 0 * x, t).x0, 0 * x
        memory = History(((sde.log_snr(t) - sde.log_snr(u), before),))
        earlier = [(u, before)][: order - 1]
        ours, memory = solver.step(problem, x, y, t, s, memory, silent)
        theirs = unified(sde, x, t, x0, s, earlier, scale)
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
        # The next step goes on from the state as it is corrected by the estimate made at it.
        ours, _ = solver.step(problem, ours, y, s, r, memory, silent)
        x0_s = problem(theirs, y, s).x0
        corrected = unified(sde, x, t, x0, s, [*earlier, (s, x0_s)], scale)
        assert (corrected - theirs).abs().max() > 1e-3
        theirs = unified(sde, corrected, s, x0_s, r, [(t, x0)][: order - 1], scale)
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("variant", SCALES)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("grid", [Uniform, LogSNR])
@pytest.mark.parametrize("sde", [VP(), VE(), CosineVP()], ids=repr)
def test_a_run_is_that_of_the_paper(sde, grid, order, variant):
    """Predict, evaluate, correct; the first step at order 1, the last state without a corrector."""
    scale, grid = SCALES[variant], grid(7, 0.9, 0.05, finish=False)
    problem, x = bimodal(sde), noise(1, 5)
    t, blind = grid.times(sde).split(1), torch.zeros_like(x)
    ours = solve(problem, blind, UniPC(order=order + 1), grid, x=x).x
    buffer = [(t[0], problem(x, blind, t[0]).x0)]
    for i, (now, after) in enumerate(pairwise(t)):
        (_, x0), *earlier = buffer
        earlier = earlier[: order - 1]
        predicted = unified(sde, x, now, x0, after, earlier, scale)
        if i == grid.steps - 1:
            x = predicted
            break
        end = (after, problem(predicted, blind, after).x0)
        x = unified(sde, x, now, x0, after, [*earlier, end], scale)
        buffer = [end, *buffer]
    torch.testing.assert_close(ours, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("sde", SOME, ids=repr)
def test_the_corrector_gains_an_order_and_costs_nothing(sde, order):
    """The same evaluations without their corrections are of one order less."""
    problem, x, y = Gaussian(sde, 0.5 - 0.3j, VARIANCES), noise(1, 16), noise(1, 16, seed=1)
    solver, steps, errors, plain = UniPC(start=0.0, order=order), (24, 48), [], []
    for n in steps:
        grid = LogSNR(n, 0.9, 0.1, finish=False)
        exact = problem.flow(x, y, times(0.9), times(0.1))
        state, nfe, _ = solve(problem, y, solver, grid, x=x)
        assert nfe == n
        errors.append(float((state - exact).abs().max()))
        state, memory = x, None
        for t, s in pairwise(grid.times(sde).split(1)):
            state, memory = solver.step(problem, state, y, t, s, memory, silent)
            memory = memory._replace(correction=())
        plain.append(float((state - exact).abs().max()))
    # The slopes near their limits, as those of all solvers do.
    assert slope(steps, errors) > order - 0.2
    assert slope(steps, plain) < order - 1 + 0.25


def bimodal_errors(sde, grid):
    """Distances to the exact flow of order 1, UniPC of order 2, Multistep of 2, UniPC of 3."""
    problem, y = bimodal(sde), torch.full((1, 9), 0.4, dtype=torch.float64)
    start, end = times(grid.start), times(grid.end)
    a, b, sigma = sde.scales(start)
    spread = (a**2 * (0.08**2 + 0.25**2) + sigma**2).sqrt()
    x = (a / 2 + b) * y + spread * torch.linspace(-2, 2, 9, dtype=torch.float64)
    exact = problem.flow(x, y, start, end)
    return [
        float((solve(problem, y, solver, grid, x=x).x - exact).abs().mean())
        for solver in (
            Exponential(start=0.0),
            UniPC(start=0.0),
            Multistep(start=0.0),
            UniPC(start=0.0, order=3),
        )
    ]


@pytest.mark.parametrize("sde", SOME, ids=repr)
def test_nearer_than_order_less_one(sde):
    """After 24 evaluations, less than half of the error of the solver of an order less."""
    errors = bimodal_errors(sde, LogSNR(24, 0.9, 0.05, finish=False))
    assert errors[1] < errors[0] / 2
    assert errors[3] < errors[2] / 2


def influence(sde, solver, steps):
    """The weights in the last state of estimates that depend on no state, and of the start."""
    estimates = torch.eye(steps + 1, dtype=torch.float64)
    draws = iter(estimates.split(1))

    def estimate(x, y, t):
        x0 = next(draws)
        a, _, sigma = sde.scales(t)
        return Estimate(x0, (x - a * x0) / sigma)

    grid, y = Uniform(steps, 0.9, 0.1, finish=False), torch.zeros_like(estimates[:1])
    x = sde.scales(times(0.9)).a * estimates[-1:]
    x = solve(Formula(sde, estimate), y, solver, grid, x=x, randn=torch.zeros_like).x
    return x / sde.scales(times(0.1)).a


@together(sde=SDES, eta=[0.0, 1.0])
def test_order_2_only_interpolates(sde, eta):
    """Its state is a mean of the estimates and of the start: none has a weight below 0."""
    for steps in (2, 5):
        weights = influence(sde, UniPC(eta), steps)
        torch.testing.assert_close(weights.sum(), times(1.0)[0], rtol=1e-12, atol=0)
        assert (weights > 0).all()


def test_the_others_follow_differences():
    for solver in (Multistep(), UniPC(order=3)):
        weights = influence(VP(), solver, 5)
        torch.testing.assert_close(weights.sum(), times(1.0)[0], rtol=1e-12, atol=0)
        assert (weights < -0.1).any()


@pytest.mark.parametrize("sde", SOME, ids=repr)
def test_order_2_is_safe_in_few_long_steps(sde):
    """Equal steps in t end long in lambda: there it is no worse than order 1, as others are."""
    for n in (2, 3, 4, 6):
        errors = bimodal_errors(sde, Uniform(n, 0.9, 1e-3, finish=False))
        assert errors[1] < errors[0]
        if n == 4 and isinstance(sde, LinearVE | StraightFlow):
            assert errors[2] > 3 * errors[0]  # the line of Multistep


def test_with_fresh_noise_the_correction_keeps_it():
    """The correction of a step changes its estimate: the noise that it drew stays what it was."""
    z = noise(2, 1, 5, seed=2)
    for sde in (OUVE(), SBVE(), VP()):
        problem, y = bimodal(sde), noise(1, 5, seed=1)
        x = sde.sample(y / 2, y, times(0.6), noise(1, 5, seed=3))
        t, s, r = times(0.6), times(0.5), times(0.42)
        solver = UniPC(eta=1.0)
        x_s, memory = solver.step(problem, x, y, t, s, None, lambda like: z[0])
        ours, _ = solver.step(problem, x_s, y, s, r, memory, lambda like: z[1])
        # k = 2 h: the line through both ends of the step, and the state kept with e^-k.
        k = 2 * (sde.log_snr(s) - sde.log_snr(t))
        m_1 = 1 - (1 - torch.exp(-k)) / k
        x0, x0_s = problem(x, y, t).x0, problem(x_s, y, s).x0
        corrected = x_s + sde.scales(s).a * m_1 * (x0_s - x0)
        w = Exponential(eta=1.0).weights(sde, s, r)
        (a_s, b_s, sigma_s), (a, b, _) = sde.scales(s), sde.scales(r)
        noise_s = (corrected - a_s * x0_s - b_s * y) / sigma_s
        theirs = a * x0_s + b * y + w.noise * noise_s + w.z * z[1]
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
        assert (corrected - x_s).abs().max() > 1e-3


@pytest.mark.parametrize("order", [0, 1, 4])
def test_other_orders_are_refused(order):
    with pytest.raises(ValueError, match=f"UniPC: order must be 2 or 3, not {order}"):
        UniPC(order=order)
    with pytest.raises(ValueError, match="eta and start must lie between 0 and 1"):
        UniPC(eta=1.5)
