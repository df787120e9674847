"""From clean audio to its latent along the probability flow, and back.

The flow from `end` to `start` of a grid is one to one, so that clean audio and its latent say the
same; the latents of two recordings can be compared, mixed or moved, and decoded. A solver steps
towards t = 0. To go the other way, time is turned round,

    u = start + end - t,      scales(u) = scales of the process at t:

x = a x0 + b y + sigma noise holds in u as in t, so x0 and noise are the same, the flow is the same,
and every solver of it runs in u as it does in t.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import arguments
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE, Coefficients, Scales, expand
from sgmse.solvers import modelled
from sgmse.solvers._base import LAST_START, Model, Solver
from sgmse.solvers._grids import Fitted, Grid
from sgmse.solvers._solve import Callback, Solution, Step, solve


@dataclass(frozen=True)
class Turned(SDE):
    """A process in the time u = start + end - t, with less noise at a later time.

    It has a flow; a diffusion it has not, as g^2 would be negative.
    """

    process: SDE
    start: float
    end: float

    def time(self, u: Tensor) -> Tensor:
        """The time t of the process."""
        return (self.start + self.end - u).clamp(self.end, self.start)

    def at(self, u: float) -> float:
        """The same of a number."""
        return min(max(self.start + self.end - u, self.end), self.start)

    @override
    def scales(self, t: Tensor) -> Scales:
        return self.process.scales(self.time(t))

    @override
    def rates(self, t: Tensor) -> Scales:
        da, db, dsigma = self.process.rates(self.time(t))
        return Scales(-da, -db, -dsigma)

    @override
    def coefficients(self, t: Tensor) -> Coefficients:
        raise ArgumentError(
            "this solver asks for the diffusion of the process, and from clean audio to the latent "
            "there is only the flow: use one of the flow, such as Multistep() or RungeKutta4()"
        )

    @property
    def observed(self) -> bool:
        """Whether the process leads to an observation."""
        return self.process.observed


@dataclass(frozen=True)
class TurnedModel:
    """A model of the process in turned time."""

    model: Model
    sde: Turned

    @property
    def latest(self) -> float:
        """That of the model, as the time turns between the same ends."""
        return self.model.latest

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The model's estimate."""
        return self.model(x, y, self.sde.time(t))


def encode(
    model: Model,
    x0: Tensor,
    y: Tensor | None,
    solver: Solver,
    grid: Grid,
    *,
    callback: Callback | None = None,
) -> Solution:
    """The latent of clean audio: the state at the start of the grid.

    The audio stands for the state a x0 + b y at `end`, without the noise that the process has
    there; so choose an early one, but none before what the model was trained for. All steps of the
    grid lie between `end` and `start`; there is none from or to t = 0.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        x0: clean audio as the model sees it, (batch, ...), complex or real.
        y: the observation, like x0; None for a process without one.
        solver: one of the flow, which draws no noise and starts where it stands.
        grid: the times, in the order of sampling, as `decode` takes them.
        callback: called with the `Step` that was taken, after each.

    Raises:
        ValueError: the solver draws noise or cannot start there; there is no noise at the end, or
            nothing but the observation at the start; or the process needs y.
    """
    arguments(encode, locals())
    modelled(model)
    turned = flow_only(model.sde, solver, grid)
    times = replace(grid, finish=False).times(model.sde)
    points = (grid.start + grid.end - times.flip(0)).clamp(grid.end, grid.start).tolist()
    upwards = Fitted(steps=grid.steps, start=points[0], end=points[-1], finish=False, points=points)
    t = torch.full((len(x0),), grid.end, dtype=x0.real.dtype, device=x0.device)
    x = model.sde.sample(x0, y, t, torch.zeros_like(x0))

    def tell(step: Step) -> None:
        if callback is not None:  # in the time of the process
            callback(step._replace(t=turned.at(step.t), s=turned.at(step.s)))

    still = torch.zeros_like
    return solve(TurnedModel(model, turned), y, solver, upwards, x=x, randn=still, callback=tell)


def decode(
    model: Model,
    latent: Tensor,
    y: Tensor | None,
    solver: Solver,
    grid: Grid,
    *,
    callback: Callback | None = None,
) -> Solution:
    """The clean audio of a latent: the inverse of `encode`, up to the errors of the solver.

    Sampling from a latent, `solve(..., x=latent)`, instead ends with a step to t = 0.

    Args and errors are those of `encode`, with the latent in place of the clean audio.
    """
    arguments(decode, locals())
    modelled(model)
    flow_only(model.sde, solver, grid)
    grid = replace(grid, finish=False)
    still = torch.zeros_like
    solution = solve(model, y, solver, grid, x=latent, randn=still, callback=callback)
    t = torch.full((len(latent),), grid.end, dtype=latent.real.dtype, device=latent.device)
    a, b, _ = (expand(scale, latent) for scale in model.sde.scales(t))
    x = solution.x if y is None else solution.x - b * y
    return solution._replace(x=x / a)


def flow_only(sde: SDE, solver: Solver, grid: Grid) -> Turned:
    """The process in turned time, or why solver and grid do not lead from data to a latent."""
    turned = Turned(sde, grid.start, grid.end)
    ends = sde.scales(torch.tensor([grid.start, grid.end], dtype=torch.float64))
    if ends.sigma[0] == 0:
        raise ArgumentError(
            f"at t = {grid.start:g} every state of {sde} is the observation, and no latent: start "
            f"the grid before it (start={LAST_START})"
        )
    if grid.end == 0 or ends.sigma[1] == 0:
        raise ArgumentError(
            f"the flow of {sde} is followed from a time with noise: end the grid after 0, as with "
            "end=1e-3"
        )
    if solver.draws(turned):
        raise ArgumentError(
            f"{solver} draws noise, and a latent belongs to audio only along the flow: use a "
            "solver that draws none, such as Multistep() or RungeKutta4()"
        )
    if solver.moves_start:
        raise ArgumentError(
            f"{solver} moves its start, and a latent stays where it is: use the solver within it"
        )
    for process, start in ((sde, grid.start), (turned, grid.start)):
        if why := solver.refusal(process, start):
            raise ArgumentError(why)
    return turned
