"""Predictor-corrector sampling (Song et al. 2021, arXiv:2011.13456, algorithms 2 to 5).

At every time first the corrector, a few steps of Langevin dynamics that stay at t, then the
predictor, one step of the reverse process from t to s:

    dx = (f x + h y - g^2 score) dt + g dw
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgmse.sdes import SDE, expand, positive
from sgmse.solvers.base import Memory, Model, Randn, Solver, needs_score


class Corrector(ABC):
    """Moves the state towards higher density and adds the noise that this removes, at one time."""

    @abstractmethod
    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:
        """The corrected state at t (batch,)."""


def score(model: Model, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """-noise / sigma of the model's estimate."""
    return -model(x, y, t).noise / expand(model.sde.scales(t).sigma, x)


def _check(corrector: Corrector, snr: float, steps: int) -> None:
    positive(corrector, snr=snr)
    if steps < 1:
        raise ValueError(f"{type(corrector).__name__}: steps must be at least 1, not {steps}")


@dataclass(frozen=True)
class AnnealedLangevin(Corrector):
    """x + e score + sqrt(2 e) z with e = 2 (snr sigma)^2, `steps` times."""

    snr: float = 0.5
    steps: int = 1

    def __post_init__(self) -> None:
        _check(self, self.snr, self.steps)

    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:  # noqa: D102
        e = expand(2 * (self.snr * model.sde.scales(t).sigma) ** 2, x)
        for _ in range(self.steps):
            x = x + e * score(model, x, y, t) + (2 * e).sqrt() * randn(x)
        return x


@dataclass(frozen=True)
class Langevin(Corrector):
    """x + e score + sqrt(2 e) z with e = 2 (snr |z| / |score|)^2, `steps` times.

    The norms are over each item. The published code averages them over the batch, which makes the
    items depend on each other: `coupled` does the same.
    """

    snr: float = 0.5
    steps: int = 1
    coupled: bool = False

    def __post_init__(self) -> None:
        _check(self, self.snr, self.steps)

    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:  # noqa: D102
        for _ in range(self.steps):
            gradient, z = score(model, x, y, t), randn(x)
            e = expand(2 * (self.snr * self.norm(z) / self.norm(gradient)) ** 2, x)
            x = x + e * gradient + (2 * e).sqrt() * z
        return x

    def norm(self, x: Tensor) -> Tensor:
        """The L2 norm of each item, (batch,)."""
        norms = torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)))
        return norms.mean().expand_as(norms) if self.coupled else norms


@dataclass(frozen=True)
class ReverseDiffusion:
    """The Euler-Maruyama step of the reverse process.

        mean = x - d (f x + h y - g^2 score),      x_s = mean + g sqrt(d) z

    Args:
        stepsize: d; the distance t - s if absent. The published Euler-Maruyama predictor takes
            1 / N in every step, whatever the grid.
    """

    stepsize: float | None = None

    def __post_init__(self) -> None:
        if self.stepsize is not None:
            positive(self, stepsize=self.stepsize)

    def predict(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, randn: Randn
    ) -> tuple[Tensor, Tensor]:
        """(x_s, its mean)."""
        d = expand(t - s if self.stepsize is None else torch.full_like(t, self.stepsize), x)
        f, h, g = (expand(c, x) for c in model.sde.coefficients(t))
        mean = x - d * (f * x + h * y - g**2 * score(model, x, y, t))
        return mean + g * d.sqrt() * randn(x), mean


@dataclass(frozen=True)
class PredictorCorrector(Solver):
    """A corrector, then a predictor, at each time of the grid.

    Args:
        predictor: `ReverseDiffusion()`, or None for the corrector alone.
        corrector: `AnnealedLangevin()`, `Langevin()`, or None for the predictor alone.
        denoise: return the mean of the step to t = 0, without its noise.
    """

    predictor: ReverseDiffusion | None = field(default_factory=ReverseDiffusion)
    corrector: Corrector | None = field(default_factory=AnnealedLangevin)
    denoise: bool = True

    order = 1
    fewest_steps = 10

    def step(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        if self.corrector is not None:
            x = self.corrector.correct(model, x, y, t, randn)
        if self.predictor is not None:
            x, mean = self.predictor.predict(model, x, y, t, s, randn)
            if self.denoise:
                x = torch.where(expand(s > 0, x), x, mean)
        return x, None

    def draws(self, sde: SDE) -> bool:  # noqa: D102
        return self.predictor is not None or self.corrector is not None

    def refusal(self, sde: SDE, start: float) -> str | None:  # noqa: D102
        return needs_score(self, sde, start)
