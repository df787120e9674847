"""Noise as a path in time, the same for any number of steps: a Brownian tree.

A solver asks for noise of unit variance once a step. Taken from a Brownian motion W on [0, 1], as

    z = (W(t) - W(s)) / sqrt(t - s)      for the step from t to s,

it makes runs with ever more steps follow one path and converge to one sample, not only to one law.
W is not stored but found by halving [0, 1] towards the time asked for (Levy's construction):

    W(u) = (1 - p) W(l) + p W(r) + sqrt(p (1 - p) (r - l)) z_u,      p = (u - l) / (r - l),

where W(0) = 0, W(1) = z_1, and z_u depends on a seed and u alone. First u is the middle of [l, r];
once this interval is short, u is the time itself. So W is exact while no two times of a grid lie
in one such interval, and increments have unit variance even then.

Samples of `Exponential(eta=1)` and `Multistep(eta=1)` converge with strong order 1 (measured). With
a Brownian motion of ln(a / sigma) or (a / sigma)^2 in place of t they do so, too, but on most
processes with larger errors.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from sgmse.errors import ArgumentError
from sgmse.solvers._base import Randn
from sgmse.solvers._solve import Path


class BrownianTree(Path):
    """A Brownian path for each item of a batch, to be passed to `solve` as `randn`.

    The path of an item depends on its seed, not on the other items, the grid or what was asked for
    before; and on the state's shape, precision and device as all random numbers of PyTorch do. The
    tree keeps what led to the last time, some 10 to 30 states, to go on from there.

    Args:
        seeds: an integer >= 0 for each item; equal ones give equal noise.
        depth: [0, 1] is halved until an interval [l, r] around a time is shorter than 2^-depth r.

    Raises:
        ValueError: bad seeds or depth; when called, a batch with another number of items.
    """

    def __init__(self, seeds: Sequence[int], depth: int = 10) -> None:
        if not 1 <= depth <= 40:  # float64 has no middles much deeper
            raise ArgumentError(f"BrownianTree: depth must lie between 1 and 40, not {depth}")
        if len(seeds) == 0 or any(seed < 0 for seed in seeds):
            raise ArgumentError(
                f"BrownianTree: seeds must be integers >= 0, one an item, not {seeds}"
            )
        self.seeds = tuple(map(int, seeds))
        self.depth = depth
        self.known: dict[float, Tensor] = {}

    def __call__(self, like: Tensor) -> Tensor:
        """The noise of the start, which is independent of the path."""
        return self.draw(like)

    def between(self, t: float, s: float) -> Randn:
        """The normalised increment from t to s; further draws are independent of it and the path.

        Args:
            t, s: 1 >= t > s >= 0.
        """
        draws = 0

        def randn(like: Tensor) -> Tensor:
            nonlocal draws
            draws += 1
            if draws > 1:
                return self.draw(like, t, s, draws)
            return (self.at(t, like) - self.at(s, like)) / sqrt(self.variance(t, s))

        return randn

    def at(self, t: float, like: Tensor) -> Tensor:
        """W(t), shaped like a (batch, ...) state."""
        known = self.known
        if known and not alike(known[0.0], like):
            known = {}
        w = {
            0.0: known[0.0] if known else torch.zeros_like(like),
            1.0: known[1.0] if known else self.draw(like, 1.0),
        }
        for left, u, right in self.halvings(t):
            if u in known:
                w[u] = known[u]
            else:
                p = (u - left) / (right - left)
                spread = sqrt(p * (1 - p) * (right - left))
                w[u] = (1 - p) * w[left] + p * w[right] + spread * self.draw(like, u)
        self.known = w
        return w[t]

    def variance(self, t: float, s: float) -> float:
        """E|W(t) - W(s)|^2: t - s unless both times lie in one last interval."""
        left, right = self.interval(t)
        if (left, right) != self.interval(s):
            return t - s
        p, q = ((u - left) / (right - left) for u in (t, s))
        return (right - left) * ((p - q) ** 2 + p * (1 - p) + q * (1 - q))

    def interval(self, t: float) -> tuple[float, float]:
        """The last (l, r) around t, an empty one at 0 and 1."""
        *_, (left, _, right) = [(t, t, t), *self.halvings(t)]
        return left, right

    def halvings(self, t: float) -> list[tuple[float, float, float]]:
        """The (l, u, r) that lead to W(t), the last one with u = t; none for 0 and 1."""
        steps, left, right = [], 0.0, 1.0
        while left < t < right:
            u = (left + right) / 2 if right - left > 2.0**-self.depth * right else t
            steps.append((left, u, right))
            left, right = (left, u) if t < u else (u, right)
        return steps

    def draw(self, like: Tensor, *key: float) -> Tensor:
        """CN(0, 1) noise, N(0, 1) for real states, that depends on the seeds and the key alone."""
        if len(like) != len(self.seeds):
            raise ArgumentError(
                f"this BrownianTree has {len(self.seeds)} seeds and the batch {len(like)} items: "
                "give it one for each"
            )
        words = np.array(key).view(np.uint32).tolist()
        generator, items = torch.Generator(like.device), {}
        for seed in set(self.seeds):
            state = np.random.SeedSequence(seed, spawn_key=words).generate_state(1, np.uint64)
            generator.manual_seed(int(state[0]))
            items[seed] = torch.randn(
                like.shape[1:], dtype=like.dtype, device=like.device, generator=generator
            )
        return torch.stack([items[seed] for seed in self.seeds])


def alike(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors have one shape, precision and device."""
    return (x.shape, x.dtype, x.device) == (y.shape, y.dtype, y.device)
