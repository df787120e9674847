"""The coefficients of the papers, to the letter, in runs from end to end, and their orders."""

from itertools import pairwise

import pytest
import torch
from conftest import FAMILIES, first_often
from erring import LINEAR
from problems import Draws, Gaussian, bimodal, noise, slope, times
from proofs import errors, law_errors

from sgmse.errors import SgmseError
from sgmse.sdes import OUVE, SBVE, VE, VP, CosineVP
from sgmse.solvers import LogSNR, Multistep, Uniform, UniPC, solve

#: B(h) of UniPC for data prediction.
B = {"bh1": lambda h: -h, "bh2": lambda h: torch.expm1(-h)}


def lengths(sde, t, s):
    """alpha_s, sigma_s / sigma_t and h = lambda_s - lambda_t."""
    (a_t, _, sigma_t), (a, _, sigma) = sde.scales(t), sde.scales(s)
    return a, sigma / sigma_t, (a / sigma).log() - (a_t / sigma_t).log()


def dpm_solver(problem, x, y, t, z=None):
    """DPM-Solver++(2M) (algorithm 2 of arXiv:2211.01095v2*), of x - b y; with z its SDE form."""
    sde, before, last = problem.sde, None, None
    for i, (now, after) in enumerate(pairwise(t)):
        a, ratio, h = lengths(sde, now, after)
        x0 = problem(x, y, now).x0
        if before is None:
            D = x0
        else:
            r = last / h
            D = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
        x = x - sde.scales(now).b * y
        if z is None:
            x = ratio * x - a * torch.expm1(-h) * D
        else:
            x = ratio * torch.exp(-h) * x + a * (1 - torch.exp(-2 * h)) * D
            x = x + sde.scales(after).sigma * (1 - torch.exp(-2 * h)).sqrt() * z[i]
        x, before, last = x + sde.scales(after).b * y, x0, h
    return x


@pytest.mark.parametrize("grid", [Uniform, LogSNR])
@pytest.mark.parametrize("sde", [VP(), VE(), CosineVP(), OUVE(), SBVE()], ids=repr)
def test_bh2_is_dpm_solver_2m(sde, grid):
    """The ODE and the SDE, to 1e-14 of the largest value."""
    problem, y, grid = bimodal(sde), noise(1, 5, seed=1), grid(9, 0.9, 0.05, finish=False)
    x, t, draws = noise(1, 5), grid.times(sde).split(1), Draws()
    z = [draws(x) for _ in range(grid.steps)]
    for eta, fresh in ((0.0, None), (1.0, z)):
        solver, left = Multistep(eta, coefficients="bh2"), iter(z)
        ours = solve(problem, y, solver, grid, x=x, randn=lambda like, left=left: next(left)).x
        theirs = dpm_solver(problem, x, y, t, fresh)
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-14
        exact = solve(problem, y, Multistep(eta), grid, x=x, randn=Draws()).x
        assert (exact - theirs).abs().max() > 1e-4


def unipc(problem, x, y, t, p, variant):
    """UniPC-p of arXiv:2302.04867 with B(h), p = 1 or 2: predict, evaluate, correct; of x - b y.

    UniP-2 and UniC-1 have 1 / 2 for the solution of their one equation; UniC-2 solves two.
    """
    sde = problem.sde
    buffer = [(t[0], problem(x, y, t[0]).x0)]
    for i, (now, after) in enumerate(pairwise(t)):
        a, ratio, h = lengths(sde, now, after)
        scale, x0 = B[variant](h), buffer[0][1]
        plain = ratio * (x - sde.scales(now).b * y) - a * torch.expm1(-h) * x0
        b_y = sde.scales(after).b * y
        rest, r = 0.0, []
        if p == 2 and i > 0:
            r = [(sde.log_snr(buffer[1][0]) - sde.log_snr(now)) / h]
            rest = (buffer[1][1] - x0) / r[0]
        predicted = plain - a * scale * 0.5 * rest + b_y
        if i == len(t) - 2:
            return predicted
        x0_s = problem(predicted, y, after).x0
        if not r:
            x = plain - a * scale * 0.5 * (x0_s - x0) + b_y
        else:
            one = torch.ones_like(h)
            phi = [torch.expm1(-h) / -h - 1]  # h phi_2(-h), then h^2 phi_3(-h)
            phi.append(phi[0] / -h - 1 / 2)
            R = torch.stack([torch.cat([one, one]), torch.cat([r[0], one])])
            rho = torch.linalg.solve(R, torch.cat([phi[0], 2 * phi[1]]) / scale)
            x = plain - a * scale * (rho[0] * rest + rho[1] * (x0_s - x0)) + b_y
        buffer = [(after, x0_s), *buffer]


@pytest.mark.parametrize("variant", B)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("sde", [VP(), VE(), OUVE(), SBVE()], ids=repr)
def test_unipc_as_published(sde, p, variant):
    """To 1e-14 of the largest value, on equal and unequal steps of lambda."""
    problem, y, x = bimodal(sde), noise(1, 5, seed=1), noise(1, 5)
    for grid in (Uniform(8, 0.9, 0.05, finish=False), LogSNR(8, 0.9, 0.05, finish=False)):
        solver = UniPC(order=p + 1, coefficients=variant)
        ours = solve(problem, y, solver, grid, x=x, randn=torch.zeros_like).x
        theirs = unipc(problem, x, y, grid.times(sde).split(1), p, variant)
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-14


@pytest.mark.parametrize("variant", B)
@pytest.mark.parametrize("sde", first_often(2, FAMILIES), ids=repr)
def test_orders(sde, variant):
    """Those of the exact integrals, whose errors are others."""
    steps = (32, 64)
    for solver in (
        Multistep(coefficients=variant),
        Multistep(eta=1.0, coefficients=variant),
        Multistep(order=3, coefficients=variant),
        UniPC(coefficients=variant),
        UniPC(order=3, coefficients=variant),
    ):
        order = solver.weak_order if solver.eta else solver.order
        assert slope(list(steps), errors(sde, solver, steps)) > order - 0.3, solver


@pytest.mark.parametrize("variant", B)
@pytest.mark.parametrize("sde", [OUVE(), SBVE()], ids=repr)
def test_orders_on_estimates_that_err(sde, variant):
    """Second, of mean and variance, for the ODE, the SDE and between them."""
    steps, grid = (32, 64), LogSNR(2, 0.9, 0.1, finish=False)
    for eta in (0.0, 0.7, 1.0):
        for solver in (
            Multistep(eta, coefficients=variant),
            UniPC(eta, coefficients=variant),
        ):
            found = law_errors(LINEAR["linear"], sde, solver, grid, steps)
            assert slope(list(steps), found) > 1.8, solver


def test_from_an_infinite_lambda_and_to_the_end():
    """From the end of a bridge to t = 0, where nothing may be infinite."""
    problem, y = Gaussian(SBVE(), 0.5, 0.3), noise(1, 5)
    for variant in B:
        for solver in (Multistep(1.0, coefficients=variant), UniPC(order=3, coefficients=variant)):
            assert solve(problem, y, solver, Uniform(5)).x.isfinite().all()
        w = Multistep().weights(SBVE(), times(1.0), times(0.5))
        assert Multistep(coefficients=variant).bend(w, torch.zeros(1)) == (0,)


def test_refused():
    with pytest.raises(SgmseError, match="coefficients must be 'exact', 'bh1' or 'bh2'"):
        Multistep(coefficients="midpoint")
