"""eta as a function of time: its area, the law and the orders it keeps, and SA-Solver."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import FAMILIES, in_turn
from erring import Affine, squared
from problems import Draws, Gaussian, noise, slope, times
from proofs import VARIANCES, law_errors, response
from scipy.integrate import quad

from sgmse.checkpoints import CLASSES
from sgmse.compat import DDIM
from sgmse.config import from_plain, to_plain
from sgmse.errors import SgmseError
from sgmse.sdes import OUVE, SBVE, VP, FlowMatching, StraightFlow
from sgmse.solvers import (
    Between,
    Exponential,
    Extended,
    LogSNR,
    Multistep,
    Singlestep,
    Solver,
    Uniform,
    UniPC,
    solve,
)

MEAN = 0.5 - 0.3j
STRENGTHS = [Between(0.7, 0.25, 0.6), Extended(), Extended(0.8, 0.5)]
GRID = LogSNR(2, 0.9, 0.1, finish=False)


@pytest.mark.parametrize("strength", STRENGTHS, ids=repr)
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_the_area_is_the_integral(sde, strength):
    """Of eta^2 over lambda, with the jumps of eta; the areas of parts are those of the whole."""
    density, jumps = squared(strength, sde)
    t = sde.log_snr(times(0.95, 0.7, 0.5, 0.3, 0.1, 0.01))
    found = strength.area(sde, t[:-1], t[1:])
    for area, (low, high) in zip(found.tolist(), pairwise(t.tolist()), strict=True):
        points = [low, *(jump for jump in jumps if low < jump < high), high]
        exact = sum(quad(density, *part, epsabs=0, epsrel=1e-12)[0] for part in pairwise(points))
        assert area == pytest.approx(exact, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(strength.area(sde, t[:1], t[-1:]), found.sum()[None])
    assert (found >= 0).all()
    assert found.sum() > 0


def test_the_area_to_infinity():
    """From where nothing is left of x0 and to where no noise is."""
    low, high = FlowMatching().log_snr(times(1.0)), FlowMatching().log_snr(times(0.5))
    assert Between(0.5).area(FlowMatching(), low, high) == torch.inf
    assert Between(0.5, high=0.9).area(FlowMatching(), low, high).isfinite()
    assert Extended().area(FlowMatching(), low, high) == torch.inf
    end = OUVE().log_snr(times(0.0))
    assert Between(0.5).area(OUVE(), high, end).isfinite()
    assert Between(0.5, low=0.0).area(OUVE(), high, end) == torch.inf
    assert Extended().area(OUVE(), high, end).isfinite()


@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_an_interval_of_all_times_is_a_number(sde):
    problem, y = Gaussian(sde, MEAN, 0.3), noise(1, 5, seed=1)
    for kind in (Exponential, Multistep, UniPC, Singlestep):
        ends = [
            solve(problem, y, kind(eta), Uniform(6), x=sde.prior(y, noise(1, 5)), randn=Draws()).x
            for eta in (0.6, Between(0.6, 0.0, 1.0))
        ]
        torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-11)
        flow, never = (
            solve(problem, y, kind(eta), Uniform(6, 0.9), x=y, randn=Draws()).x
            for eta in (0.0, Between(0.6, 0.95, 1.0))
        )
        torch.testing.assert_close(never, flow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strength", STRENGTHS, ids=repr)
@pytest.mark.parametrize("sde", FAMILIES, ids=repr)
def test_the_law_is_that_of_the_process(sde, strength):
    problem = Gaussian(sde, MEAN, VARIANCES)
    mean, exact = problem.moments(torch.full((1, 16), 0.4 + 0.2j), times(0.1))
    for solver in (Multistep(strength), UniPC(strength, order=3)):
        found_mean, found = response(problem, solver, replace(GRID, steps=60))
        assert ((found_mean - mean[0]).abs() < 0.01 * exact[0].sqrt()).all()
        assert ((found / exact[0] - 1).abs() < 0.01).all()


@pytest.mark.parametrize(
    ("sde", "strength", "solver"),
    in_turn([OUVE(), SBVE()], STRENGTHS, [Multistep(), UniPC(), Singlestep()]),
    ids=repr,
)
def test_orders_on_estimates_that_err(sde, strength, solver):
    """Two for mean and variance, also where eta jumps within a step."""
    steps, ours = (20, 80), replace(solver, eta=strength)
    found = law_errors(Affine, sde, ours, GRID, steps)
    assert slope(steps, found) > ours.weak_order - 0.2


POINTS = [((q + 1) / 2, w / 2) for q, w in zip(*np.polynomial.legendre.leggauss(40), strict=True)]


def adams(sde, x, t, s, known, tau, z):
    """A step of SA-Solver (eq. 12* to 18*) from x at t to s, through the known (time, x0).

    A predictor where all of them are earlier than s, a corrector where one is at it.

        x_s = sigma_s / sigma_t e^(-tau^2 h) x_t + sum_j b_j x0_j + n z
        n^2 = sigma_s^2 (1 - e^(-2 tau^2 h))
        b_j = sigma_s int e^(-tau^2 (lambda_s - lambda)) (1 + tau^2) e^lambda l_j(lambda) dlambda
    """
    (_, _, sigma_t), (_, _, sigma) = sde.scales(t), sde.scales(s)
    first, last = sde.log_snr(t), sde.log_snr(s)
    h, at = last - first, [sde.log_snr(u) for u, _ in known]
    total = sigma / sigma_t * torch.exp(-(tau**2) * h) * x
    for j, (_, x0) in enumerate(known):
        b = 0.0
        for q, w in POINTS:
            u = first + q * h
            others = [(u - v) / (at[j] - v) for i, v in enumerate(at) if i != j]
            basis = torch.stack([torch.ones_like(u), *others]).prod(dim=0)
            b = b + w * h * torch.exp(-(tau**2) * (last - u)) * (1 + tau**2) * u.exp() * basis
        total = total + sigma * b * x0
    return total + sigma * (-torch.expm1(-2 * tau**2 * h)).sqrt() * z


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("sde", [VP(), OUVE(), SBVE(), StraightFlow()], ids=repr)
def test_unipc_is_sa_solver(sde, order):
    """A predictor of s = order - 1 steps and a corrector of as many, with one draw for both.

    tau(t) is constant in each step, in an interval and 0 outside, as the paper has it.
    """
    problem, y, grid = Gaussian(sde, MEAN, 0.3), 0 * noise(1, 5), Uniform(8, 0.9, 0.1, finish=False)
    start, t = noise(1, 5), grid.times(sde).split(1)
    low, high = (float(grid.times(sde)[i]) for i in (6, 2))
    draws = [noise(1, 5, seed=2 + i) for i in range(grid.steps)]
    left = iter(draws)
    solver: Solver = UniPC(Between(0.8, low, high), order=order)
    ours = solve(problem, y, solver, grid, x=start, randn=lambda like: next(left)).x
    x, buffer = start, [(t[0], problem(start, y, t[0]).x0)]
    for i, ((now, after), z) in enumerate(zip(pairwise(t), draws, strict=True)):
        tau = 0.8 if low < float(now) <= high else 0.0
        predicted = adams(sde, x, now, after, buffer[: order - 1], tau, z)
        if i == grid.steps - 1:
            x = predicted
            break
        end = (after, problem(predicted, y, after).x0)
        x = adams(sde, x, now, after, [end, *buffer[: order - 1]], tau, z)
        buffer = [end, *buffer]
    torch.testing.assert_close(ours, x, rtol=1e-11, atol=1e-11)


def test_in_files():
    for strength in STRENGTHS:
        plain = to_plain(Multistep(strength), CLASSES)
        assert from_plain(Solver, plain, CLASSES) == Multistep(strength)
    assert from_plain(Solver, {"class": "Multistep", "eta": 0.5}, CLASSES) == Multistep(0.5)


def test_refused():
    for arguments in ({"low": 0.5, "high": 0.2}, {"low": -0.1}, {"high": 1.2}, {"eta": 0.0}):
        with pytest.raises(SgmseError, match="Between: "):
            Between(**arguments)
    with pytest.raises(SgmseError, match="power must be positive"):
        Extended(power=0.0)
    with pytest.raises(SgmseError, match="eta must be a number or a Strength, not the class"):
        Multistep(Between)
    # DDIM's own eta is of one step, and no function of time.
    with pytest.raises(SgmseError, match="eta must be a number"):
        DDIM(Between())


@pytest.mark.parametrize("sde", [VP(), OUVE()], ids=repr)
def test_exponential_is_er_sde_solver_1(sde):
    """x_s = (a_s / a_t) q x + a_s (1 - q) x0 + a_s sqrt(v_s^2 - q^2 v_t^2) z, q = phi_s / phi_t."""
    problem, x, z, y = Gaussian(sde, MEAN, 0.3), noise(1, 5), noise(1, 5, seed=1), 0 * noise(1, 5)
    t, s = times(0.6), times(0.5)
    (a_t, _, sigma_t), (a, _, sigma) = sde.scales(t), sde.scales(s)
    v_t, v = sigma_t / a_t, sigma / a
    q = v * ((v**0.3).exp() + 10) / (v_t * ((v_t**0.3).exp() + 10))
    spread = a * (v**2 - (q * v_t) ** 2).sqrt()
    theirs = a / a_t * q * x + a * (1 - q) * problem(x, y, t).x0 + spread * z
    ours, _ = Exponential(Extended()).step(problem, x, y, t, s, (), lambda like: z)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
