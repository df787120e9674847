"""Processes made of a process."""

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from sgmse._checks import an
from sgmse.errors import ArgumentError
from sgmse.sdes._base import SDE, Scales, positive


def check(owner: SDE, process: SDE) -> None:
    """Refuse what is no process, such as the name of one."""
    an(f"{type(owner).__name__}: process", process, SDE, "VP()")


@dataclass(frozen=True)
class Shifted(SDE):
    """x_t - y follows `process` for x0 - y: a diffusion that leads to the observation.

    (a, b, sigma) = (a, 1 - a, sigma) of the process

    `Shifted(VP())` is `OUVP(beta_max=20)`, and `Shifted(FlowMatching())` `StraightFlow(0, 1)`.

    Args:
        process: a process without an observation, b = 0.
    """

    process: SDE

    def __post_init__(self) -> None:
        check(self, self.process)
        if self.process.observed:
            raise ArgumentError(f"Shifted: {self.process} leads to the observation already")

    @override
    def scales(self, t: Tensor) -> Scales:
        a, _, sigma = self.process.scales(t)
        return Scales(a, 1 - a, sigma)

    @override
    def rates(self, t: Tensor) -> Scales:
        a, _, sigma = self.process.rates(t)
        return Scales(a, -a, sigma)


@dataclass(frozen=True)
class Scaled(SDE):
    """`process` with more or less noise: (a, b, factor sigma)."""

    process: SDE
    factor: float

    def __post_init__(self) -> None:
        check(self, self.process)
        positive(self, factor=self.factor)

    @override
    def scales(self, t: Tensor) -> Scales:
        a, b, sigma = self.process.scales(t)
        return Scales(a, b, self.factor * sigma)

    @override
    def rates(self, t: Tensor) -> Scales:
        a, b, sigma = self.process.rates(t)
        return Scales(a, b, self.factor * sigma)
