"""Losses of one estimate on its way, at a time: score, noise, mean, data and velocity.

The errors e of every estimate have a e_x0 + sigma e_noise = 0, so they differ by weights alone:

    e_score = -e_noise / sigma,   e_mean = a e_x0 = -sigma e_noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE, weighted
from sgmse.training.losses.base import Loss, Truth, WeightedLoss, infinite_velocity
from sgmse.training.losses.weightings import SigmaSquared, Unweighted, Weighting, level


@dataclass(frozen=True)
class ScoreMatching(WeightedLoss):
    """mean lambda(sigma) |score - grad log p(x_t | x0, y)|^2 (Song et al. 2021, eq. 7*).

    With score = -noise / sigma it is  mean lambda / sigma^2 |noise - z|^2,  and for lambda =
    sigma^2, as published, mean |noise - z|^2. Where sigma = 0 there is no noise to learn.
    """

    weighting: Weighting = field(default_factory=SigmaSquared)

    @override
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        sigma = truth.sde.scales(truth.t).sigma
        weights = torch.where(sigma > 0, self.weighting(sigma) / sigma**2, 1.0)
        squares = (estimate.noise - truth.z).abs().square()
        return {"loss": self.weighting.mean(squares, weights, truth.u)}


@dataclass(frozen=True)
class Denoising(WeightedLoss):
    """mean lambda |D - truth|^2 for the estimate D of the clean audio, or of the mean of x_t.

        of = "data"    D = x0 hat               lambda at the level sigma / a (Karras et al. 2022)
        of = "mean"    D = a x0 hat + b y       lambda at the level sigma (Richter et al. 2024)

    (arXiv:2206.00364, arXiv:2409.10753; the published name of the second is `denoiser`.) At a
    pinned end the mean is x_t, and nothing is to be learned about it.
    """

    of: Literal["data", "mean"] = "data"
    weighting: Weighting = field(default_factory=Unweighted)

    def __post_init__(self) -> None:
        if self.of not in ("data", "mean"):
            raise ArgumentError(f"Denoising: of must be 'data' or 'mean', not {self.of!r}")

    @override
    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        return self.weighting.refusal(sde, t) if self.of == "data" else None

    @override
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        if self.of == "data":
            weights = self.weighting(level(truth.sde, truth.t))
            squares = (estimate.x0 - truth.x0).abs().square()
        else:
            sigma = truth.sde.scales(truth.t).sigma
            weights = torch.where(sigma > 0, self.weighting(sigma) * sigma**2, 0.0)
            squares = (estimate.noise - truth.z).abs().square()
        return {"loss": self.weighting.mean(squares, weights, truth.u)}


@dataclass(frozen=True)
class VelocityMatching(Loss):
    """mean |v - v(x0, y, z)|^2 for v = a' x0 hat + b' y + sigma' noise hat: flow matching.

    Lipman et al. 2023, arXiv:2210.02747, eq. 9*; b' y is no error. It needs finite a' and sigma'.
    """

    @override
    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        why = infinite_velocity(sde, t)
        return why and f"VelocityMatching: {why}; train at other times, or use Reconstruction"

    @override
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        a, _, sigma = truth.sde.rates(truth.t)
        off = weighted((a, estimate.x0 - truth.x0), (sigma, estimate.noise - truth.z))
        return {"loss": off.abs().square().mean()}
