"""Predictor-corrector sampling (Song et al. 2021, arXiv:2011.13456, algorithms 2 to 5).

At every time first the corrector, a few steps of Langevin dynamics that stay at t, then the
predictor, which is any solver, from t to s.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, positive, weighted
from sgmse.solvers.base import LAST_START, Memory, Model, Randn, Solver
from sgmse.solvers.euler import Discretisation, EulerMaruyama, score


class Corrector(ABC):
    """Moves the state towards higher density and adds the noise that this removes, at one time."""

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Evaluations of the model at each time."""

    @abstractmethod
    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:
        """The corrected state at t (batch,)."""

    def refusal(self, sde: SDE, start: float) -> str | None:
        """Why it cannot correct at that time, with the remedy; None if it can."""
        if sde.scales(torch.tensor([start], dtype=torch.float64)).sigma > 0:
            return None
        return (
            f"{type(self).__name__} needs the score of {sde} at t = {start:g}, where "
            f"sigma({start:g}) = 0; start the grid before it (start={LAST_START}) or leave out "
            "the corrector"
        )


def _check(corrector: Corrector, snr: float, steps: int) -> None:
    positive(corrector, snr=snr)
    if steps < 1:
        raise ArgumentError(f"{type(corrector).__name__}: steps must be at least 1, not {steps}")


@dataclass(frozen=True)
class AnnealedLangevin(Corrector):
    """x + e score + sqrt(2 e) z with e = 2 (snr sigma)^2, `steps` times."""

    snr: float = 0.5
    steps: int = 1

    def __post_init__(self) -> None:
        _check(self, self.snr, self.steps)

    @property
    def evaluations(self) -> int:  # noqa: D102
        return self.steps

    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:  # noqa: D102
        sigma = model.sde.scales(t).sigma
        e = 2 * (self.snr * sigma) ** 2
        for _ in range(self.steps):
            noise = model(x, y, t).noise  # score = -noise / sigma
            one = torch.ones_like(e)
            x = weighted((one, x), (-e / sigma, noise), ((2 * e).sqrt(), randn(x)))
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

    @property
    def evaluations(self) -> int:  # noqa: D102
        return self.steps

    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:  # noqa: D102
        for _ in range(self.steps):
            gradient, z = score(model, x, y, t), randn(x)
            e = 2 * (self.snr * self.norm(z) / self.norm(gradient)) ** 2
            x = weighted((torch.ones_like(e), x), (e, gradient), ((2 * e).sqrt(), z))
        return x

    def norm(self, x: Tensor) -> Tensor:
        """The L2 norm of each item, (batch,)."""
        parts = torch.view_as_real(x) if x.is_complex() else x  # the norm of complex ones is slow
        norms = torch.linalg.vector_norm(parts, dim=tuple(range(1, parts.ndim)))
        return norms.mean().expand_as(norms) if self.coupled else norms


@dataclass(frozen=True)
class PredictorCorrector(Solver):
    """A corrector, then a predictor, at each time of the grid.

    Alone, a predictor keeps its order. A corrector adds the error of its own step length, which
    does not shrink with the steps of the grid: with one there is no order, which 0 stands for. A
    predictor that remembers, such as `Multistep`, takes its jumps for a trend, which doubles that
    error (variance 7 % too large in place of 3 % on a Gaussian, with AnnealedLangevin(0.3)).

    Args:
        predictor: any solver, or None for the corrector alone, which stays where it is.
        corrector: `AnnealedLangevin()`, `Langevin()`, or None for the predictor alone.
        denoise: end at the mean of the step to t = 0; without, its noise is kept, as an
            `EulerMaruyama` or a `ReverseDiffusion` has it.
    """

    predictor: Solver | None = field(default_factory=EulerMaruyama)
    corrector: Corrector | None = field(default_factory=AnnealedLangevin)
    denoise: bool = True

    def __post_init__(self) -> None:
        noisy = self.predictor is None or isinstance(self.predictor, Discretisation)
        if not (self.denoise or noisy):
            raise ArgumentError(
                f"PredictorCorrector: denoise must be True with {self.predictor}, "
                "whose step to t = 0 has no noise to keep"
            )

    @property
    def order(self) -> int:  # type: ignore[override]  # noqa: D102
        return 0 if self.predictor is None or self.corrector else self.predictor.order

    @property
    def evaluations(self) -> int:  # type: ignore[override]  # noqa: D102
        return sum(part.evaluations for part in (self.predictor, self.corrector) if part)

    @property
    def fewest_steps(self) -> int:  # type: ignore[override]  # noqa: D102
        return 1 if self.predictor is None else self.predictor.fewest_steps

    def step(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        if self.corrector is not None:
            x = self.corrector.correct(model, x, y, t, randn)
        if self.predictor is None:
            return x, None
        return self.predictor.step(model, x, y, t, s, memory, randn)

    def finish(  # noqa: D102
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, Memory]:
        if self.predictor is None or not self.denoise:
            return self.step(model, x, y, t, s, memory, randn)
        if self.corrector is not None:
            x = self.corrector.correct(model, x, y, t, randn)
        return self.predictor.finish(model, x, y, t, s, memory, randn)

    def draws(self, sde: SDE) -> bool:  # noqa: D102
        return self.corrector is not None or (
            self.predictor is not None and self.predictor.draws(sde)
        )

    def refusal(self, sde: SDE, start: float) -> str | None:  # noqa: D102
        parts = [part for part in (self.predictor, self.corrector) if part is not None]
        return next((why for part in parts if (why := part.refusal(sde, start))), None)
