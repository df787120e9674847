"""Guidance: an estimate pushed away from that of a weaker model of the same process.

    x0 = x0_weak + w (x0_model - x0_weak),      noise = noise_weak + w (noise_model - noise_weak)

The weights sum to 1, so that x = a x0 + b y + sigma noise holds of both as it does of each, and the
score is that of p_weak (p_model / p_weak)^w at every time. The samples are not those of this law at
t = 0: noising it is not the product of the noised laws. For w > 1 they are narrower than it where
the weak model is wider, as for Gaussians of one mean and the variances v (model) and u (weak) the
flow ends at v^w u^(1 - w), and the product has 1 / (w / v + (1 - w) / u).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, number
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import expand
from sgmse.solvers import Model, modelled, of_items
from sgmse.solvers._base import Around


@dataclass(frozen=True)
class Blind(Around):
    """A model that is not shown the observation, for classifier-free guidance.

    The observation drops out of x - b y, which is a diffusion of x0 with (a, sigma). This asks the
    model there, without y, for what is an estimate at x with y, too. It is worth what the model
    knows without y: one that never lacked it in training says noise.
    """

    model: Model

    def __post_init__(self) -> None:
        modelled(self.model)

    def for_items(self, items: Tensor) -> "Blind":
        """The same for these items of a batch."""
        return replace(self, model=of_items(self.model, items))

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x (batch, ...) and t (batch,), whatever y is but for its part in x."""
        if y is None:
            return self.model(x, None, t)
        return self.model(x - expand(self.sde.scales(t).b, x) * y, None, t)


@dataclass(frozen=True)
class Guided(Around):
    """A model guided by a weaker one of the same process; any solver takes it for a `Model`.

    Autoguidance, where `weak` is a smaller or less trained version of the model (Karras et al.
    2024, arXiv:2406.02070), or classifier-free guidance, where it lacks the observation: a model of
    its own or `Blind(model)` (Ho and Salimans 2022, arXiv:2207.12598, whose w is this one less 1).

    An evaluation is one of each model, but where the weight is 1 or 0, and outside of the interval
    of times (Kynkaanniemi et al. 2024, arXiv:2404.07724), where it is the model alone, to the bit.
    With an interval an evaluation waits for the device, to leave out the weak model there.

    Args:
        model: what is to be sampled.
        weak: of the same process.
        weight: w, 1 for the model, 0 for the weak one, above 1 to be guided.
        first: the latest time with guidance.
        last: the earliest time with guidance.

    Raises:
        ValueError: the processes differ, or first < last.
    """

    model: Model
    weak: Model
    weight: float = 1.5
    first: float = 1.0
    last: float = 0.0

    def __post_init__(self) -> None:
        kinds(self)
        if modelled(self.model) != modelled(self.weak):
            raise ArgumentError(
                f"Guided: the weak model is one of {self.weak.sde}, and the model of "
                f"{self.model.sde}; their estimates can be mixed for one process only"
            )
        number("Guided: weight", self.weight)
        if not 0 <= self.last <= self.first <= 1:
            raise ArgumentError(
                f"Guided: the times with guidance need 0 <= last <= first <= 1, not last "
                f"{self.last}, first {self.first}"
            )

    @property
    @override
    def latest(self) -> float:
        """The largest time at which both are asked, or the model alone where it is not guided."""
        if self.weight == 1 or self.first <= self.weak.latest:
            return self.model.latest
        return min(self.model.latest, self.weak.latest)

    def for_items(self, items: Tensor) -> "Guided":
        """The same for these items of a batch."""
        model, weak = (of_items(one, items) for one in (self.model, self.weak))
        return replace(self, model=model, weak=weak)

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The guided estimate at x, y (batch, ...) and t (batch,)."""
        if self.weight == 1:
            return self.model(x, y, t)
        within = (self.last <= t) & (t <= self.first)
        always = self.last == 0 and self.first == 1
        if not always and not bool(within.any()):
            return self.model(x, y, t)
        weak = self.weak(x, y, t)
        if self.weight == 0 and always:
            return weak
        strong = self.model(x, y, t)
        if always:
            return Estimate(*(v + self.weight * (u - v) for u, v in zip(strong, weak, strict=True)))
        inside = expand(within, x)
        return Estimate(
            *(
                torch.where(inside, v + self.weight * (u - v), u)
                for u, v in zip(strong, weak, strict=True)
            )
        )
