"""The states of a run, kept for plots and studies."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgmse._checks import whole
from sgmse.solvers._solve import Step


@dataclass(eq=False)
class Trajectory:
    """Keeps the states of a run of `solve`, from the first to the last:

        path = Trajectory()
        solve(model, y, solver, grid, callback=path)
        path.times, path.states()

    States stay on their device until they are asked for, so that a run never waits for them.

    Args:
        every: how many steps lie between two states; the first and the last are always kept.
    """

    every: int = 1
    times: list[float] = field(default_factory=list, init=False)
    kept: list[Tensor] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        whole("every", self.every, least=1)

    def __call__(self, step: Step) -> None:
        """Keep the state after a step; a first step begins a new trajectory."""
        if step.done == 1:
            self.times[:], self.kept[:] = [step.t], [step.before.detach()]
        if step.done % self.every == 0 or step.done == step.steps:
            self.times.append(step.s)
            self.kept.append(step.x.detach())

    def states(self) -> Tensor:
        """The states, (times, batch, ...), on the CPU; `times` are those of the process."""
        return torch.stack([state.cpu() for state in self.kept])
