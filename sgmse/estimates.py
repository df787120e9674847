"""What a network says about x_t: an estimate of the clean audio and of the noise in it.

    x_t = a x0 + b y + sigma noise      holds for every `Estimate`

A parametrization reads the network's output as one of the two, and the equation gives the other.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sgmse.sdes import SDE, expand


class Estimate(NamedTuple):
    """Clean audio and noise, each shaped like x_t."""

    x0: Tensor
    noise: Tensor


class Parametrization(ABC):
    """How the output of a network becomes an `Estimate`; subclasses are frozen dataclasses."""

    #: Whether `estimate` divides by a(t), so that it cannot start from a pinned end point.
    divides_by_a: bool = True

    def inputs(self, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is called with: the state, the observation and the time, scaled."""
        return x, y, t

    @abstractmethod
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        """The estimate that an output stands for, at the state x and the times t."""

    @abstractmethod
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        """The output for which `estimate` gives (x0, z) at x_t = a x0 + b y + sigma z."""


@dataclass(frozen=True)
class Noise(Parametrization):
    """output = noise."""

    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:  # noqa: D102
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        return Estimate((x - b * y - sigma * output) / a, output)

    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:  # noqa: D102
        return z


@dataclass(frozen=True)
class Score(Parametrization):
    """output = sign * score,   score = -noise / sigma; sign = -1 for the published networks."""

    sign: int = 1

    def __post_init__(self) -> None:
        if self.sign not in (-1, 1):
            raise ValueError(f"Score: sign must be 1 or -1, not {self.sign}")

    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:  # noqa: D102
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        noise = -self.sign * sigma * output
        return Estimate((x - b * y - sigma * noise) / a, noise)

    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:  # noqa: D102
        return -self.sign * z / expand(sde.scales(t).sigma, z)


@dataclass(frozen=True)
class Data(Parametrization):
    """output = x0.  Where sigma = 0 there is no noise to estimate, and it is 0."""

    divides_by_a = False

    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:  # noqa: D102
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        there = sigma > 0
        noise = (x - a * output - b * y) / torch.where(there, sigma, 1.0)
        return Estimate(output, torch.where(there, noise, 0.0))

    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:  # noqa: D102
        return x0
