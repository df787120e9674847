"""`solve`: from an observation to a clean estimate, with any solver on any grid."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sgmse.estimates import Estimate
from sgmse.sdes import SDE
from sgmse.solvers.grids import Grid

#: Draws CN(0, 1) noise of the shape, precision and device of its argument.
Randn = Callable[[Tensor], Tensor]
#: What a solver carries from step to step; `None` at the first one.
Memory = Any


class Model(Protocol):
    """What a solver needs: a process and an estimate at any of its states."""

    @property
    def sde(self) -> SDE:
        """The process."""

    def __call__(self, x: Tensor, y: Tensor, t: Tensor) -> Estimate:
        """The estimate at x, y (batch, ...) and t (batch,)."""


class Solver(ABC):
    """One step of a solver; subclasses are frozen dataclasses without state."""

    #: Global order of convergence to the exact solution; a test measures it.
    order: int
    #: Whether a first step from a pinned end point, where there is no score, is possible.
    leaves_a_point: bool = True
    #: Steps below which the result is worse than the observation.
    fewest_steps: int = 1

    @abstractmethod
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        """From the state x at times t (batch,) to the state at s < t."""


class Solution(NamedTuple):
    """The last state, and how often the model was called for it."""

    x: Tensor
    nfe: int


class Counted:
    """A model that counts its evaluations."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.sde = model.sde
        self.calls = 0

    def __call__(self, x: Tensor, y: Tensor, t: Tensor) -> Estimate:
        """The model's estimate."""
        self.calls += 1
        return self.model(x, y, t)


def solve(
    model: Model,
    y: Tensor,
    solver: Solver,
    grid: Grid,
    *,
    x: Tensor | None = None,
    randn: Randn = torch.randn_like,
    callback: Callable[[int, int], None] | None = None,
) -> Solution:
    """Run the reverse process from the grid's first time to its last.

    Gradients flow if they are enabled; enhancement runs under `torch.inference_mode()`.

    Args:
        model: a `ScoreModel`, or anything with `sde` and `__call__(x, y, t) -> Estimate`.
        y: the observation, (batch, ...), complex or real.
        solver: takes the steps.
        grid: the times.
        x: the state at the first time; drawn from the process's prior around y if absent.
        randn: draws the noise; pass your own to replay a run.
        callback: called with (steps done, steps in all) after each step.

    Raises:
        ValueError: the process ends in a point at the grid's start, and the solver needs a score.
    """
    at_a_point = model.sde.pinned and grid.start == 1
    if at_a_point and not solver.leaves_a_point:
        raise ValueError(
            f"{model.sde} has no score at t = 1, where it ends in a point; "
            "start the grid before it (start=0.999) or use an exponential solver"
        )
    counted = Counted(model)
    times = grid.times(model.sde)
    if x is None:
        x = y if at_a_point else model.sde.prior(y, randn(y), grid.start)
    # One row a time, (steps + 1, batch), on the device at once: no transfer inside the loop.
    rows = times.to(y.device, y.real.dtype)[:, None].expand(-1, len(y))
    memory: Memory = None
    for i in range(len(rows) - 1):
        x, memory = solver.step(counted, x, y, rows[i], rows[i + 1], memory, randn)
        if callback is not None:
            callback(i + 1, len(rows) - 1)
    return Solution(x, counted.calls)
