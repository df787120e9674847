"""More times where losses are large, with weights that leave the objective as it is.

    objective = E[ loss(t) / p(t) ],     p(t) in proportion to sqrt(E[loss(t)^2])

(Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 18*). The times of a law are split into bins of the
same probability, t = Q(u) with u in [k / K, (k + 1) / K), and the squares are means over the last
losses of each bin. Until every bin has so many, the bins are drawn alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from sgmse.errors import ArgumentError


class Place(NamedTuple):
    """Where items are drawn: bins, u in [0, 1], and weights 1 / (K p). Shapes: (batch,)."""

    bins: Tensor
    u: Tensor
    weights: Tensor


class History:
    """The last losses of each bin, and how often each bin should be drawn by them.

    It stays on the CPU and in float64: a few numbers, the same on every device.

    Attributes:
        losses: (bins, history).
        counts: (bins,), how many each bin has had.
    """

    def __init__(self, bins: int, history: int, uniform: float) -> None:
        self.uniform = uniform
        self.losses = torch.zeros(bins, history, dtype=torch.float64)
        self.counts = torch.zeros(bins, dtype=torch.int64)

    @property
    def probabilities(self) -> Tensor:
        """(bins,), of sum 1; all positive."""
        bins, history = self.losses.shape
        even = torch.full((bins,), 1 / bins, dtype=torch.float64)
        root = self.losses.square().mean(1).sqrt()
        if bool((self.counts < history).any()) or not bool(root.sum() > 0):
            return even
        return (1 - self.uniform) * root / root.sum() + self.uniform * even

    def place(self, v: Tensor) -> Place:
        """Where uniform numbers (batch,) fall, if each bin takes its probability of [0, 1]."""
        v, p = v.cpu().double(), self.probabilities
        edges = p.cumsum(0)
        bins = torch.searchsorted(edges, v, right=True).clamp(max=len(p) - 1)
        inside = ((v - (edges - p)[bins]) / p[bins]).clamp(0, 1)
        return Place(bins, (bins + inside) / len(p), 1 / (len(p) * p[bins]))

    def record(self, bins: Tensor, losses: Tensor) -> None:
        """Remember losses of bins (batch,); those that are not finite are left out."""
        for k, loss in zip(bins.tolist(), losses.double().tolist(), strict=True):
            if k >= 0 and isfinite(loss):
                self.losses[k, int(self.counts[k]) % self.losses.shape[1]] = loss
                self.counts[k] += 1

    def state(self) -> dict[str, Tensor]:
        """What `restore` takes, for a file."""
        return {"losses": self.losses.clone(), "counts": self.counts.clone()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state of as many bins and losses; `ArgumentError` for another."""
        if not state or state["losses"].shape != self.losses.shape:
            raise ArgumentError("losses of other bins were kept, or none")
        self.losses, self.counts = state["losses"].clone(), state["counts"].clone()


@dataclass(frozen=True)
class LossAware:
    """Settings of drawing by the losses.

    Args:
        bins: of the law of times.
        history: losses of a bin that are kept.
        uniform: share of the draws that treats all bins alike, so that none is forgotten. No weight
            is above 1 / uniform.
    """

    bins: int = 32
    history: int = 10
    uniform: float = 0.001

    def __post_init__(self) -> None:
        if self.bins < 2 or self.history < 1:
            raise ArgumentError(f"{self}: bins must be at least 2, and history at least 1")
        if not 0 < self.uniform < 1:
            raise ArgumentError(
                f"{self}: uniform must lie in (0, 1); leave out loss_aware to draw all alike"
            )

    def build(self) -> History:
        """A history without losses."""
        return History(self.bins, self.history, self.uniform)
