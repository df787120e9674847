"""Times at which a network is trained."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sgmse.errors import ArgumentError


@dataclass(frozen=True)
class Times:
    """Times of training: uniform in [low, high], or 1 with the probability `at_one`.

    Args:
        low: above 0, where there is no noise to estimate.
        high: at most 1.
        at_one: share of the items at t = 1, where a sampler of few steps spends most of them.
    """

    low: float = 0.03
    high: float = 1.0
    at_one: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise ArgumentError(f"{self}: 0 < low <= high <= 1 must hold")
        if not 0 <= self.at_one <= 1:
            raise ArgumentError(f"{self}: at_one must lie in [0, 1]")

    def draw(self, count: int, generator: Generator) -> Tensor:
        """(count,) times, on the device of the generator."""
        device = generator.device
        chance, t = torch.rand(2, count, generator=generator, device=device)
        return torch.where(chance < self.at_one, 1.0, self.low + (self.high - self.low) * t)
