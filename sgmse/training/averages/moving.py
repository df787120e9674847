"""The exponential moving average, which is what is validated and saved."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import swa_utils

from sgmse.errors import ArgumentError


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
