"""How results are drawn from a model: a solver, the times it steps to, and a mean over shifts."""

from dataclasses import dataclass, field, replace

from sgmse._checks import an, whole
from sgmse.sdes import SDE
from sgmse.solvers._base import LAST_START, Solver
from sgmse.solvers._exponential import Exponential
from sgmse.solvers._grids import Grid, Uniform
from sgmse.solvers._named import named


@dataclass(frozen=True)
class Sampler:
    """A solver on a grid.

    Args:
        solver: from one time to the next.
        grid: the times.
        shifts: how many results are averaged, each with the frames of its spectrogram at another
            place: n of them lie hop / n samples apart (Defossez et al. 2019, arXiv:1911.13254, sec.
            4.4). What depends on where the frames begin is an error, and a mean has less of it.
    """

    solver: Solver = field(default_factory=Exponential)
    grid: Grid = field(default_factory=Uniform)
    shifts: int = 1

    def __post_init__(self) -> None:
        an("solver", self.solver, Solver, "Exponential()")
        an("grid", self.grid, Grid, "Uniform(steps=4)")
        whole("shifts", self.shifts, least=1)

    def __str__(self) -> str:
        return f"{self.solver} on {self.grid}"

    def once(self, sde: SDE) -> bool:
        """Whether it is the estimate of x0 at the observation, of one evaluation there."""
        solver = self.solver
        if self.grid.times(sde).tolist() != [1.0, 0.0] or solver.evaluations != 1 or solver.once:
            return False
        return sde.pinned and not (solver.draws(sde) or solver.whole or solver.moves_start)

    def changed(
        self,
        sde: SDE,
        solver: Solver | str | None = None,
        steps: int | None = None,
        shifts: int | None = None,
        grid: Grid | None = None,
    ) -> "Sampler":
        """Another one for a process; a solver that cannot leave the start of the grid starts later.

        The solver is an object or one of the names in `NAMED`. Whether a model serves it is another
        question, see `refusal`.
        """
        grid = self.grid if grid is None else grid
        made = Sampler(
            self.solver if solver is None else named(solver),
            grid if steps is None else replace(grid, steps=steps),
            self.shifts if shifts is None else shifts,
        )
        if made.solver.refusal(sde, made.grid.start):
            made = replace(made, grid=replace(made.grid, start=min(made.grid.start, LAST_START)))
        return made
