"""Times at which a network is trained: a law, an atom at 1, and how little the draws may vary."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from sgmse.errors import ArgumentError
from sgmse.sdes import SDE
from sgmse.training.losses import Loss
from sgmse.training.times.laws import Law, UniformTime
from sgmse.training.times.loss_aware import History, LossAware
from sgmse.training.times.weightings import TimeWeighting


class Drawn(NamedTuple):
    """Times of a batch, and what their losses are worth. Shapes: (batch,), on the CPU but for t.

    t: the times.
    weights: of the losses; None where all are 1.
    scale: that part of the weights which is of the objective; the rest is for how t was drawn.
    bins: of a `History`, -1 for items at t = 1 by `at_one`; None without one.
    """

    t: Tensor
    weights: Tensor | None = None
    scale: Tensor | None = None
    bins: Tensor | None = None

    def part(self, items: slice) -> "Drawn":
        """Those of some items."""
        others = (None if values is None else values[items] for values in self[1:])
        return Drawn(self.t[items], *others)


@dataclass(frozen=True)
class Times:
    """Times of training: by a law in [low, high], or 1 with the probability `at_one`.

    Args:
        low: above 0, where there is no noise to estimate.
        high: at most 1.
        at_one: share of the items at t = 1, where a sampler of few steps spends most of them; their
            losses have the weight 1.
        law: of the other times; without a weighting it also says how much they count.
        stratified: draw one time in each part of same probability of the law, as many parts as
            items: an item is drawn as before, but a batch covers all times. Kingma et al. 2021
            (arXiv:2107.00630, appendix I*) shift all parts by one number; with a number for each
            the mean of a smooth loss varies by n^-3, not n^-2.
        weighting: how much a time counts, whatever the law; by the law if absent.
        loss_aware: draw more times where losses are large, without another objective.
    """

    low: float = 0.03
    high: float = 1.0
    at_one: float = 0.0
    law: Law = field(default_factory=UniformTime)
    stratified: bool = False
    weighting: TimeWeighting | None = None
    loss_aware: LossAware | None = None

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise ArgumentError(f"{self}: 0 < low <= high <= 1 must hold")
        if not 0 <= self.at_one <= 1:
            raise ArgumentError(f"{self}: at_one must lie in [0, 1]")
        if (self.low == self.high or self.at_one == 1) and (vain := self.settings):
            where = "at_one is 1" if self.at_one == 1 else "low is high"
            raise ArgumentError(f"{where}, so that all times are one; leave out {', '.join(vain)}")

    @property
    def settings(self) -> list[str]:
        """What is set of how times are drawn beside `low`, `high` and `at_one`."""
        plain = {"law": UniformTime(), "stratified": False, "weighting": None, "loss_aware": None}
        return [name for name, value in plain.items() if getattr(self, name) != value]

    def refusal(self, loss: Loss, sde: SDE) -> str | None:
        """Why losses at such times make no sense, "key: what; remedy", or None."""
        if why := self.law.refusal(self.low, self.high, sde):
            return f"times.law: {why}"
        if self.weighting and (why := self.weighting.refusal(loss, self.low, self.high, sde)):
            return f"times.weighting: {why}"
        if self.loss_aware is not None and loss.learned() is not None:
            return (
                "times.loss_aware: the weighting of the loss is learned, by which all times count "
                "alike; leave out one of them"
            )
        return None

    def draw(self, count: int, generator: Generator, sde: SDE | None = None) -> Tensor:
        """(count,) times, on the device of the generator; the process is for laws of its level."""
        return self.sample(count, generator, sde).t

    def sample(
        self,
        count: int,
        generator: Generator,
        sde: SDE | None = None,
        history: History | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> Drawn:
        """Times and weights of a batch.

        Args:
            count: of items.
            generator: on whose device the times are.
            sde: the process; not needed for plain times.
            history: of the losses, for `loss_aware`.
            rank, world: this device and how many there are, whose batches are strata of one.

        Raises `ArgumentError` if the process or the history is needed and absent.
        """
        device = generator.device
        chance, v = torch.rand(2, count, generator=generator, device=device)
        if self.stratified:
            part = torch.randperm(count, generator=generator, device=device) * world + rank
            v = (part + v) / (count * world)
            # The first of the strata are those at 1.
            chance, v = v, ((v - self.at_one) / (1 - self.at_one)).clamp(min=0)
        at_one = chance < self.at_one
        if not self.settings:
            return Drawn(torch.where(at_one, 1.0, self.low + (self.high - self.low) * v))
        if sde is None:
            raise ArgumentError(f"{self} needs the process: pass sde")
        bins = None
        weights = scale = torch.ones(count, dtype=torch.float64)
        if self.loss_aware is not None:
            if history is None:
                raise ArgumentError(f"{self} needs a history: pass loss_aware.build()")
            bins, u, weights = history.place(v)
            v = u.to(v)
        t = self.law.quantile(v, self.low, self.high, sde)
        outside = at_one.cpu()
        if self.weighting is not None:
            exact = t.cpu().double()
            density = self.law.density(exact, self.low, self.high, sde) * (self.high - self.low)
            scale = (self.weighting(exact, sde) / density).masked_fill(outside, 1)
        weights = weights.masked_fill(outside, 1) * scale
        t = torch.where(at_one, 1.0, t)
        if self.weighting is None and bins is None:
            return Drawn(t)
        return Drawn(t, weights, scale, None if bins is None else bins.masked_fill(outside, -1))
