"""Samples of high reward: the best of N, and particles steered towards it (Feynman-Kac).

A reward is any function of clean audio; no gradient is taken. The best of N samples has a law of at
most ln N - (N - 1) / N nats from that of the model. Steering draws from the tilted law

    p(x0 | y) e^(scale r(x0)) / Z

(Singhal et al. 2025, arXiv:2501.06848): N particles are sampled side by side, and after some steps
they are drawn anew in proportion to their potentials G. With r at the estimate x0 of each state,
the logarithms of all G up to a time add up to

    "difference": scale r now,   "max": the largest of it so far,   "sum": the sum of it so far,

and the last one makes up the difference to scale r(x0): whatever the potentials, weighted means are
those of the tilted law in the limit of many particles and exact steps. "sum" counts a reward once
for each drawing, so that with many drawings few of the last weights are left: draw seldom with it.

It is meant for models that draw different results from one recording, by several steps with noise.
The model that is shipped is a predictor of one step, whose samples hardly differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import arguments, choice, number, whole
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.inference._ensembles import SampleNoise, check, pieces
from sgmse.sdes import expand
from sgmse.solvers import Model, Randn, Solver, Wrapping, modelled, of_items, solve
from sgmse.solvers._base import Around, two_timed
from sgmse.solvers._grids import Grid
from sgmse.solvers._wrapping import Take

#: r(x0, y) of clean audio and the observation, (batch, ...) each, to (batch,) and real.
Reward = Callable[[Tensor, Tensor], Tensor]
Potential = Literal["difference", "max", "sum"]


class Best(NamedTuple):
    """The sample of the highest reward of each item.

    Attributes:
        x: (batch, ...).
        reward: (batch,), that of x.
        mean: (batch,), that of all its samples on the mean.
        nfe: evaluations of the model for each item, all samples together.
    """

    x: Tensor
    reward: Tensor
    mean: Tensor
    nfe: int


@torch.no_grad()
def best_of(
    model: Model,
    y: Tensor,
    solver: Solver,
    grid: Grid,
    count: int,
    reward: Reward,
    *,
    batch: int = 16,
    seed: int = 0,
) -> Best:
    """The best of `count` samples of each item, by a reward.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        y: the observation, (batch, ...), complex or real.
        solver, grid: the sampler.
        count: samples of each item, at least 2.
        reward: of clean audio and the observation, more is better.
        batch: states, samples times items, that the model is given at once.
        seed: of the noise; sample k of an item is that of `ensemble`.

    Raises:
        ValueError: what `ensemble` refuses.
    """
    arguments(best_of, locals())
    modelled(model)
    items = check(model.sde, y, solver, grid, count, batch, seed, None)
    found, evaluations = [], 0
    for group in pieces(items, batch):
        rows = y[group.start : group.stop]
        best, highest = rows, rows.real.new_full((len(rows),), -torch.inf)
        total = torch.zeros_like(highest)
        for samples in pieces(count, max(1, batch // len(group))):
            seen = rows.repeat(len(samples), *(1,) * (y.ndim - 1))
            theirs = of_items(model, torch.tensor([*group] * len(samples)))
            end, nfe, _ = solve(theirs, seen, solver, grid, randn=SampleNoise(seed, samples))
            evaluations += nfe * len(end)
            rewards = reward(end, seen).reshape(len(samples), len(rows)).to(highest)
            total = total + rewards.sum(dim=0)
            value, which = rewards.max(dim=0)
            states = end.reshape(len(samples), *rows.shape)
            chosen = states[which, torch.arange(len(rows), device=y.device)]
            best = torch.where(expand(value > highest, rows), chosen, best)
            highest = torch.maximum(value, highest)
        found.append((best, highest, total / count))
    x, highest, mean = (torch.cat(part) for part in zip(*found, strict=True))
    return Best(x, highest, mean, evaluations // items)


class Steering(NamedTuple):
    """What is carried from step to step: see `Steered`; tensors are (particles x items,)."""

    inner: Any
    done: int
    #: The logarithm of all potentials so far, and of those since the last drawing.
    potential: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Once(Around):
    """A model whose estimate at one state and time is known."""

    model: Model
    x: Tensor
    t: Tensor
    estimate: Estimate

    def __call__(
        self, x: Tensor, y: Tensor | None, t: Tensor, *, s: Tensor | None = None
    ) -> Estimate:
        """The estimate, without another evaluation if it is the known one, which is at one time."""
        if s is not None:
            return two_timed(self.model)(x, y, t, s=s)
        known = x is self.x and t is self.t
        return self.estimate if known else self.model(x, y, t)


def taken(memory: Any, index: Tensor) -> Any:
    """The memory of a solver for other items: of tensors (batch, ...), in tuples of any depth."""
    if isinstance(memory, Tensor):
        return memory[index]
    if isinstance(memory, tuple):
        parts = [taken(part, index) for part in memory]
        return tuple(parts) if type(memory) is tuple else type(memory)(*parts)
    return memory


def systematic(weight: Tensor, u: Tensor) -> Tensor:
    """Which particle each becomes: (particles, items) of log weights and one uniform u an item."""
    count = len(weight)
    below = torch.softmax(weight.double(), dim=0).cumsum(dim=0).T.contiguous()
    points = (torch.arange(count, device=u.device) + u.double()[:, None]) / count
    return torch.searchsorted(below, points).clamp(max=count - 1).T


@dataclass(frozen=True)
class Steered(Wrapping):
    """A solver whose particles are drawn anew by their potentials; used by `steer`."""

    solver: Solver
    reward: Reward
    particles: int
    scale: float
    every: int
    potential: Potential

    apart = False

    @property
    @override
    def inner(self) -> Solver:
        return self.solver

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
        model, x, now = self.drawn(model, x, y, t, memory, randn)
        x, inner = take(model, x, y, t, s, now.inner, randn)
        return x, now._replace(inner=inner, done=now.done + 1)

    def drawn(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, memory: Any, randn: Randn
    ) -> tuple[Model, Tensor, Steering]:
        """A model that knows its estimate, the particles as they go on, and what they carry."""
        zero = x.real.new_zeros(len(x))
        now = memory or Steering(None, 0, zero, zero)
        if now.done == 0 or now.done % self.every:
            return model, x, now
        estimate = model(x, y, t)
        potential = self.scale * self.reward(estimate.x0, y).to(zero)
        if now.done > self.every:
            potential = self.raised(now.potential, potential)
        weight = now.weight + potential - now.potential
        items = len(x) // self.particles
        # A standard normal draw as a uniform one, so that `randn` is all the randomness.
        u = torch.special.ndtr(randn(zero)[:items])
        which = systematic(weight.reshape(self.particles, items), u)
        index = (which * items + torch.arange(items, device=x.device)).flatten()
        x, known = x[index], Estimate(*(part[index] for part in estimate))
        carried = Steering(taken(now.inner, index), now.done, potential[index], zero)
        return Once(model, x, t, known), x, carried

    def raised(self, before: Tensor, reward: Tensor) -> Tensor:
        """The logarithm of all potentials with this one."""
        if self.potential == "difference":
            return reward
        return before + reward if self.potential == "sum" else torch.maximum(before, reward)


class Particles(NamedTuple):
    """Weighted samples of the tilted law of each item.

    Attributes:
        x: (particles, batch, ...).
        weights: (particles, batch), summing to 1 over the particles.
        rewards: (particles, batch).
        nfe: evaluations of the model for each item, all particles together.
    """

    x: Tensor
    weights: Tensor
    rewards: Tensor
    nfe: int

    @property
    def best(self) -> Tensor:
        """The particle of the highest reward, (batch, ...)."""
        which = self.rewards.argmax(dim=0)
        return self.x[which, torch.arange(len(which), device=which.device)]


@torch.no_grad()
def steer(
    model: Model,
    y: Tensor,
    solver: Solver,
    grid: Grid,
    particles: int,
    reward: Reward,
    *,
    scale: float = 1.0,
    every: int = 1,
    potential: Potential = "difference",
    seed: int = 0,
) -> Particles:
    """Samples of each item, steered towards a reward.

    All particles of all items are one batch. A step before which they are drawn costs no evaluation
    more with solvers that begin with one at their state, and the reward once for each particle.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        y: the observation, (batch, ...), complex or real.
        solver, grid: the sampler. The solver must draw noise in all steps (eta above 0), or copies
            of a particle stay copies.
        particles: of each item, at least 2.
        reward: of clean audio and the observation.
        scale: of the reward in the exponent; negative to avoid it.
        every: steps from one drawing to the next, in systematic resampling.
        potential: how early a reward counts.
        seed: of all noise, as in `ensemble`.

    Raises:
        ValueError: a solver without noise, fewer than two particles, or what `solve` refuses.
    """
    arguments(steer, locals())
    number("scale", scale)
    whole("every", every, least=1)
    choice("potential", potential, ("difference", "max", "sum"))
    items = check(modelled(model), y, solver, grid, particles, 1, seed, None)
    if not solver.draws(model.sde):
        raise ArgumentError(
            f"{solver} draws no noise, so that copies of a particle stay copies: use a solver that "
            "does, such as Exponential(eta=1.0)"
        )
    steered = Steered(solver, reward, particles, scale, every, potential)
    seen = y.repeat(particles, *(1,) * (y.ndim - 1))
    noise = SampleNoise(seed, range(particles))
    theirs = of_items(model, torch.arange(items).repeat(particles))
    end, nfe, memory = solve(theirs, seen, steered, grid, randn=noise)
    rewards = reward(end, seen).to(seen.real)
    last: Steering = memory or Steering(None, 0, rewards, rewards)
    weights = last.weight + scale * rewards - last.potential
    return Particles(
        end.reshape(particles, *y.shape),
        torch.softmax(weights.reshape(particles, items), dim=0),
        rewards.reshape(particles, items),
        nfe * particles,
    )
