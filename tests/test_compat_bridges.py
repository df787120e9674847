"""The published samplers of bridges: their papers' own arithmetic, and their orders."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log

import pytest
import torch
from conftest import SDES, first_of_each, first_often
from problems import Draws, Gaussian, noise, slope, times
from proofs import VARIANCES, flow_errors, response
from torch import Tensor

from sgmse.compat import DBIM, DBMSolver, HybridHeun
from sgmse.estimates import Estimate
from sgmse.sdes import OUVE, SBVE, SBVP, SDE, VP, BrownianBridge, Scales, expand
from sgmse.solvers import (
    LAST_START,
    Exponential,
    Heun,
    LogSNR,
    Multistep,
    Singlestep,
    Uniform,
    solve,
)

BRIDGES = [sde for sde in SDES if sde.pinned]


@dataclass(frozen=True)
class BridgeVE(SDE):
    """The VE bridge of DDBM, whose time is u = end t: alpha = 1, sigma_u = u."""

    end: float = 3.0

    def scales(self, t: Tensor) -> Scales:
        return Scales(1 - t**2, t**2, self.end * t * (1 - t**2).clamp(min=0).sqrt())


@dataclass(frozen=True)
class Untied:
    """A bridge and the diffusion that is tied in it, as the papers write it."""

    bridge: SDE
    alpha: Callable[[Tensor], Tensor]
    #: sigma_u^2 / alpha^2
    rho2: Callable[[Tensor], Tensor]
    #: the times of the papers over ours, and f and g^2 of the untied diffusion in them
    end: float
    f: Callable[[Tensor], Tensor]
    g2: Callable[[Tensor], Tensor]

    def abc(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a_t of x_T, b_t of x0 and c_t of the noise, DBIM eq. 4."""
        snr, last = 1 / self.rho2(t), 1 / self.rho2(torch.ones_like(t))
        alpha = self.alpha(t)
        return (
            alpha / self.alpha(torch.ones_like(t)) * last / snr,
            alpha * (1 - last / snr),
            alpha * (self.rho2(t) * (1 - last / snr)).sqrt(),
        )


def gentle(t: Tensor) -> Tensor:
    """B of DDBM's VP: beta = 0.1 + 2 t."""
    return 0.1 * t + t**2


UNTIED = [
    Untied(
        BridgeVE(),
        torch.ones_like,
        lambda t: (3 * t) ** 2,
        end=3.0,
        f=torch.zeros_like,
        g2=lambda t: 2 * 3 * t,
    ),
    Untied(
        SBVP(0.1, 2.1, c=1.0),
        lambda t: torch.exp(-gentle(t) / 2),
        lambda t: torch.expm1(gentle(t)),
        end=1.0,
        f=lambda t: -(0.1 + 2 * t) / 2,
        g2=lambda t: 0.1 + 2 * t,
    ),
    Untied(
        SBVE(2.6, 0.4),
        torch.ones_like,
        lambda t: 0.4 * (2.6 ** (2 * t) - 1) / (2 * log(2.6)),
        end=1.0,
        f=torch.zeros_like,
        g2=lambda t: 0.4 * 2.6 ** (2 * t),
    ),
    Untied(
        BrownianBridge(0.7),
        torch.ones_like,
        lambda t: 0.7 * t,
        end=1.0,
        f=torch.zeros_like,
        g2=lambda t: torch.full_like(t, 0.7),
    ),
]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def run(untied: Untied, solver, grid, x: Tensor | None = None) -> tuple[Tensor, Gaussian, Tensor]:
    problem, y = Gaussian(untied.bridge, 0.5 - 0.3j, 0.3), noise(2, 4, seed=3)
    return solve(problem, y, solver, grid, x=x, randn=Draws(5)).x, problem, y


@pytest.mark.parametrize("untied", UNTIED, ids=lambda u: repr(u.bridge))
def test_the_bridges_are_the_tied_diffusions(untied):
    t = times(0.05, 0.3, 0.6, 0.95)
    a, b, sigma = untied.bridge.scales(t)
    for ours, theirs in zip((b, a, sigma), untied.abc(t), strict=True):
        close(ours, theirs)


