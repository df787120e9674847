"""Predictor-corrector sampling (Song et al. 2021, arXiv:2011.13456, algorithms 2* to 5*).

At every time first the corrector, a few steps of Langevin dynamics that stay at t, then the
predictor, which is any solver, from t to s.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, positive, weighted
from sgmse.solvers._base import LAST_START, Begun, Model, Randn, Solver
from sgmse.solvers._euler import Discretisation, EulerMaruyama, score
from sgmse.solvers._wrapping import Take, Wrapping


@dataclass(frozen=True)
class Corrector(ABC):
    """x + e score + sqrt(2 e) z, `steps` times, at one time.

    Moves the state towards higher density and adds the noise that this removes. Its length e
    follows from `snr`.
    """

    snr: float = 0.5
    steps: int = 1

    def __post_init__(self) -> None:
        kinds(self)
        positive(self, snr=self.snr)
        if self.steps < 1:
            raise ArgumentError(
                f"{type(self).__name__}: steps must be at least 1, not {self.steps}"
            )

    @property
    def evaluations(self) -> int:
        """Of the model at each time."""
        return self.steps

    @property
    def apart(self) -> bool:
        """Whether what becomes of an item does not depend on the others of its batch."""
        return True

    @abstractmethod
    def move(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:
        """The state after one of the steps, with one evaluation."""

    def correct(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:
        """The corrected state at t (batch,)."""
        for _ in range(self.steps):
            x = self.move(model, x, y, t, randn)
        return x

    def refusal(self, sde: SDE, start: float) -> str | None:
        """Why it cannot correct at that time, with the remedy; None if it can."""
        if sde.scales(torch.tensor([start], dtype=torch.float64)).sigma > 0:
            return None
        return (
            f"{type(self).__name__} needs the score of {sde} at t = {start:g}, where "
            f"sigma({start:g}) = 0; start the grid before it (start={LAST_START}) or leave out "
            "the corrector"
        )


@dataclass(frozen=True)
class AnnealedLangevin(Corrector):
    """x + e score + sqrt(2 e) z with e = 2 (snr sigma)^2, `steps` times.

    For a Gaussian of variance w >= sigma^2 it leads to w / (1 - snr^2 sigma^2 / w), a third too
    much at most for snr = 0.5, and without bound as snr goes to 1.
    """

    @override
    def move(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:
        sigma = model.sde.scales(t).sigma
        e = 2 * (self.snr * sigma) ** 2
        noise = model(x, y, t).noise  # score = -noise / sigma
        return weighted((torch.ones_like(e), x), (-e / sigma, noise), ((2 * e).sqrt(), randn(x)))


@dataclass(frozen=True)
class Langevin(Corrector):
    """x + e score + sqrt(2 e) z with e = 2 (snr |z| / |score|)^2, `steps` times.

    The norms are over each item. The published code averages them over the batch, which makes the
    items depend on each other: `coupled` does the same.

    It stays at the law of t only where an item has many elements. For a Gaussian of n complex ones
    the variance becomes 1 + snr^2 times that of the law for large n (1.26 for snr = 0.5), and more
    for few, as 1 / |score|^2 has a heavy tail: 1.4 at n = 16, 2.5 at 4, about 10 at 2, without
    bound at 1. Real elements count as half as many.
    """

    coupled: bool = False

    @property
    @override
    def apart(self) -> bool:
        return not self.coupled

    @override
    def move(self, model: Model, x: Tensor, y: Tensor, t: Tensor, randn: Randn) -> Tensor:
        gradient, z = score(model, x, y, t), randn(x)
        e = 2 * (self.snr * self.norm(z) / self.norm(gradient)) ** 2
        return weighted((torch.ones_like(e), x), (e, gradient), ((2 * e).sqrt(), z))

    def norm(self, x: Tensor) -> Tensor:
        """The L2 norm of each item, (batch,)."""
        parts = torch.view_as_real(x) if x.is_complex() else x  # the norm of complex ones is slow
        norms: Tensor = torch.linalg.vector_norm(parts, dim=tuple(range(1, parts.ndim)))
        return norms.mean().expand_as(norms) if self.coupled else norms


class Idle(Solver[Begun]):
    """Stays where it is."""

    order = 0
    evaluations = 0

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: object, randn: Randn
    ) -> tuple[Tensor, Begun]:
        return x, ()

    @override
    def draws(self, sde: SDE) -> bool:
        return False


@dataclass(frozen=True)
class PredictorCorrector(Wrapping):
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
        super().__post_init__()
        noisy = self.predictor is None or isinstance(self.predictor, Discretisation)
        if not (self.denoise or noisy):
            raise ArgumentError(
                f"PredictorCorrector: denoise must be True with {self.predictor}, "
                "whose step to t = 0 has no noise to keep"
            )

    @property
    @override
    def inner(self) -> Solver:
        return self.predictor or Idle()

    @override
    def around(
        self,
        take: Take,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Any,
        randn: Randn,
    ) -> tuple[Tensor, Any]:
        if self.corrector:
            x = self.corrector.correct(model, x, y, t, randn)
        return take(model, x, y, t, s, memory, randn)

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Any, randn: Randn
    ) -> tuple[Tensor, Any]:
        step = super().finish if self.denoise else self.step
        return step(model, x, y, t, s, memory, randn)

    @property
    @override
    def order(self) -> int:
        return 0 if self.corrector else super().order

    @property
    @override
    def weak_order(self) -> int:
        return 0 if self.corrector else super().weak_order

    @property
    @override
    def evaluations(self) -> int:
        return super().evaluations + (self.corrector.evaluations if self.corrector else 0)

    @property
    @override
    def apart(self) -> bool:
        return super().apart and (self.corrector is None or self.corrector.apart)

    @override
    def draws(self, sde: SDE) -> bool:
        return self.corrector is not None or super().draws(sde)

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        why = super().refusal(sde, start)
        return why or (self.corrector.refusal(sde, start) if self.corrector else None)
