"""How the claims of a solver are measured: its order, and the distribution that it ends in."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from problems import Gaussian, noise, times
from torch import Tensor

from sgmse.sdes import SDE
from sgmse.solvers import (
    DormandPrince,
    Grid,
    Heun,
    LogSNR,
    MeanShifted,
    Solver,
    Step,
    Uniform,
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


def response(problem: Gaussian, solver: Solver, grid: Grid) -> tuple[Tensor, Tensor]:
    """Mean and variance of the samples of a solver that is linear in the noise, without sampling.

    One of each for every variance of the posterior, which is (1, number).

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

    x = solve(problem, y, solver, grid, x=x, randn=impulse).x
    assert draws < items - 1
    silent = x[-1]  # the last one has none
    return silent, (x - silent).abs().pow(2).sum(dim=0)


def errors(sde: SDE, solver: Solver, steps: Sequence[int] = STEPS) -> list[float] | None:
    """How far each number of steps from t = 0.9 to 0.1 is off, in equal steps of lambda.

    Of the path to the exact flow for a solver that draws nothing there, else of the variance of the
    samples, relative to the exact one. None where a number of steps says nothing about the error:
    steps of another size within a step, a corrector, a state that is moved.
    """
    if not solver.order or isinstance(solver, DormandPrince | MeanShifted):
        return None
    if solver.refusal(sde, 0.9):
        return None
    problem = Gaussian(sde, 0.5 - 0.3j, VARIANCES)
    grid = LogSNR(2, 0.9, 0.1, finish=False)
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


def fair(solver: Solver, steps: int) -> Solver:
    """EDM's churn is shared out over the steps, and leads to the posterior with noise = 1 only."""
    if not isinstance(solver, Heun):
        return solver
    return replace(solver, churn=min(solver.churn, 2 / steps), noise=1.0)


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
