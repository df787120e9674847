"""Time grids: where a solver stands, from the start of sampling (t = 1) to clean audio (t = 0).

A grid is an object with `times(sde)`: steps + 1 descending times. With `finish` (the default) the
last step goes from `end` to 0, so that a first-order solver evaluates the network at `steps` times
in [end, start]; without it the grid stops at `end`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import asinh, exp, expm1, log, log1p, pi
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, number, shown, whole
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.sdes import SDE, positive


@dataclass(frozen=True)
class Grid(ABC):
    """Times of `steps` steps.

    Args:
        steps: number of steps; 0 stay at the start, where a `Regeneration` has its prediction.
        start: time of the start, 1 for the whole process.
        end: last time before 0; many processes have no score at 0 itself.
        finish: whether a last step leads from `end` to 0.
    """

    steps: int = 30
    start: float = 1.0
    end: float = 0.03
    finish: bool = True

    def __post_init__(self) -> None:
        kinds(self)
        whole("steps", self.steps, least=0)
        if not 0 <= self.end < self.start <= 1:
            raise ArgumentError(
                f"a grid needs 0 <= end < start <= 1, not end {self.end}, start {self.start}"
            )

    def times(self, sde: SDE) -> Tensor:
        """Descending times (steps + 1,) in float64."""
        if self.steps == 0:
            return torch.tensor([self.start], dtype=torch.float64)
        if not self.finish or self.end == 0:
            return self.inner(sde, self.steps + 1)
        if self.steps == 1:
            return torch.tensor([self.start, 0.0], dtype=torch.float64)
        return torch.cat([self.inner(sde, self.steps), torch.zeros(1, dtype=torch.float64)])

    @abstractmethod
    def inner(self, sde: SDE, count: int) -> Tensor:
        """The `count` >= 2 times from start to end, both included."""

    def uniform(self, count: int) -> Tensor:
        """`count` equally spaced times from start to end."""
        return torch.linspace(self.start, self.end, count, dtype=torch.float64)


@dataclass(frozen=True)
class Uniform(Grid):
    """Equal steps in t, as in the published samplers."""

    @override
    def inner(self, sde: SDE, count: int) -> Tensor:
        return self.uniform(count)


@dataclass(frozen=True)
class Cosine(Grid):
    """t = cos(pi u / 2) for equal steps in u from 0 to 1: small steps near the start.

    Of flow matching for speech (Du et al. 2024, CosyVoice, arXiv:2407.05407), whose time runs from
    noise to data as 1 - t = 1 - cos(pi u / 2). A grid over less than [0, 1] is scaled.
    """

    @override
    def inner(self, sde: SDE, count: int) -> Tensor:
        u = torch.linspace(0, 1, count, dtype=torch.float64)
        times = self.end + (self.start - self.end) * (pi / 2 * u).cos()
        times[0], times[-1] = self.start, self.end  # not one rounding beside them
        return times


@dataclass(frozen=True)
class Polynomial(Grid):
    """Equal steps in t^(1 / rho): the larger rho, the shorter the steps near t = 0.

    Args:
        rho: positive; 1 is `Uniform`.
    """

    rho: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, rho=self.rho)

    @override
    def inner(self, sde: SDE, count: int) -> Tensor:
        first, last = self.start ** (1 / self.rho), self.end ** (1 / self.rho)
        times = torch.linspace(first, last, count, dtype=torch.float64) ** self.rho
        times[0], times[-1] = self.start, self.end  # not one rounding beside them
        return times


@dataclass(frozen=True)
class InLogSNR(Grid):
    """Times at given values of lambda = ln(a / sigma) between those of start and end.

    Where lambda is infinite, at a pinned end point, where nothing is left of the data or at a time
    without noise, the outermost step is the uniform one and the values are those between.
    """

    #: Whether the values may begin at minus infinity.
    from_infinity: ClassVar[bool] = False

    @abstractmethod
    def values(self, first: float, last: float, count: int) -> Tensor:
        """`count` >= 2 ascending values of lambda from first to last, float64."""

    @override
    def inner(self, sde: SDE, count: int) -> Tensor:
        ends = torch.tensor([self.start, self.end], dtype=torch.float64)
        infinite = sde.log_snr(ends).isinf()
        infinite[0] &= not self.from_infinity
        step = (self.start - self.end) / (count - 1)
        first, last = (ends + torch.tensor([-step, step]) * infinite).tolist()
        inside = count - int(infinite.sum())
        if inside < 2 or first <= last:
            return self.uniform(count)
        low, high = sde.log_snr(torch.tensor([first, last], dtype=torch.float64)).tolist()
        times = time_of(sde, self.values(low, high, inside))
        times[0], times[-1] = first, last
        return torch.cat([ends[:1][infinite[:1]], times, ends[1:][infinite[1:]]])


@dataclass(frozen=True)
class LogSNR(InLogSNR):
    """Equal steps in lambda (Lu et al. 2022, arXiv:2206.00927, section 3.3)."""

    @override
    def values(self, first: float, last: float, count: int) -> Tensor:
        return torch.linspace(first, last, count, dtype=torch.float64)


@dataclass(frozen=True)
class Karras(InLogSNR):
    """Equal steps in (sigma / a)^(1 / rho) (Karras et al. 2022, arXiv:2206.00364, eq. 5).

    sigma / a is the noise level of x~ = (x - b y) / a = x0 + (sigma / a) noise. rho = 1 makes equal
    steps of it; the larger rho, the shorter the steps at low noise, and at infinity it is `LogSNR`.

    Args:
        rho: positive.
    """

    rho: float = 7.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, rho=self.rho)

    @override
    def values(self, first: float, last: float, count: int) -> Tensor:
        # -rho ln of the points between e^(-first / rho) and e^(-last / rho), without overflow.
        part = torch.linspace(0, 1, count, dtype=torch.float64)
        return first - self.rho * (part * expm1((first - last) / self.rho)).log1p()


@dataclass(frozen=True)
class AsinhSNR(InLogSNR):
    """Equal steps in kappa = asinh(scale a / sigma), which begins at 0 where nothing is left of x0.

    With r^2 = (scale a)^2 + sigma^2 every process is the same turn from noise to data,

        (x - b y) / r = tanh(kappa) x0 / scale + sech(kappa) z.

    Where there is little noise it is `LogSNR`, and it leaves bridges and flows by as short a step.

    Args:
        scale: the size of the data, sqrt(E|x0|^2): more makes the steps at high noise shorter.
    """

    scale: float = 1.0

    from_infinity = True

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, scale=self.scale)

    @override
    def values(self, first: float, last: float, count: int) -> Tensor:
        low, high = (self._kappa(value + log(self.scale)) for value in (first, last))
        kappa = torch.linspace(low, high, count, dtype=torch.float64)
        return kappa + (-torch.expm1(-2 * kappa) / 2).log() - log(self.scale)  # ln sinh

    @staticmethod
    def _kappa(value: float) -> float:
        """asinh(e^value), without overflow."""
        return asinh(exp(value)) if value < 1 else value + log1p((1 + exp(-2 * value)) ** 0.5)


@dataclass(frozen=True)
class Fitted(Grid):
    """Times found by `fit` for a model, a solver and a number of steps; another needs another fit.

    Args:
        points: the steps + 1 times, descending from start to end and, with `finish`, to 0.
    """

    points: Sequence[float] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.points, Sequence) or isinstance(self.points, str):
            raise ArgumentTypeError(f"points must be a tuple of times, not {shown(self.points)}")
        points = tuple(float(number("points", point)) for point in self.points)
        object.__setattr__(self, "points", points)  # files hold a list
        if any(not t > s for t, s in pairwise(points)):
            raise ArgumentError(f"the times of a fitted grid must descend: {points}")
        tail = (self.end,) if not self.finish or self.end == 0 else (self.end, 0.0)
        if self.finish and self.steps == 1:
            tail = (0.0,)
        if len(points) != self.steps + 1 or points[0] != self.start or points[-len(tail) :] != tail:
            raise ArgumentError(
                f"a grid fitted at the times {points} cannot have steps {self.steps}, start "
                f"{self.start}, end {self.end}, finish {self.finish}: fit again for these, or take "
                "another grid"
            )

    @override
    def inner(self, sde: SDE, count: int) -> Tensor:
        return torch.tensor(self.points[:count], dtype=torch.float64)


def time_of(sde: SDE, log_snr: Tensor) -> Tensor:
    """The times at which ln(a / sigma) has the given values, by bisection (lambda falls with t).

    Exact to the last digit also near 0, as it halves the bits: those of floats >= 0, read as an
    integer, are in the order of the floats.
    """
    bits = torch.tensor([0.0, 1.0], dtype=torch.float64).view(torch.int64)
    low, high = (end.expand_as(log_snr) for end in bits)
    for _ in range(62):  # as many as the bits of 1.0 have
        middle = (low + high) // 2
        too_early = sde.log_snr(middle.view(torch.float64)) > log_snr
        low, high = torch.where(too_early, middle, low), torch.where(too_early, high, middle)
    times: Tensor = high.view(torch.float64)
    return times
