"""How the claims of a solver are measured: its order, and the distribution that it ends in.

With exact estimates (`errors`), and with estimates that err (`law_errors`, `finer_errors`), which
alone tell one SDE from another.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import torch
from erring import Affine
from problems import Gaussian, noise, times
from torch import Tensor

from sgmse.compat import HybridHeun
from sgmse.sdes import SDE
from sgmse.solvers import (
    DormandPrince,
    Grid,
    Heun,
    LogSNR,
    MeanShifted,
    Model,
    ReverseDiffusion,
    Solver,
    Step,
    Strength,
    Uniform,
    Wrapping,
    solve,
)

STEPS = (32, 64, 128)
# Several at once: the error of a single one may change its sign at some number of steps.
VARIANCES = torch.logspace(-2, 0.5, 16, dtype=torch.float64)[None]


def flow_errors(
    problem: Gaussian, solver: Solver, grid: Grid, steps: Sequence[int] = STEPS
) -> list[float]:
    """Distance to the exact probability flow after each number of steps, from anywhere.

    The problem's mean and variance broadcast over 16 values.
    """
    x, y = noise(1, 16), 0.7 * noise(1, 16, seed=1)
    exact = problem.flow(x, y, times(grid.start), times(grid.end))
    return [
        float((solve(problem, y, solver, replace(grid, steps=n), x=x).x - exact).abs().max())
        for n in steps
    ]


def response(
    problem: Gaussian, solver: Solver, grid: Grid, model: Model | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the samples of a solver that is linear in the noise, without sampling.

    One of each for every variance of the posterior, which is (1, number). `model` is another one
    than the problem, from the start of the problem.

    Item j of the batch is given a 1 as its j-th draw and zeros else, so that it ends at the weight
    of that draw; the first draw is that of x at the start of the grid.
    """
    items, draws = 2 * grid.steps + 2, 0  # more than there are draws
    y = torch.full((items, problem.variance.shape[1]), 0.4 + 0.2j, dtype=torch.complex128)
    mean, variance = problem.moments(y, torch.full((items,), grid.start, dtype=torch.float64))
    x = mean.clone()
    x[0] += variance[0].sqrt()

    def impulse(like: Tensor) -> Tensor:
        nonlocal draws
        draws += 1
        item = torch.arange(len(like)) == draws
        return item.to(like)[:, None].expand_as(like)

    x = solve(model or problem, y, solver, grid, x=x, randn=impulse).x
    assert draws < items - 1
    silent = x[-1]  # the last one has none
    return silent, (x - silent).abs().pow(2).sum(dim=0)


def faultless(problem: Gaussian) -> Affine:
    """The exact estimate, as one that has moments."""
    return Affine(problem, 1.0, 0.0)


def errors(sde: SDE, solver: Solver, steps: Sequence[int] = STEPS) -> list[float] | None:
    """How far each number of steps from t = 0.9 to 0.1 is off, in equal steps of lambda.

    Of the path to the exact flow for a solver that draws nothing there, else of the variance of the
    samples, relative to the exact one. None where a number of steps says nothing about the error:
    with a corrector.
    """
    if not solver.order or solver.refusal(sde, 0.9):
        return None
    problem = Gaussian(sde, 0.5 - 0.3j, VARIANCES)
    grid = LogSNR(2, 0.9, 0.1, finish=False)
    if isinstance(solver, MeanShifted):
        return law_errors(faultless, sde, solver, grid, steps)
    found = []
    for n in steps:
        shared = fair(solver, n)
        if silent(sde, solver):
            found += flow_errors(problem, shared, grid, [n])
        else:
            _, exact = problem.moments(torch.zeros(1, 1), times(0.1))
            _, variance = response(problem, shared, replace(grid, steps=n))
            found.append(float((variance / exact - 1).abs().max()))
    return found


