"""`fit`: the times at which a few steps of a solver come nearest to many.

For given states at the start, let x be what the solver makes of them on a grid, and x* what it
makes of them in many steps. The best times minimise

    error = |x - x*| / |x*|,

the norms taken over the whole batch. Between the first time and the last, they are

    t_i = end + (t_(i-1) - end) r_i,      r_i = 1 / (1 + exp(-v_i)),

which descends for any numbers v_i, also where the best last time lies far above `end`, as it does
for few steps. The search (Powell 1964, along one direction after the other, without derivatives)
starts from the best of the usual grids and returns nothing worse than this.

Related: Chen et al. 2024 (arXiv:2405.11326) minimise the sum of the errors of single steps along x*
by dynamic programming; here it is the error of the result that counts.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from torch import Tensor

from sgmse._checks import arguments
from sgmse.errors import ArgumentError
from sgmse.sdes import VP
from sgmse.solvers import modelled
from sgmse.solvers._base import Model, Randn, Solver, solve
from sgmse.solvers._grids import Cosine, Fitted, Grid, Karras, LogSNR, Uniform

Array = NDArray[np.float64]

#: What a fitted grid has to beat.
STANDARD: tuple[type[Grid], ...] = (Uniform, LogSNR, Karras, Cosine)
#: Of r_i: the search starts inside, as a last time at `end` itself would not feel a change of v_i.
SMALLEST_START = 0.1
#: Bounds of v_i, so that times do not fall together.
LARGEST = 8.0


class Fit(NamedTuple):
    """A fitted grid, its error, those of the usual grids, and how often the model was called."""

    grid: Fitted
    error: float
    standard: Mapping[Grid, float]
    nfe: int


@torch.no_grad()
def fit(
    model: Model,
    y: Tensor | None,
    solver: Solver,
    steps: int,
    *,
    start: float = 1.0,
    end: float = 0.03,
    finish: bool = True,
    x: Tensor | None = None,
    randn: Randn = torch.randn_like,
    reference: int = 128,
    runs: int = 200,
    callback: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fit a time grid to a model and a deterministic solver, on a few recordings.

    Takes `reference` + (`runs` + 4) x `steps` steps with the whole batch at most, and the memory of
    one run and two states. The same model, observations and noise give the same grid.

    Args:
        model, y, solver, x: as for `solve`, with a batch of several recordings.
        steps: of the grid to find.
        start, finish: of the grid.
        end: below which there are no times but 0.
        randn: draws one noise, that of the start or of the first step from a pinned end, for all
            runs alike.
        reference: number of steps that x* takes on a `LogSNR` grid.
        runs: how many grids to try at most; 25 for each step are ample.
        callback: called with (runs done, runs in all) after each run.

    Raises:
        ValueError: the solver draws noise on its way, so that there is no single x*; x* is 0 or not
            finite; or what `solve` refuses.
    """
    arguments(fit, locals())
    modelled(model)
    if solver.draws(VP()):  # where only the noise of later steps is left to draw
        raise ArgumentError(
            f"{solver} draws noise in every step, and few of them have no path of many to keep to: "
            "fit the grid of a deterministic solver, such as the same with eta=0"
        )
    if runs < 1 or reference < 2 * steps:
        raise ArgumentError(
            f"fit needs runs >= 1 and reference >= 2 x steps, not runs {runs}, reference "
            f"{reference} for {steps} steps"
        )
    usual = [kind(steps, start, end, finish) for kind in STANDARD]
    noise: list[Tensor] = []
    nfe = done = 0
    total = 1 + len(usual) + (runs if steps > 1 else 0)

    def same(like: Tensor) -> Tensor:
        if not noise:
            noise.append(randn(like))
        return noise[0]

    def run(grid: Grid) -> Tensor:
        nonlocal nfe, done
        result, calls, _ = solve(model, y, solver, grid, x=x, randn=same)
        nfe, done = nfe + calls, done + 1
        if callback is not None:
            callback(done, total)
        return result

    target = run(LogSNR(reference, start, end, finish))
    size = float(torch.linalg.vector_norm(target))
    if not 0 < size < inf:
        raise ArgumentError(
            f"{reference} steps of {solver} end in values of norm {size:g}: nothing can be fitted "
            "to them; take more steps as reference, or recordings that are not silent"
        )

    def error(grid: Grid) -> float:
        distance = float(torch.linalg.vector_norm(run(grid) - target)) / size
        return distance if isfinite(distance) else inf

    standard = {grid: error(grid) for grid in usual}
    first = min(usual, key=standard.__getitem__)
    best, points = standard[first], first.times(model.sde).tolist()

    def objective(v: Array) -> float:
        nonlocal best, points
        times = between(v, start, end, points[-1])
        if any(s >= t for t, s in pairwise(times)):
            return inf
        distance = error(fitted(times, end, finish))
        if distance < best:
            best, points = distance, times
        return distance

    if steps > 1:
        minimize(objective, logits(points, end), method="Powell", options={"maxfev": runs})
    if callback is not None and done < total:
        callback(total, total)
    return Fit(fitted(points, end, finish), best, standard, nfe)


def between(v: Array, start: float, end: float, last: float) -> list[float]:
    """start, the times t_i, and the last one."""
    times = [start]
    for r in expit(v.clip(-LARGEST, LARGEST)).tolist():
        times.append(end + (times[-1] - end) * r)
    return [*times, last]


def logits(points: list[float], end: float) -> Array:
    """The v_i of some times, moved inside where one lies at the end."""
    ratios = [(s - end) / (t - end) for t, s in pairwise(points[:-1])]
    return np.asarray(logit(np.clip(ratios, SMALLEST_START, None)))


def fitted(points: list[float], end: float, finish: bool) -> Fitted:
    """The grid of these times; its `end` is the last one that is not 0."""
    steps = len(points) - 1
    last = points[-2] if finish and steps > 1 else end
    return Fitted(steps, points[0], last, finish, points=points)
