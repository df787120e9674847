"""Restart: on the way down, up again by the process itself, and down once more.

A solver of the flow carries an error of its state to the end. Noise forgets: from the law of x_t,
fresh noise leads to that of x_u, u > t, and of an error e in x_t it leaves (a_u / a_t) e in a state
that is wider. The flow back to t shrinks it by the ratio of the widths. On a Gaussian posterior of
variance v, with w = a^2 v + sigma^2 that of x, what is left of e after each time up and down is

    (a_u / a_t) sqrt(w_t / w_u) e,

while the exact law of x_t stays as it is.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from torch import Tensor
from typing_extensions import override

from sgmse._checks import whole
from sgmse._device import sent
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, weighted
from sgmse.solvers._base import Model, Randn, Solver
from sgmse.solvers._grids import LogSNR
from sgmse.solvers._multistep import Multistep
from sgmse.solvers._wrapping import Take, Wrapping


@dataclass(frozen=True)
class Restart(Wrapping):
    """A solver that goes back up to a time, and down again, a few times before it goes on.

        x_u = r x + (b_u - r b_t) y + q z,      r = a_u / a_t,      q^2 = sigma_u^2 - r^2 sigma_t^2

    then `steps` steps of the solver from u = `high` back to t, at equal distances in lambda: once
    of `times` such ways (Xu et al. 2023, arXiv:2306.14878, section 3.1*, with the process's own
    chain for their sqrt(t_max^2 - t_min^2)). t is the last time of the grid that is not below
    `low`; nothing happens if that is not below `high`, or is the last of all.

    The steps of the way back do not shrink with those of the grid, and an error of theirs stays: so
    there is no order, which 0 stands for. What a start or an estimate has done wrong above t fades;
    where nothing was wrong, the evaluations are better spent on a finer grid.

    Args:
        solver: takes the steps, on the grid and on the ways back. The paper's is `Heun()`. What it
            remembers is forgotten at each start from above.
        low: t_min, about where the ways up begin.
        high: t_max, where they end.
        steps: of each way back.
        times: K, how often.
    """

    solver: Solver = field(default_factory=Multistep)
    low: float = 0.2
    high: float = 0.5
    steps: int = 3
    times: int = 2

    order = 0
    weak_order = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("Restart: steps", self.steps, least=1)
        whole("Restart: times", self.times, least=1)
        if not 0 < self.low < self.high <= 1:
            raise ArgumentError(
                f"Restart: the times need 0 < low < high <= 1, not low {self.low}, high {self.high}"
            )
        if self.solver.moves_start:
            raise ArgumentError(
                f"Restart: {type(self.solver).__name__} moves a start that is drawn from the prior,"
                " which that from above is not; put it around Restart"
            )

    @property
    @override
    def inner(self) -> Solver:
        return self.solver

    @property
    @override
    def once(self) -> int:
        return self.times * self.steps * self.solver.evaluations + super().once

    @override
    def around(
        self,
        take: Take,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Any,
        randn: Randn,
    ) -> tuple[Tensor, Any]:
        # Who calls a step by itself has its times on the device alone: there the host waits.
        due = (self.low <= t) & (t < self.high) & (s < self.low)
        if due.any():
            if not (due.all() and (t == t[0]).all()):
                raise ArgumentError("Restart: the items of a batch must be at the same time")
            x, memory = self.again(model, x, y, t, randn, float(t[0]))
        return take(model, x, y, t, s, memory, randn)

    @override
    def for_step(self, t: float, s: float) -> Solver:
        inner = self.solver.for_step(t, s)
        return Again(inner, self, t) if s < self.low <= t < self.high else inner

    def again(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn, time: float
    ) -> tuple[Tensor, Any]:
        """The state at t (batch,), that time, and the memory, after the ways up and down there."""
        grid = LogSNR(self.steps, self.high, time, finish=False)
        own = grid.times(model.sde).to(t.dtype)
        rows = sent(own, t.device)[:, None].expand(-1, len(t))
        memory = None
        for _ in range(self.times):
            x, memory = up(model.sde, x, y, t, rows[0], randn), None
            for now, after in pairwise([*rows[:-1], t]):  # back to t itself, not a rounding beside
                x, memory = self.solver.step(model, x, y, now, after, memory, randn)
        return x, memory

    @override
    def draws(self, sde: SDE) -> bool:
        return True

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return super().refusal(sde, start) or self.solver.refusal(sde, self.high)


@dataclass(frozen=True)
class Again(Wrapping):
    """The step of a `Restart` from the time at which its ways begin."""

    taking: Solver
    restart: Restart
    time: float

    @property
    @override
    def inner(self) -> Solver:
        return self.taking

    @override
    def around(
        self,
        take: Take,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Any,
        randn: Randn,
    ) -> tuple[Tensor, Any]:
        x, memory = self.restart.again(model, x, y, t, randn, self.time)
        return take(model, x, y, t, s, memory, randn)


def up(sde: SDE, x: Tensor, y: Tensor, t: Tensor, u: Tensor, randn: Randn) -> Tensor:
    """The state at u > t, both (batch,), by the process from that at t."""
    (a_t, b_t, sigma_t), (a, b, sigma) = sde.scales(t), sde.scales(u)
    r = a / a_t
    q = (sigma**2 - (r * sigma_t) ** 2).clamp(min=0).sqrt()
    return weighted((r, x), (b - r * b_t, y), (q, randn(x)))
