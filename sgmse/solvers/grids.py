"""Time grids: where a solver stands, from the start of sampling (t = 1) to clean audio (t = 0).

A grid is an object with `times(sde)`: steps + 1 descending times. With `finish` (the default) the
last step goes from `end` to 0, so that a first-order solver evaluates the network at `steps` times
in [end, start]; without it the grid stops at `end`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sgmse.sdes import SDE


@dataclass(frozen=True)
class Grid(ABC):
    """Times of `steps` steps.

    Args:
        steps: number of steps.
        start: time of the start, 1 for the whole process.
        end: last time before 0; many processes have no score at 0 itself.
        finish: whether a last step leads from `end` to 0.
    """

    steps: int = 30
    start: float = 1.0
    end: float = 0.03
    finish: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        if not 0 <= self.end < self.start <= 1:
            raise ValueError(
                f"a grid needs 0 <= end < start <= 1, not end {self.end}, start {self.start}"
            )

    def times(self, sde: SDE) -> Tensor:
        """Descending times (steps + 1,) in float64."""
        if not self.finish or self.end == 0:
            return self.inner(sde, self.steps + 1)
        if self.steps == 1:
            return torch.tensor([self.start, 0.0], dtype=torch.float64)
        return torch.cat([self.inner(sde, self.steps), torch.zeros(1, dtype=torch.float64)])

    @abstractmethod
    def inner(self, sde: SDE, count: int) -> Tensor:
        """The `count` >= 2 times from start to end, both included."""


@dataclass(frozen=True)
class Uniform(Grid):
    """Equal steps in t, as in the published samplers."""

    def inner(self, sde: SDE, count: int) -> Tensor:  # noqa: D102
        return torch.linspace(self.start, self.end, count, dtype=torch.float64)


@dataclass(frozen=True)
class LogSNR(Grid):
    """Equal steps in lambda = ln(a / sigma) (Lu et al. 2022, section 3.3).

    Where lambda is infinite, at a pinned end point or at a time without noise, the outermost step
    is the uniform one and the steps inside are equal.
    """

    def inner(self, sde: SDE, count: int) -> Tensor:  # noqa: D102
        ends = torch.tensor([self.start, self.end], dtype=torch.float64)
        infinite = sde.log_snr(ends).isinf()
        step = (self.start - self.end) / (count - 1)
        first, last = (ends + torch.tensor([-step, step]) * infinite).tolist()
        inside = count - int(infinite.sum())
        if inside < 2 or first <= last:
            return torch.linspace(self.start, self.end, count, dtype=torch.float64)
        low, high = sde.log_snr(torch.tensor([first, last], dtype=torch.float64))
        times = time_of(sde, torch.linspace(float(low), float(high), inside, dtype=torch.float64))
        times[0], times[-1] = first, last
        parts = [ends[:1][infinite[:1]], times, ends[1:][infinite[1:]]]
        return torch.cat(parts)


def time_of(sde: SDE, log_snr: Tensor) -> Tensor:
    """The times at which ln(a / sigma) has the given values, by bisection (lambda falls with t)."""
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(60):  # 2^-60 is below the spacing of float64 in [0, 1]
        middle = (low + high) / 2
        too_early = sde.log_snr(middle) > log_snr
        low, high = torch.where(too_early, middle, low), torch.where(too_early, high, middle)
    return (low + high) / 2
