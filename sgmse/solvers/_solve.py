"""`solve`: from an observation to a clean estimate, with any solver on any grid."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Generic, NamedTuple

import torch
from torch import Tensor

from sgmse._checks import arguments
from sgmse._device import sent
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.solvers._base import (
    Around,
    M,
    Model,
    Randn,
    Solver,
    modelled,
    needs_two_times,
    too_late,
    two_timed,
)
from sgmse.solvers._grids import Grid


class Solution(NamedTuple, Generic[M]):
    """The last state, how often the model was called for it, and what the solver remembered."""

    x: Tensor
    nfe: int
    memory: M | None = None


class Step(NamedTuple):
    """A step that was taken; what a `callback` is told. Its tensors are not to be changed.

    Args:
        done, steps: how many steps are done, of how many.
        t, s: the times from which and to which it led, on the host.
        x: the state at s, (batch, ...).
        before: the state at t.
    """

    done: int
    steps: int
    t: float
    s: float
    x: Tensor
    before: Tensor


#: Called after each step.
Callback = Callable[[Step], object]


class Path(ABC):
    """Noise that belongs to times, so that runs with different steps follow the same path."""

    @abstractmethod
    def __call__(self, like: Tensor) -> Tensor:
        """The noise of the start."""

    @abstractmethod
    def between(self, t: float, s: float) -> Randn:
        """The noise of a step from t to s; numbers, as the grid is made on the host."""


class Counted(Around):
    """A model that counts its evaluations; `blind` hides the observation that there is not."""

    def __init__(self, model: Model, blind: bool) -> None:
        self.model = model
        self.blind = blind
        self.calls = 0

    def __call__(
        self, x: Tensor, y: Tensor | None, t: Tensor, *, s: Tensor | None = None
    ) -> Estimate:
        self.calls += 1
        y = None if self.blind else y
        return self.model(x, y, t) if s is None else two_timed(self.model)(x, y, t, s=s)


def solve(
    model: Model,
    y: Tensor | None,
    solver: Solver[M],
    grid: Grid,
    *,
    x: Tensor | None = None,
    randn: Randn | Path = torch.randn_like,
    callback: Callback | None = None,
) -> Solution[M]:
    """Run the reverse process from the grid's first time to its last.

    Gradients flow if they are enabled; enhancement runs under `torch.inference_mode()`.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        y: the observation, (batch, ...), complex or real; None for a process without one.
        solver: takes the steps.
        grid: the times.
        x: the state at the first time; drawn from the process's prior around y if absent.
        randn: draws the noise; pass your own to replay a run, or a `Path`.
        callback: called with the `Step` that was taken, after each; a `Trajectory` keeps states.

    Raises:
        ValueError: the solver cannot start there (`Solver.refusal`), the model is not asked so late
            (`Model.latest`) or knows one time of two, or the process needs y, or x in its place.

    >>> from sgmse.estimates import Data
    >>> from sgmse.model import ScoreModel
    >>> from sgmse.sdes import SBVE
    >>> from sgmse.solvers import Exponential, Uniform
    >>> class Half(torch.nn.Module):
    ...     def forward(self, x, y, t):
    ...         return y / 2
    >>> y = torch.ones(1, 1, 4, 4, dtype=torch.complex64)
    >>> solution = solve(ScoreModel(Half(), SBVE(), Data()), y, Exponential(), Uniform(4, end=0.0))
    >>> solution.nfe, bool(solution.x.allclose(y / 2))
    (4, True)
    """
    arguments(solve, locals())
    sde = modelled(model)
    if why := solver.refusal(sde, grid.start) or too_late(model.latest, grid.start):
        raise ArgumentError(why)
    if why := needs_two_times(solver, model):
        raise ArgumentError(why)
    counted = Counted(model, blind=y is None)
    times = grid.times(sde)
    if y is None:
        if sde.observed:
            raise ArgumentError(f"{sde} leads to an observation: pass it as y")
        if x is None:
            raise ArgumentError(
                "without an observation the shape is not known: pass the start, "
                "x=sde.prior(None, torch.randn(shape))"
            )
        y = torch.zeros_like(x)
    elif x is None:
        # Exactly y at a pinned end, without a draw.
        x = y if sde.pinned and grid.start == 1 else sde.prior(y, randn(y), grid.start)
    # One row a time, (steps + 1, batch), on the device at once: no transfer inside the loop.
    own = times.to(y.real.dtype)
    rows = sent(own, y.device)[:, None].expand(-1, len(y))
    memory: M | None = None
    for i, (t, s) in enumerate(pairwise(times.tolist())):  # numbers, where the grid was made
        draw = randn.between(t, s) if isinstance(randn, Path) else randn
        taking = solver.for_step(float(own[i]), float(own[i + 1]))
        step = taking.finish if s == 0 else taking.step
        before = x
        x, memory = step(counted, before, y, rows[i], rows[i + 1], memory, draw)
        if callback is not None:
            callback(Step(i + 1, len(rows) - 1, t, s, x, before))
    return Solution(x, counted.calls, memory)
