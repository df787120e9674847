"""How much an error counts at a noise level: the lambda of a loss.

    loss = mean lambda(sigma) |error|^2

The level sigma belongs to the quantity whose error it is: sqrt(E|x_t - a x0 - b y|^2) for the score
and for the mean of x_t, and sigma / a for x0, which is where (x_t - b y) / a is x0 with noise of
that level. It may be 0 or, where a = 0, infinite.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import pi

import torch
from torch import Tensor, nn
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, expand, positive


def level(sde: SDE, t: Tensor) -> Tensor:
    """sigma / a: 0 for clean audio, infinite where nothing is left of it."""
    return (-sde.log_snr(t)).exp()


class LogVariance(nn.Module):
    """u(t) = sum_k w_k cos(pi k t), (batch,) to (batch,); 0 at first.

    Args:
        terms: how many w_k, from k = 0.
    """

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(terms))

    def forward(self, t: Tensor) -> Tensor:
        """u at times in [0, 1]."""
        k = torch.arange(len(self.weights), dtype=t.dtype, device=t.device)
        return (pi * t[:, None] * k).cos() @ self.weights


class Weighting(ABC):
    """lambda(sigma); subclasses are frozen dataclasses of its constants."""

    @abstractmethod
    def __call__(self, sigma: Tensor) -> Tensor:
        """lambda, shaped like the noise levels sigma."""

    def learned(self) -> LogVariance | None:
        """What is trained with the network, new, on the CPU; most weightings learn nothing."""
        return None

    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        """Why the error of x0 cannot be weighted at times (batch,), with the remedy, or None."""
        odd = ~self(level(sde, t)).isfinite()
        if not odd.any():
            return None
        return (
            f"{self} of the error of x0 is infinite at t = {float(t[odd][0]):g} of {sde}; use "
            "Unweighted() or EDMWeighting(), or train at other times"
        )

    def mean(self, squares: Tensor, weights: Tensor, u: Tensor | None) -> Tensor:
        """The loss of |error|^2 (batch, ...) with weights (batch,); u (batch,) is what is learned.

        The weights are lambda times what it takes to make `squares` the squares of the error.
        """
        return (expand(weights, squares) * squares).mean()


@dataclass(frozen=True)
class Unweighted(Weighting):
    """lambda = 1."""

    @override
    def __call__(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)


@dataclass(frozen=True)
class SigmaSquared(Weighting):
    """lambda = sigma^2: with the error of the score, the error of the noise unweighted.

    Song et al. 2021, arXiv:2011.13456, sec. 3.3.
    """

    @override
    def __call__(self, sigma: Tensor) -> Tensor:
        return sigma**2


@dataclass(frozen=True)
class EDMWeighting(Weighting):
    """lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 (Karras et al. 2022, table 1).

    With the error of x0 it is 1 / c_out^2: the output of a network that `EDM` parametrizes with the
    same sigma_data has the same loss, unweighted, at every level (arXiv:2206.00364).

    Args:
        sigma_data: sqrt(E|x0|^2) over the points of the data, of the compressed spectrogram.
    """

    sigma_data: float = 0.1

    def __post_init__(self) -> None:
        positive(self, sigma_data=self.sigma_data)

    @override
    def __call__(self, sigma: Tensor) -> Tensor:
        return 1 / self.sigma_data**2 + 1 / sigma**2


@dataclass(frozen=True)
class Uncertainty(Weighting):
    """Another weighting, divided by the loss that is to be expected at each time.

        loss = mean (L / e^u(t) + u(t)),   L = lambda |error|^2 of an item

    (Karras et al. 2024, arXiv:2312.02696, after Kendall et al. 2018, arXiv:1705.07115). For a given
    network it is least at e^u(t) = E[L | t], and so all times count alike however large their
    losses. u, a `LogVariance`, is trained with the network and no part of a checkpoint.

    Args:
        of: lambda.
        terms: of the cosine series u.
    """

    of: Weighting = field(default_factory=Unweighted)
    terms: int = 16

    def __post_init__(self) -> None:
        if self.terms < 1:
            raise ArgumentError(f"Uncertainty: terms must be at least 1, not {self.terms}")
        if self.of.learned() is not None:
            raise ArgumentError(
                "Uncertainty: `of` learns what it would learn; leave one of them out"
            )

    @override
    def __call__(self, sigma: Tensor) -> Tensor:
        return self.of(sigma)

    @override
    def learned(self) -> LogVariance:
        return LogVariance(self.terms)

    @override
    def mean(self, squares: Tensor, weights: Tensor, u: Tensor | None) -> Tensor:
        if u is None:
            raise ArgumentError(f"{self} needs u: make it with `learned` and train it")
        return super().mean(squares, weights * (-u).exp(), None) + u.mean()
