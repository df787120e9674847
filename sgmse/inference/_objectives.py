"""What the times of a fitted grid are chosen by: `Endpoint`, `AYS`, `GITS`.

`Endpoint` tries grids with the solver. The other two have a cost for each step between two of many
times, measured in one pass, and take the path of the least sum: by dynamic programming, exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isfinite

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, number, whole
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.solvers import Trajectory
from sgmse.solvers._base import Around, Model, Randn, Solver
from sgmse.solvers._exponential import Exponential
from sgmse.solvers._grids import Cosine, Fitted, Grid, Karras, LogSNR, Uniform
from sgmse.solvers._solve import solve

Array = NDArray[np.float64]

#: What a fitted grid has to beat.
STANDARD: tuple[type[Grid], ...] = (Uniform, LogSNR, Karras, Cosine)
#: Of r_i: the search starts inside, as a last time at `end` itself would not feel a change of v_i.
SMALLEST_START = 0.1
#: Bounds of v_i, so that times do not fall together.
LARGEST = 8.0


@dataclass(eq=False)
class Trial:
    """Some recordings, on which grids are run: all of them with the same noise.

    Args:
        model, y, x, solver: as for `solve`.
        steps, start, end, finish: of the grids.
        reference: number of steps that x* takes on a `LogSNR` grid.
        randn: draws one noise for all runs, and what else an objective needs.
        tell: called after each run.
    """

    model: Model
    y: Tensor | None
    x: Tensor | None
    solver: Solver
    steps: int
    start: float
    end: float
    finish: bool
    reference: int
    randn: Randn
    tell: Callable[[], object]
    nfe: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.noise: list[Tensor] = []
        self.target = self.run(LogSNR(self.reference, self.start, self.end, self.finish))
        self.size = float(torch.linalg.vector_norm(self.target))
        if not 0 < self.size < inf:
            raise ArgumentError(
                f"{self.reference} steps of {self.solver} end in values of norm {self.size:g}: "
                "nothing can be fitted to them; take more steps as reference, or recordings that "
                "are not silent"
            )
        usual = [kind(self.steps, self.start, self.end, self.finish) for kind in STANDARD]
        self.standard: dict[Grid, float] = {grid: self.error(grid) for grid in usual}

    def same(self, like: Tensor) -> Tensor:
        """The one noise of all runs."""
        if not self.noise:
            self.noise.append(self.randn(like))
        return self.noise[0]

    def run(self, grid: Grid) -> Tensor:
        """What the solver makes of the recordings."""
        result, calls, _ = solve(self.model, self.y, self.solver, grid, x=self.x, randn=self.same)
        self.nfe += calls
        self.tell()
        return result

    def error(self, grid: Grid) -> float:
        """|x - x*| / |x*|; infinite where it is no number."""
        distance = float(torch.linalg.vector_norm(self.run(grid) - self.target)) / self.size
        return distance if isfinite(distance) else inf


class Objective(ABC):
    """How the times of a grid are chosen."""

    @abstractmethod
    def runs(self, steps: int, most: int) -> int:
        """How many runs `points` reports at most."""

    @abstractmethod
    def points(self, trial: Trial, most: int) -> list[float]:
        """The steps + 1 times."""


@dataclass(frozen=True)
class Endpoint(Objective):
    """The error of the result, of the solver itself.

    Between the first time and the last, the times are

        t_i = end + (t_(i-1) - end) r_i,      r_i = 1 / (1 + exp(-v_i)),

    which descend for any numbers v_i, also where the best last time lies far above `end`, as it
    does for few steps. The search (Powell 1964, along one direction after the other, without
    derivatives) starts from the best of the usual grids and returns nothing worse than this.
    """

    @override
    def runs(self, steps: int, most: int) -> int:
        return most if steps > 1 else 0

    @override
    def points(self, trial: Trial, most: int) -> list[float]:
        from scipy.optimize import minimize  # a quarter of a second

        start, end = trial.start, trial.end
        first = min(trial.standard, key=trial.standard.__getitem__)
        best, points = trial.standard[first], first.times(trial.model.sde).tolist()

        def objective(v: Array) -> float:
            nonlocal best, points
            times = between(v, start, end, points[-1])
            if any(s >= t for t, s in pairwise(times)):
                return inf
            distance = trial.error(fitted(times, end, trial.finish))
            if distance < best:
                best, points = distance, times
            return distance

        if trial.steps > 1:
            v = logits(points, end)
            minimize(objective, v, method="Powell", options={"maxfev": most})
        return points


@dataclass(frozen=True)
class AYS(Objective):
    """A bound on the KL divergence of the sampled law (Sabour et al. 2024, arXiv:2404.14507).

    Between two times the SDE (eta = 1) has the estimate x0_t of the time t of the step in place of
    its own, x0_u. With snr = (a / sigma)^2, Girsanov's theorem bounds what that does to the law at
    the last time by the sum over the steps of

        1/2 int_snr(t)^snr(s) E|x0_u - x0_t|^2 dsnr(u),

    for (sigma / a)^2 in place of t^2 the paper's integral of t^-3 (its theorem 3.1*). The mean is
    over x_u and x_t = the same state with more noise, from clean recordings: those that the solver
    makes in `reference` steps. Paths of noise through `candidates` + 1 times of a `LogSNR` grid
    give it for all pairs, and the trapezoidal rule the integral.

    The bound is on the law at `end`, the last time but 0, which is therefore kept. The times are
    those of the SDE, for whichever solver is judged with them.

    Args:
        candidates: one less than the times to choose from.
    """

    candidates: int = 64

    def __post_init__(self) -> None:
        kinds(self)
        whole("candidates", self.candidates, least=1)

    @override
    def runs(self, steps: int, most: int) -> int:
        return 1

    @override
    def points(self, trial: Trial, most: int) -> list[float]:
        tail = [0.0] if trial.finish and trial.end > 0 else []
        steps = trial.steps - len(tail)
        if steps == 0:
            return [trial.start, 0.0]
        times = candidates(self, trial, steps, finish=False)
        path = cheapest(self.cost(trial, times), steps)
        return [times.tolist()[i] for i in path] + tail

    def cost(self, trial: Trial, times: Tensor) -> Array:
        """The integral of each step, (times, times), a mean over the recordings."""
        model, x0 = trial.model, trial.target
        y = torch.zeros_like(x0) if trial.y is None else trial.y
        log_snr = model.sde.log_snr(times)
        z, found = trial.randn(x0), []
        for i in range(len(times) - 1, -1, -1):  # more and more noise
            if i < len(times) - 1:
                kept = float((log_snr[i] - log_snr[i + 1]).exp())
                z = kept * z + (1 - kept**2) ** 0.5 * trial.randn(x0)
            t = times[i].to(x0.device, x0.real.dtype).expand(len(x0))
            state = model.sde.sample(x0, y, t, z)
            found.append(model(state, trial.y, t).x0)
        trial.nfe += len(found)
        trial.tell()
        estimates = torch.stack(found[::-1])
        apart = torch.stack([square(estimates - own) for own in estimates]).numpy() / len(x0)
        widths = log_snr.mul(2).exp().diff().numpy()
        slices = (apart[:, 1:] + apart[:, :-1]) / 4 * widths
        sums = np.concatenate([np.zeros((len(times), 1)), slices.cumsum(axis=1)], axis=1)
        cost: Array = sums - sums.diagonal()[:, None]
        return cost


@dataclass(frozen=True)
class GITS(Objective):
    """How far long steps lead from a fine path (Chen et al. 2024, arXiv:2405.11326).

    Along the path x_0, x_1, ... of `step` in `candidates` steps of a `LogSNR` grid, a first-order
    step from t_i to t_j costs the distance of where it leads to x_j, a mean over the recordings,

        c_ij = mean |a_j x0_i + b_j y + sigma_j noise_i - x_j|,

    and the rest of a path from there costs `growth` times what it costs by itself: an error grows
    on its way no further than that. No evaluation is needed beside those of the path.

    Args:
        step: that of the path, without noise: `Exponential()`, or `Multistep()` for a finer one.
        candidates: one less than the times to choose from.
        growth: weight of what comes later, for each step; 1 is the plain sum.
    """

    step: Exponential = Exponential()  # noqa: RUF009
    candidates: int = 64
    growth: float = 1.15

    def __post_init__(self) -> None:
        kinds(self)
        whole("candidates", self.candidates, least=1)
        number("growth", self.growth, 0)
        if self.step.fresh or self.step.evaluations > 1:
            raise ArgumentError(
                f"GITS follows a path without noise, at one evaluation a step, such as that of "
                f"Exponential() or Multistep(), not of {self.step}"
            )

    @override
    def runs(self, steps: int, most: int) -> int:
        return 1

    @override
    def points(self, trial: Trial, most: int) -> list[float]:
        times = candidates(self, trial, trial.steps, trial.finish)
        path = cheapest(self.cost(trial, times), trial.steps, self.growth)
        return [times.tolist()[i] for i in path]

    def cost(self, trial: Trial, times: Tensor) -> Array:
        """c_ij, (times, times); infinite where j <= i."""
        sde, path, model = trial.model.sde, Trajectory(), Noted(trial.model)
        points = tuple(times.tolist())
        # Its `end` is the last time but 0, or the last.
        grid = fitted(list(points), trial.end, trial.finish)
        _, calls, _ = solve(
            model, trial.y, self.step, grid, x=trial.x, randn=trial.same, callback=path
        )
        trial.nfe += calls
        trial.tell()
        cost = np.full((len(points), len(points)), inf)
        for i, (x, (x0, noise)) in enumerate(zip(path.kept, model.estimates, strict=False)):
            after = times[i + 1 :].to(x.device)
            w = self.step.weights(sde, times[i].to(x.device).expand(len(after)), after)
            rows = torch.stack([w.x0, w.y, w.noise, w.z], dim=1).tolist()
            y = torch.zeros_like(x) if trial.y is None else trial.y
            for j, (of_x0, of_y, of_noise, of_z) in enumerate(rows, i + 1):
                leads = of_x0 * x0 + of_y * y + of_noise * noise
                if of_z > 0:  # from a pinned end
                    leads = leads + of_z * trial.same(x)
                off = (leads - path.kept[j]).flatten(1)
                cost[i, j] = float(torch.linalg.vector_norm(off, dim=1).mean())
        return cost


@dataclass
class Noted(Around):
    """A model that keeps its estimates."""

    model: Model
    estimates: list[Estimate] = field(default_factory=list)

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        self.estimates.append(self.model(x, y, t))
        return self.estimates[-1]


def square(x: Tensor) -> Tensor:
    """|x|^2 of each first index (n, ...), in float64 on the host."""
    norms: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return norms.cpu().double().square()


def candidates(objective: AYS | GITS, trial: Trial, steps: int, finish: bool) -> Tensor:
    """The times of a `LogSNR` grid, in float64, from which the `steps` + 1 of a grid are chosen."""
    if objective.candidates < steps:
        raise ArgumentError(
            f"{steps} steps cannot be chosen from {objective.candidates} candidates: take more"
        )
    grid = LogSNR(objective.candidates, trial.start, trial.end, finish)
    return grid.times(trial.model.sde)


def cheapest(cost: Array, steps: int, growth: float = 1.0) -> list[int]:
    """The path from the first to the last of n points in so many steps forward of least cost.

    With c_ij = cost[i, j], the cost of k steps from i to the end is, for the best next point j,

        V_k(i) = min_j c_ij + growth V_(k-1)(j),      V_1(i) = c_i,n-1.
    """
    count = len(cost)
    steps_on = np.triu(np.ones_like(cost, dtype=bool), 1)
    forward = np.where(steps_on, cost, inf)
    rest, nexts = forward[:, -1], [np.full(count, count - 1)]
    for _ in range(steps - 1):
        sums = forward + growth * rest[None]
        nexts.append(sums.argmin(axis=1))
        rest = sums.min(axis=1)
    path = [0]
    for following in reversed(nexts):
        path.append(int(following[path[-1]]))
    return path


def between(v: Array, start: float, end: float, last: float) -> list[float]:
    """start, the times t_i, and the last one."""
    from scipy.special import expit

    times = [start]
    for r in expit(v.clip(-LARGEST, LARGEST)).tolist():
        times.append(end + (times[-1] - end) * r)
    return [*times, last]


def logits(points: list[float], end: float) -> Array:
    """The v_i of some times, moved inside where one lies at the end."""
    from scipy.special import logit

    ratios = [(s - end) / (t - end) for t, s in pairwise(points[:-1])]
    return np.asarray(logit(np.clip(ratios, SMALLEST_START, None)))


def fitted(points: list[float], end: float, finish: bool) -> Fitted:
    """The grid of these times; its `end` is the last one that is not 0."""
    steps = len(points) - 1
    last = points[-2] if finish and steps > 1 else end
    return Fitted(steps, points[0], last, finish, points=points)