# DBIM


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("untied", UNTIED, ids=lambda u: repr(u.bridge))
def test_dbim_by_its_paper(untied, eta):
    """The booting noise at the first time, then the update with rho_n, to the coefficient."""
    grid = Uniform(5, end=0.1, finish=False)
    ours, problem, y = run(untied, DBIM(eta=eta), grid)
    draw = Draws(5)
    t = grid.times(untied.bridge)[:, None].expand(-1, 2)

    def scales(u: Tensor) -> list[Tensor]:
        return [expand(scale, y) for scale in untied.abc(u)]

    a, b, c = scales(t[1])
    x = a * y + b * problem(y, y, t[0]).x0 + c * draw(y)
    for u, s in pairwise(t[1:]):
        (a_t, b_t, c_t), (a_s, b_s, c_s) = scales(u), scales(s)
        snr_t, snr_s = (expand(1 / untied.rho2(v), y) for v in (u, s))
        rho = eta * expand(untied.alpha(s), y) * snr_s**-0.5 * (1 - snr_t / snr_s).sqrt()
        x0 = problem(x, y, u).x0
        kept = (c_s**2 - rho**2).sqrt() / c_t
        z = draw(y) if eta else 0
        x = a_s * y + b_s * x0 + kept * (x - a_t * y - b_t * x0) + rho * z
    close(ours, x)


