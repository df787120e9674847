"""The parts of a training that turn gradients into weights: times, optimiser, rate, average."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Generator, Tensor, nn
from torch.optim import swa_utils

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
        chosen, t = torch.rand(2, count, generator=generator, device=device)
        return torch.where(chosen < self.at_one, 1.0, self.low + (self.high - self.low) * t)


@dataclass(frozen=True)
class Optimiser(ABC):
    """Makes an optimiser; subclasses are frozen dataclasses of its settings."""

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if not (self.lr > 0 and self.eps > 0 and all(0 <= b < 1 for b in self.betas)):
            raise ArgumentError(f"{self}: lr and eps must be positive, betas in [0, 1)")

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""


@dataclass(frozen=True)
class Adam(Optimiser):
    """`torch.optim.Adam`."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.Adam(parameters, self.lr, self.betas, self.eps)


@dataclass(frozen=True)
class AdamW(Optimiser):
    """`torch.optim.AdamW`, which pulls the weights towards 0 by lr weight_decay a step."""

    weight_decay: float = 1e-2

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.AdamW(parameters, self.lr, self.betas, self.eps, self.weight_decay)


@dataclass(frozen=True)
class Schedule:
    """Factor on the learning rate: a linear rise, a plateau, a linear fall.

    Args:
        warmup: steps of the rise.
        settle: steps n after which the plateau falls as sqrt(n / step); never if absent (Karras et
            al. 2024, arXiv:2312.02696, eq. 67).
        decay: share of the whole training, at its end, in which the factor falls.
        final: what it falls to.
    """

    warmup: int = 0
    decay: float = 0.0
    final: float = 0.0
    settle: int | None = None

    def __post_init__(self) -> None:
        if self.warmup < 0 or not (0 <= self.decay <= 1 and 0 <= self.final <= 1):
            raise ArgumentError(
                f"{self}: warmup must not be negative, decay and final lie in [0, 1]"
            )
        if self.settle is not None and self.settle < 1:
            raise ArgumentError(f"{self}: settle must be at least 1")

    def factor(self, step: int, progress: float) -> float:
        """For step 0, 1, ... at a progress from 0 to 1 of the whole training."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        fallen = min(max(progress - 1 + self.decay, 0) / self.decay, 1.0) if self.decay else 0.0
        settled = min(1.0, sqrt(self.settle / (step + 1))) if self.settle else 1.0
        return rise * settled * (1 - fallen * (1 - self.final))


@dataclass(frozen=True)
class EMA:
    """Exponential moving average of the weights; it is what is validated and saved.

        average <- d average + (1 - d) weights
        d = 0 at update 1, which copies the weights
        d = min(decay, (1 + n) / (10 + n)) at update n = 2, 3, ...

    Args:
        decay: d in the long run.
        warmup: whether d rises to it as above, so that the first weights are forgotten; else
            d = decay from update 2 on.
    """

    decay: float = 0.999
    warmup: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ArgumentError(f"{self}: decay must lie in [0, 1)")

    def of(self, network: nn.Module) -> swa_utils.AveragedModel:
        """The average, equal to the network until the first update; it takes no gradients."""
        average = swa_utils.AveragedModel(network, multi_avg_fn=self.update)
        return average.requires_grad_(False)

    @torch.no_grad()
    def update(
        self, average: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int
    ) -> None:
        """Update in place, after `count` updates, which are 1 at least: torch copies at first."""
        n = int(count) + 1
        decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
        swa_utils.get_ema_multi_avg_fn(decay)(list(average), list(weights), count)
