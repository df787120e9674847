"""Training of what a sampler arrives at, in place of one estimate on its way.

    x <- the start of the sampler for y,     x0 = its last state,     loss(x0)

A sampler of few steps neglects much, and meets states that the process never has; a network that is
trained where the sampler takes it makes up for both. Correcting the reverse process (Lay et al.
2024, arXiv:2309.09677) is this with the gradient through the last step alone: the steps before it
only give the state that it starts from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.solvers import Grid, Model, Randn, Solver, Step, solve


@dataclass(frozen=True)
class Unrolled:
    """Which updates train the result of the recipe's sampler, its `solver` on its `grid`.

    Args:
        steps: numbers of steps in place of the grid's; every update draws one of them.
        weights: how often each is drawn, relative to the others; all alike if absent.
        gradient_steps: how many of the last steps the gradient goes through, which bounds the
            memory; all of them if null. The states before are taken as given.
        share: of the updates; the others train one estimate at the recipe's `times`.
    """

    steps: tuple[int, ...] = (1,)
    weights: tuple[float, ...] | None = None
    gradient_steps: int | None = 1
    share: float = 1.0

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 1 or len(set(self.steps)) < len(self.steps):
            raise ArgumentError(
                f"steps must be different numbers of at least 1, not {list(self.steps)}"
            )
        weights = self.weights
        if weights is not None and (len(weights) != len(self.steps) or min(weights) <= 0):
            raise ArgumentError(
                f"weights must be one positive number for each of steps {list(self.steps)}, not "
                f"{list(weights)}"
            )
        if self.gradient_steps is not None and self.gradient_steps < 1:
            raise ArgumentError(f"gradient_steps must be at least 1, not {self.gradient_steps}")
        if not 0 < self.share <= 1:
            raise ArgumentError(f"share must lie in (0, 1], not {self.share}")

    def draw(self, key: Sequence[int]) -> int | None:
        """The number of steps of an update, a function of its key; None if it trains an estimate.

        Devices that share a key take the same number and do not wait for each other.
        """
        rng = np.random.default_rng(key)
        if rng.random() >= self.share:
            return None
        weights = np.array(self.weights or (1.0,) * len(self.steps))
        return int(rng.choice(self.steps, p=weights / weights.sum()))

    def result(self, model: Model, y: Tensor, solver: Solver, grid: Grid, randn: Randn) -> Estimate:
        """The result of the sampler for y (batch, ...) as an estimate without noise.

        The gradient goes through the last `gradient_steps` steps, to the model and to y.
        """
        given = 0 if self.gradient_steps is None else max(grid.steps - self.gradient_steps, 0)

        def after(step: Step) -> None:
            if step.done == given:
                torch.set_grad_enabled(True)
                # Older torch keeps weights in it that it has cast without gradients (issue 158232).
                torch.clear_autocast_cache()

        with torch.set_grad_enabled(given == 0):
            x0 = solve(model, y, solver, grid, randn=randn, callback=after).x
        return Estimate(x0=x0, noise=torch.zeros_like(x0))
