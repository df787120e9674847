"""With which samplers a model makes speech: what its training covers, or what was measured of it.

A network answers at any time, from any state, and what it says where it was never trained is noise.
So a model has a list of ranges, and a sampler that lies in none of them is refused with those.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from sgmse._checks import an, kinds, whole
from sgmse.config import abridged
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE
from sgmse.solvers._base import Solver
from sgmse.solvers._grids import Grid
from sgmse.solvers._named import NAMED
from sgmse.solvers._sampler import Sampler

SAME = 1e-6  # of two times


@dataclass(frozen=True)
class SamplerRange:
    """Samplers with which a model makes speech: those that all of this holds for.

    Args:
        solvers: one of these, with just these constants; any if absent.
        grids: one of these, with just these constants but for the steps; any if absent.
        steps: just these numbers of steps, 0 for what a predictor says alone; if absent any from
            `fewest` on, and from `Solver.fewest_steps` on, with which a solver is better than the
            observation.
        earliest, latest: times from and to which the network is asked.
    """

    solvers: tuple[Solver, ...] | None = None
    grids: tuple[Grid, ...] | None = None
    steps: tuple[int, ...] | None = None
    fewest: int = 1
    earliest: float = 0.0
    latest: float = 1.0

    def __post_init__(self) -> None:
        kinds(self)
        if () in (self.solvers, self.grids, self.steps):
            raise ArgumentError("a range without any solver, grid or steps holds nothing")
        for solver in self.solvers or ():
            an("solvers", solver, Solver, "Exponential()")
        for grid in self.grids or ():
            an("grids", grid, Grid, "Uniform(steps=1)")
        whole("fewest", self.fewest, least=1)
        for number in self.steps or ():
            whole("steps", number, least=0)
        if not 0 <= self.earliest <= self.latest <= 1:
            raise ArgumentError(
                f"a range of times needs 0 <= earliest <= latest <= 1, not {self.earliest} to "
                f"{self.latest}"
            )

    @classmethod
    def of(cls, sampler: Sampler) -> "SamplerRange":
        """That which holds one sampler alone."""
        return cls((sampler.solver,), (sampler.grid,), (sampler.grid.steps,))

    @classmethod
    def around(cls, sampler: Sampler, sde: SDE, latest: float = 1.0) -> "SamplerRange":
        """What may be expected of a model of which no more is known than its sampler.

        The network is asked no earlier than by that sampler, and up to the `latest` time of the
        model, by any solver in at least half as many steps: one that is sampled in a single step
        from t = 1 is asked there alone.
        """
        return cls(
            fewest=max(ceil(sampler.grid.steps / 2), 1),
            earliest=min(asked(sampler.grid, sde), default=0.0),
            latest=latest,
        )

    def refusals(self, sampler: Sampler, sde: SDE) -> Iterator[str]:
        """Why a sampler of that process lies outside of it, reason by reason."""
        solver, grid, steps = sampler.solver, sampler.grid, sampler.grid.steps
        if self.solvers is not None and solver not in self.solvers:
            yield f"the model is not made for {_called(solver)}"
        if self.grids is not None and not any(_alike(grid, own) for own in self.grids):
            yield f"the model is not made for {abridged(grid)}"
        if steps < solver.fewest_steps and self.steps is None:
            name = type(solver).__name__
            yield f"{name} makes recordings worse in fewer than {solver.fewest_steps} steps"
        if steps < self.fewest and self.steps is None:
            yield f"the model is not made for so few steps ({steps})"
        if self.steps is not None and steps not in self.steps:
            yield f"the model is not made for {steps} step{'s' * (steps != 1)}"
        for t in asked(grid, sde):
            if not self.earliest - SAME <= t <= self.latest + SAME:
                yield f"the model is not made to be asked at t = {t:.3g}"
                break

    def __str__(self) -> str:
        solvers = ["any solver"] if self.solvers is None else map(_called, self.solvers)
        grids = ["any grid"] if self.grids is None else map(_without_steps, self.grids)
        if self.steps is None:
            steps = f"{self.fewest} or more steps"
        else:
            *others, last = map(str, self.steps)
            steps = f"{', '.join(others)} or {last} steps" if others else f"{last} step"
            steps += "s" * (not others and last != "1")
        text = f"{' or '.join(solvers)} on {' or '.join(grids)} in {steps}"
        if self.earliest == self.latest:
            return f"{text}, asked at t = {self.latest:g} alone"
        if self.earliest > 0 or self.latest < 1:
            text += f", asked at t = {self.earliest:g} to {self.latest:g}"
        return text


def refusal(sampler: Sampler, sde: SDE, ranges: Sequence[SamplerRange]) -> str | None:
    """Why a model of that process is not to be sampled so, and what works; None if it may be.

    The ranges are those of the model. If there are none, nothing is known of it, nor refused.
    """
    reasons = [list(one.refusals(sampler, sde)) for one in ranges]
    nearest = min(reasons, key=len, default=[])
    if not nearest:
        return None
    return f"{nearest[0]}; what works is {', or '.join(map(str, ranges))}"


def asked(grid: Grid, sde: SDE) -> list[float]:
    """The times at which a step of the grid begins, and the network is asked."""
    times: list[float] = grid.times(sde)[:-1].tolist()
    return times


def _alike(grid: Grid, own: Grid) -> bool:
    """Whether a grid is one of a range, whatever its number of steps."""
    try:
        return replace(own, steps=grid.steps) == grid
    except ArgumentError:  # a fitted grid has one number of steps
        return False


def _called(solver: Solver) -> str:
    """A solver, and the name by which the command line knows it."""
    names = [f" ({name})" for name, own in NAMED.items() if own == solver]
    return abridged(solver) + "".join(names)


def _without_steps(grid: Grid) -> str:
    try:
        return abridged(replace(grid, steps=Grid.steps))
    except ArgumentError:
        return abridged(grid)