def law_errors(
    kind: Callable[[Gaussian], Affine], sde: SDE, solver: Solver, grid: Grid, steps: Sequence[int]
) -> list[float]:
    """How far mean and variance of the samples are off, those of the SDE being known.

    The mean in standard deviations, the variance relative, the larger one; of all `VARIANCES`. The
    start is the law of the process there, as a solver moves it. A flow is a line in its start, so
    that for one this is the error of the path. The SDE of a solver with churn depends on its grid;
    there it is the distance to twice the steps, which must be doubled.
    """
    model = kind(Gaussian(sde, 0.5 - 0.3j, VARIANCES))
    eta = strength(solver)
    if eta is None:
        laws = [
            response(model.problem, fair(solver, n), replace(grid, steps=n), model)
            for n in (*steps, 2 * steps[-1])
        ]
        return [distance(ours, finer) for ours, finer in pairwise(laws)]
    y = torch.full((1, VARIANCES.shape[1]), 0.4 + 0.2j, dtype=torch.complex128)
    t, s = times(grid.start), times(grid.end)
    mean, variance = (part.expand_as(y) for part in model.problem.moments(y, t))
    if isinstance(solver, MeanShifted):
        mean = solver.moved(model, mean, y, t)
    if sde.scales(t).sigma == 0:
        variance = torch.ones_like(variance)  # of the noise that a solver draws there
    mean, variance = model.moments(y, mean, variance, t, s, eta)
    return [
        distance(
            response(model.problem, fair(solver, n), replace(grid, steps=n), model),
            (mean[0], variance[0]),
        )
        for n in steps
    ]


def distance(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> float:
    """The largest difference of means, in standard deviations, and of variances, relative."""
    (mean, variance), (exact, spread) = ours, theirs
    of_mean = ((mean - exact).abs() / spread.sqrt()).max()
    return float(torch.maximum(of_mean, (variance / spread - 1).abs().max()))


def finer_errors(
    kind: Callable[[Gaussian], Model], sde: SDE, solver: Solver, grid: Grid, steps: Sequence[int]
) -> list[float]:
    """How far paths without noise are from those with twice the steps, for each of `steps`.

    For any estimate; where these distances fall with an order, so do those to the limit.
    """
    model = kind(Gaussian(sde, 0.5, VARIANCES))
    x, y = noise(1, 16, dtype=torch.float64), 0.7 * noise(1, 16, seed=1, dtype=torch.float64)
    x = sde.sample(0.5 + VARIANCES.sqrt() * x, y, times(grid.start), x.flip(1))
    ends = [
        solve(model, y, fair(solver, n), replace(grid, steps=n), x=x).x
        for n in (*steps, 2 * steps[-1])
    ]
    return [float((end - finer).abs().max()) for end, finer in pairwise(ends)]


def strength(solver: Solver) -> float | Strength | None:
    """eta of the SDE whose steps a solver takes; 0 for the flow, None for EDM's churn."""
    inner = solver.inner if isinstance(solver, Wrapping) else solver
    if isinstance(inner, Heun) and inner.churn:
        return None
    if isinstance(inner, ReverseDiffusion):
        return 1.0
    if isinstance(inner, HybridHeun):  # a part of each step has eta = 1, the others none
        return inner.share**0.5
    return getattr(inner, "eta", getattr(inner, "kappa", 0.0))


def fair(solver: Solver, steps: int) -> Solver:
    """A solver whose steps are those of the grid, alone.

    EDM's churn is shared out over them, from the first to the last, as those within two times are
    one more or less; and leads to the posterior with noise = 1 only. An adaptive solver that
    tolerates everything takes each step of the grid at once.
    """
    if isinstance(solver, Heun):
        churn = min(solver.churn, 2 / steps)
        return replace(solver, churn=churn, noise=1.0, first=1.0, last=0.0)
    if isinstance(solver, DormandPrince):
        return replace(solver, atol=1e9, first_step=1.0)
    return solver


@cache
def silent(sde: SDE, solver: Solver) -> bool:
    """Whether the solver draws nothing in the middle of the process, after its first step.

    In that step it may, to no effect: a solver that draws at a bridge's end does not look whether
    it starts there.
    """
    drawn = [0]

    def count(like: Tensor) -> Tensor:
        drawn[-1] += 1
        return torch.zeros_like(like)

    def step_is_done(step: Step) -> None:
        drawn.append(0)

    x, grid = noise(1, 16), Uniform(3, 0.9, 0.1, finish=False)
    solve(Gaussian(sde), x, solver, grid, x=x, randn=count, callback=step_is_done)
    return not any(drawn[1:])