@pytest.mark.parametrize("points", [2, 3])
@pytest.mark.parametrize("untied", UNTIED[1:3], ids=lambda u: repr(u.bridge))
def test_dbim_of_higher_order_by_its_paper(untied, points):
    """x_s = (c_s / c_t) x_t + (...) y + c_s int e^lambda x0 d lambda, x0 a Taylor polynomial."""
    grid = Uniform(6, end=0.05, finish=False)
    ours, problem, y = run(untied, DBIM(points=points), grid)
    draw = Draws(5)
    t = grid.times(untied.bridge)

    def scales(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b, c = untied.abc(u)
        return a, b, c, (b / c).log()

    a, b, c, _ = scales(t[1])
    x = a * y + b * problem(y, y, t[:1].expand(2)).x0 + c * draw(y)
    past: list[tuple[Tensor, Tensor]] = []
    for u, s in pairwise(t[1:]):
        (a_t, _, c_t, of_t), (a_s, _, c_s, of_s) = scales(u), scales(s)
        x0, h = problem(x, y, u[None].expand(2)).x0, of_s - of_t
        integral = (1 - torch.exp(-h)) * x0
        if len(past) == 1 or (points == 2 and past):
            (of_1, x0_1) = past[-1]
            integral = integral + (torch.exp(-h) + h - 1) * (x0 - x0_1) / (of_t - of_1)
        elif past:
            (of_2, x0_2), (of_1, x0_1) = past[-2:]
            h_1, h_2 = of_t - of_1, of_1 - of_2
            new, old = (x0 - x0_1) / h_1, (x0_1 - x0_2) / h_2
            first = (new * (2 * h_1 + h_2) - old * h_1) / (h_1 + h_2)
            second = 2 * (new - old) / (h_1 + h_2)
            integral = integral + (torch.exp(-h) + h - 1) * first
            integral = integral + (h**2 / 2 - h + 1 - torch.exp(-h)) * second
        x = c_s / c_t * x + (a_s - c_s / c_t * a_t) * y + c_s * torch.exp(of_s) * integral
        past.append((of_t, x0))
    close(ours, x)


@pytest.mark.parametrize(
    ("dbim", "ours"),
    [
        (DBIM(), Exponential()),
        (DBIM(start=0.0), Exponential(start=0.0)),
        (DBIM(eta=1.0), Exponential(eta=1.0)),
        (DBIM(points=2), Multistep()),
    ],
    ids=repr,
)
@pytest.mark.parametrize("sde", [*BRIDGES, VP(), OUVE()], ids=repr)
def test_where_dbim_is_a_solver_of_the_library(sde, dbim, ours):
    problem, y = Gaussian(sde, 0.5 - 0.3j, 0.3), noise(2, 4, seed=3)
    one, other = (
        solve(problem, y, solver, Uniform(6, end=0.02), x=None, randn=Draws(5))
        for solver in (dbim, ours)
    )
    close(one.x, other.x)
    assert one.nfe == other.nfe == 6
    assert dbim.draws(sde) == ours.draws(sde)


def test_dbim_on_a_diffusion_is_ddim():
    """Song, Meng, Ermon 2021, eq. 12 and 16, with alpha-bar for alpha^2."""
    sde, x, z = VP(), noise(1, 5), noise(1, 5, seed=1)
    problem, t, s = Gaussian(sde, 0.5, 0.3), times(0.6), times(0.35)
    ours, _ = DBIM(eta=0.6).step(problem, x, x, t, s, None, lambda like: z)
    before, now = (sde.scales(u).a ** 2 for u in (t, s))
    sigma = 0.6 * ((1 - now) / (1 - before)).sqrt() * (1 - before / now).sqrt()
    epsilon = problem(x, x, t).noise
    predicted = (x - (1 - before).sqrt() * epsilon) / before.sqrt()
    close(ours, now.sqrt() * predicted + (1 - now - sigma**2).sqrt() * epsilon + sigma * z)


# DDBM


@pytest.mark.parametrize("share", [0.0, 0.33, 0.7])
@pytest.mark.parametrize("untied", UNTIED, ids=lambda u: repr(u.bridge))
def test_ddbm_by_its_paper(untied, share):
    """Algorithm 1, with Doob's h of the tied diffusion, in the times of the paper."""
    grid = Uniform(4, start=0.95, end=0.2, finish=False)
    start = noise(2, 4, seed=7)
    ours, problem, y = run(untied, HybridHeun(share), grid, start)
    draw, end = Draws(5), torch.ones(2, dtype=torch.float64)

    def drift(x: Tensor, t: Tensor, part: float) -> tuple[Tensor, Tensor]:
        """f x - g^2 (part score - h) of the paper's time, and g^2."""
        a, b, c = (expand(scale, x) for scale in untied.abc(t))
        score = -(x - a * y - b * problem(x, y, t).x0) / c**2
        alpha, alpha_1 = untied.alpha(t), untied.alpha(end)
        variance = alpha**2 * (untied.rho2(end) - untied.rho2(t))
        h = -(x - expand(alpha / alpha_1, x) * y) / expand(variance, x)
        g2 = expand(untied.g2(t), x)
        return expand(untied.f(t), x) * x - g2 * (part * score - h), g2

    x = start
    for t, s in pairwise(grid.times(untied.bridge)[:, None].expand(-1, 2)):
        if share:
            middle = t + share * (s - t)
            step = expand(untied.end * (middle - t), x)
            d, g2 = drift(x, t, 1.0)
            x = x + d * step + draw(x) * (step.abs() * g2).sqrt()
            t = middle
        step = expand(untied.end * (s - t), x)
        d, _ = drift(x, t, 0.5)
        d_2, _ = drift(x + d * step, s, 0.5)
        x = x + (d + d_2) / 2 * step
    torch.testing.assert_close(ours, x, rtol=1e-11, atol=1e-11)  # g^2 by automatic derivatives


def test_ddbm_without_noise_is_heun():
    problem, y = Gaussian(SBVE(), 0.5, 0.3), noise(2, 4)
    grid = Uniform(5, start=LAST_START)
    one, other = (solve(problem, y, s, grid, randn=Draws()) for s in (HybridHeun(0.0), Heun()))
    assert torch.equal(one.x, other.x)
    assert one.nfe == other.nfe == 9
    assert solve(problem, y, HybridHeun(), grid, randn=Draws()).nfe == 4 * 3 + 2


@pytest.mark.parametrize("sde", SDES, ids=repr)
def test_ddbm_serves_every_process_or_says_from_when(sde):
    y = noise(2, 4)
    for solver in (HybridHeun(), HybridHeun(0.0)):
        why = solver.refusal(sde, 1.0)
        assert (why is not None) >= sde.pinned
        assert why is None or "start the grid before it (start=0.999)" in why
        x = solve(Gaussian(sde, 0.5, 0.3), y, solver, Uniform(8, start=0.999)).x
        assert x.isfinite().all()


# DBMSolver


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("untied", UNTIED, ids=lambda u: repr(u.bridge))
def test_dbmsolver_by_its_code(untied, first):
    """Written in the SNR of the untied diffusion, as there."""
    grid = Uniform(4, end=0.1, finish=False)
    kept = float(untied.alpha(times(1.0)))
    ours, problem, y = run(untied, DBMSolver(first, kept=kept), grid)
    draw, t = Draws(5), grid.times(untied.bridge)

    def snr(u: Tensor) -> Tensor:
        return 1 / untied.rho2(u)

    last, alpha_1 = snr(times(1.0)), untied.alpha(times(1.0))

    def time_with(value: Tensor) -> Tensor:
        low, high = times(1e-6), times(1.0)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if snr(middle) > value else (low, middle)
        return high

    def x0_at(x: Tensor, u: Tensor) -> Tensor:
        return problem(x, y, u.expand(2)).x0

    # From y, where half of the logarithm of the SNR is lambda: the solution of the SDE.
    s, z, x0 = t[1:2], draw(y), x0_at(y, times(1.0))

    def booted(u: Tensor, x0: Tensor) -> Tensor:
        h, alpha = (snr(u) / last).log() / 2, untied.alpha(u)
        sigma, sigma_1 = alpha * untied.rho2(u).sqrt(), alpha_1 * untied.rho2(times(1.0)).sqrt()
        fresh = -torch.expm1(-2 * h)
        return sigma / sigma_1 * torch.exp(-h) * y + alpha * fresh * x0 + sigma * fresh.sqrt() * z

    x = booted(s, x0)
    if first == 2:
        m = time_with((last * snr(s)).sqrt())
        share = (snr(m) / last).log() / (snr(s) / last).log()
        bend = (x0_at(booted(m, x0), m) - x0) / share
        x = x - 0.5 * untied.alpha(s) * torch.expm1(-(snr(s) / last).log()) * bend
    for u, s in zip(t[1:-1, None], t[2:, None], strict=True):
        x0, m = x0_at(x, u), time_with((snr(u) * snr(s)).sqrt())

        def along(v: Tensor, x: Tensor = x, x0: Tensor = x0, u: Tensor = u) -> Tensor:
            alpha, grown = untied.alpha(v), ((snr(v) / last - 1) / (snr(u) / last - 1)).sqrt()
            return (
                alpha / untied.alpha(u) * grown * snr(u) / snr(v) * x
                + alpha * (1 - last / snr(v)) * (1 - 1 / grown) * x0
                + alpha / alpha_1 * last / snr(v) * (1 - grown) * y
            )

        steep = (x0_at(along(m), m) - x0) / ((snr(m) / snr(u)).log() / 2)
        p_u, p_s = ((snr(v) / last - 1).sqrt() for v in (u, s))
        weight = (p_s.arctan() - p_u.arctan()) / p_s + (snr(s) / snr(u)).log() / 2 - 1 + p_u / p_s
        x = along(s) + untied.alpha(s) * (1 - last / snr(s)) * weight * steep
    torch.testing.assert_close(ours, x, rtol=1e-11, atol=1e-11)  # m by two bisections


def test_dbmsolver_costs_one_evaluation_at_the_start():
    problem, y = Gaussian(SBVE(), 0.5, 0.3), noise(2, 4)
    assert solve(problem, y, DBMSolver(), Uniform(5)).nfe == 1 + 3 * 2 + 1
    assert solve(problem, y, DBMSolver(first=2), Uniform(5)).nfe == 4 * 2 + 1


def test_dbmsolver_becomes_singlestep():
    """With an SNR at the end that goes to 0, inside a bridge where it says nothing."""
    sde = SBVE(k=1.0000001, c=1e6)
    problem, x, y = Gaussian(sde, 0.5, 0.3), noise(1, 5), noise(1, 5, seed=1)
    t, s = times(1e-3), times(5e-4)
    ours, _ = DBMSolver().step(problem, x, y, t, s, (), noise)
    theirs, _ = Singlestep().step(problem, x, y, t, s, None, torch.zeros_like)
    plain, _ = Exponential().step(problem, x, y, t, s, (), torch.zeros_like)
    assert (ours - theirs).abs().max() < 0.05 * (ours - plain).abs().max()


@pytest.mark.parametrize("sde", [OUVE(), VP()], ids=repr)
def test_dbmsolver_is_refused_where_nothing_is_tied(sde):
    with pytest.raises(ValueError, match=r"DBMSolver is made for bridges.* use Singlestep"):
        solve(Gaussian(sde), noise(1, 2), DBMSolver(), Uniform(3))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DBIM(eta=1.1), "eta and start must lie between 0 and 1"),
        (lambda: DBIM(points=4), "points must be 1, 2 or 3, not 4"),
        (lambda: DBIM(eta=0.5, points=2), "2 points are made for eta = 0, not 0.5; use Multistep"),
        (lambda: HybridHeun(1.0), "share must be at least 0 and below 1, not 1.0"),
        (lambda: DBMSolver(first=3), "first must be 1 or 2, not 3"),
        (lambda: DBMSolver(middle="mean"), "middle must be 'snr' or 'time', not 'mean'"),
        (lambda: DBMSolver(kept=0.0), "kept must be positive, not 0.0"),
    ],
)
def test_wrong_values(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.slow
def test_single_precision():
    for sde in BRIDGES:
        problem, y = Gaussian(sde, 0.5, 0.3), noise(2, 4)
        for solver in (DBIM(eta=0.5), DBIM(points=3), DBMSolver(first=2), HybridHeun()):
            grid, results = Uniform(6, start=LAST_START), []
            for dtype in (torch.complex128, torch.complex64):
                draw = Draws()
                end = solve(
                    problem,
                    y.to(dtype),
                    solver,
                    grid,
                    randn=lambda x, draw=draw: draw(x.to(torch.complex128)).to(x.dtype),
                ).x
                assert end.dtype == dtype
                results.append(end.to(torch.complex128))
            # g^2 of BBED loses four digits beside its end, where the first step of DDBM needs it.
            torch.testing.assert_close(*results, rtol=2e-3, atol=2e-3)


# Orders, on exact estimates and on estimates that err

#: Where the largest of the errors is not changing its sign.
COUNTS = (128, 256)
FEW = (32, 64)
GRID = LogSNR(2, 0.9, 0.1, finish=False)


class Erring(Gaussian):
    """x0 too small and biased, whatever the state: no posterior has these estimates."""

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        x0 = 0.8 * super().__call__(x, y, t).x0 + 0.1
        a, b, sigma = (expand(scale, x) for scale in self.sde.scales(t))
        return Estimate(x0, (x - a * x0 - b * y) / sigma)


def moments(problem: Gaussian, eta2: float, steps: int = 400) -> tuple[Tensor, Tensor]:
    """Mean and variance at the end of GRID of the reverse process of strength eta^2,

        dx = [f x + h y - (1 + eta^2) / 2 g^2 score] dt + eta g dw,

    for estimates that are linear in x, by Runge and Kutta's method for mean and variance.
    """
    t = torch.linspace(GRID.start, GRID.end, 2 * steps + 1, dtype=torch.float64)
    y = torch.full((len(t), 16), 0.4 + 0.2j, dtype=torch.complex128)
    at_0, at_1 = (problem(torch.full_like(y, value), y, t).noise for value in (0, 1))
    f, h, g = (c[:, None] for c in problem.sde.coefficients(t))
    to_noise = (1 + eta2) / 2 * g**2 / problem.sde.scales(t).sigma[:, None]
    line, constant = f + to_noise * (at_1 - at_0).real, h * y + to_noise * at_0
    now = torch.stack(torch.broadcast_tensors(*problem.moments(y[:1], t[:1])))[:, 0]

    def rate(i: int, now: Tensor) -> Tensor:
        return torch.stack(
            [line[i] * now[0] + constant[i], 2 * line[i] * now[1] - eta2 * g[i] ** 2]
        )

    d = t[2] - t[0]
    for i in range(0, 2 * steps, 2):
        k_1 = rate(i, now)
        k_2 = rate(i + 1, now + d / 2 * k_1)
        k_3 = rate(i + 1, now + d / 2 * k_2)
        now = now + d / 6 * (k_1 + 2 * k_2 + 2 * k_3 + rate(i + 2, now + d * k_3))
    return now[0], now[1].real


NOISE = [
    (DBIM(), 0.0),
    (DBIM(points=2), 0.0),
    (DBIM(points=3), 0.0),
    (DBIM(eta=0.4), 0.16),
    (DBIM(eta=1.0), 1.0),
    (DBMSolver(), 0.0),
    (DBMSolver(middle="time"), 0.0),
    (HybridHeun(0.0), 0.0),
    (HybridHeun(0.33), 0.33),
    (HybridHeun(0.7), 0.7),
]


CASES = first_often(1, [(SBVE(), FEW, 0.15), *((sde, COUNTS, 0.12) for sde in BRIDGES)])


@pytest.mark.parametrize(("sde", "counts", "tolerance"), CASES, ids=repr)
@pytest.mark.parametrize(("solver", "eta2"), first_of_each(NOISE), ids=repr)
def test_orders_on_estimates_that_err(solver, eta2, sde, counts, tolerance):
    """Mean and variance, of the process of that strength: HybridHeun's is its share of noise."""
    problem = Erring(sde, 0.5 - 0.3j, VARIANCES)
    mean, variance = moments(problem, eta2)
    found = [response(problem, solver, replace(GRID, steps=n)) for n in counts]
    for errors in (
        [float((m - mean).abs().max()) for m, _ in found],
        [float((v / variance - 1).abs().max()) for _, v in found],
    ):
        assert slope(list(counts), errors) > solver.weak_order - tolerance


@pytest.mark.parametrize(("sde", "counts", "tolerance"), CASES, ids=repr)
@pytest.mark.parametrize("solver", [solver for solver, eta2 in NOISE if eta2 == 0], ids=repr)
def test_orders_of_the_paths(solver, sde, counts, tolerance):
    found = flow_errors(Gaussian(sde, 0.5 - 0.3j, VARIANCES), solver, GRID, counts)
    assert slope(list(counts), found) > solver.order - tolerance
