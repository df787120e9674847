"""What a model is sure of: mean and standard deviation of its samples, bin by bin.

Samples are drawn in batches and forgotten, so that any number fits: of n samples so far with the
mean m and the sum of squares q = sum |x - m|^2, and k further ones with m' and q',

    m <- m + (m' - m) k / (n + k),      q <- q + q' + |m' - m|^2 n k / (n + k)

(Chan, Golub, LeVeque 1983), and std = sqrt(q / (n - 1)).
"""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgmse._checks import arguments
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE
from sgmse.solvers import modelled, of_items
from sgmse.solvers._base import LAST_START, Model, Solver
from sgmse.solvers._grids import Grid
from sgmse.solvers._solve import Step, solve


class Ensemble(NamedTuple):
    """Statistics over the samples of each item.

    Attributes:
        mean: (batch, ...), the estimate of least squared error.
        std: (batch, ...) and real, sqrt(E|x - mean|^2), without bias in its square.
        samples: their number.
        nfe: evaluations of the model for each item, all samples together.
    """

    mean: Tensor
    std: Tensor
    samples: int
    nfe: int


class SampleNoise:
    """CN(0, 1) noise that depends on a seed, the sample and the number of the draw alone.

    All items of a batch get the same, so that none depends on its place.
    """

    def __init__(self, seed: int, samples: range) -> None:
        self.seed = seed
        self.samples = samples
        self.count = 0

    def __call__(self, like: Tensor) -> Tensor:
        """Noise for the items of each sample in turn, (samples x items, ...)."""
        shape = (*like.shape[1:], 2) if like.is_complex() else like.shape[1:]
        z = np.stack(
            [
                np.random.default_rng([self.seed, sample, self.count]).standard_normal(shape)
                for sample in self.samples
            ]
        )
        self.count += 1
        noise = torch.from_numpy(z)
        if like.is_complex():
            noise = torch.view_as_complex(noise) / sqrt(2)
        items = len(like) // len(self.samples)
        return noise.to(like.device, like.dtype).repeat_interleave(items, dim=0)


@torch.no_grad()
def ensemble(
    model: Model,
    y: Tensor | None,
    solver: Solver,
    grid: Grid,
    count: int,
    *,
    batch: int = 16,
    seed: int = 0,
    x: Tensor | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Ensemble:
    """Mean and standard deviation of `count` samples of each item.

    Sample k of an item has the same noise whatever the batch, the other items and the count.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        y: the observation, (batch, ...), complex or real; None for a process without one.
        solver, grid: the sampler.
        count: samples of each item, at least 2.
        batch: states, samples times items, that the model is given at once.
        seed: of the noise.
        x: where the samples start, (count, batch, ...); drawn from the process's prior around y if
            absent.
        callback: called with (steps done, steps in all) after each step of each batch.

    Raises:
        ValueError: all samples would be the same; fewer than two; shapes that do not fit; or what
            `solve` refuses.
    """
    arguments(ensemble, locals())
    modelled(model)
    items = check(model.sde, y, solver, grid, count, batch, seed, x)
    runs = [
        (group, samples)
        for group in pieces(items, batch)
        for samples in pieces(count, max(1, batch // len(group)))
    ]
    moments: dict[range, tuple[Tensor, Tensor]] = {}
    evaluations = 0
    for number, (group, samples) in enumerate(runs):

        def report(step: Step, number: int = number) -> None:
            if callback is not None:
                callback(number * step.steps + step.done, len(runs) * step.steps)

        rows = slice(group.start, group.stop)
        start = None if x is None else x[samples.start : samples.stop, rows].flatten(0, 1)
        seen = None if y is None else y[rows].repeat(len(samples), *(1,) * (y.ndim - 1))
        noise = SampleNoise(seed, samples)
        theirs = of_items(model, torch.tensor([*group] * len(samples)))
        end, nfe, _ = solve(theirs, seen, solver, grid, x=start, randn=noise, callback=report)
        states = end.reshape(len(samples), len(group), *end.shape[1:])
        moments[group] = merged(moments.get(group), samples.start, states)
        evaluations += nfe * len(end)
    mean, squares = (torch.cat(part) for part in zip(*moments.values(), strict=True))
    return Ensemble(mean, (squares / (count - 1)).sqrt(), count, evaluations // items)


def pieces(total: int, size: int) -> list[range]:
    """0 to total in ranges of the size, and a last one of what is left."""
    return [range(i, min(i + size, total)) for i in range(0, total, size)]


def check(
    sde: SDE,
    y: Tensor | None,
    solver: Solver,
    grid: Grid,
    count: int,
    batch: int,
    seed: int,
    x: Tensor | None,
) -> int:
    """The number of items, or why there is no ensemble of them."""
    for name, value, least in (("batch", batch, 1), ("seed", seed, 0)):
        if value < least:
            raise ArgumentError(f"{name} must be at least {least}, not {value}")
    if count < 2:
        raise ArgumentError(
            f"a standard deviation needs a count of at least 2 samples, not {count}"
        )
    if x is not None:
        shape = x.shape[1:] if y is None else y.shape
        if x.shape != (count, *shape):
            raise ArgumentError(
                f"x {tuple(x.shape)} must hold a start for each sample, {(count, *shape)}; use "
                "x.expand(count, ...) for a common one"
            )
        return x.shape[1]
    if y is None:
        raise ArgumentError(
            "without an observation the shape is not known: pass the starts, (count, batch, ...)"
        )
    noisy = sde.scales(torch.tensor([grid.start], dtype=torch.float64)).sigma > 0
    if not (noisy or solver.draws(sde)):
        raise ArgumentError(
            f"{solver} draws no noise, and {sde} ends in a point, so all samples would be the "
            f"same: use a solver that draws, such as Exponential(eta=1.0), or start the grid "
            f"before the end (start={LAST_START})"
        )
    return len(y)


def merged(
    moments: tuple[Tensor, Tensor] | None, count: int, states: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and sum of squares of `count` samples and the states (samples, items, ...)."""
    mean = states.mean(dim=0)
    squares = (states - mean).abs().square().sum(dim=0)
    if moments is None:
        return mean, squares
    before, squares_before = moments
    step, share = mean - before, len(states) / (count + len(states))
    return (
        before + share * step,
        squares_before + squares + count * share * step.abs().square(),
    )
