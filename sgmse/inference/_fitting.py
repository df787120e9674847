"""`fit`: the times at which a few steps of a solver come nearest to many.

For given states at the start, let x be what the solver makes of them on a grid, and x* what it
makes of them in many steps. What a grid is judged by is

    error = |x - x*| / |x*|,

the norms taken over a whole batch: that of recordings which the fit has not seen. What it is chosen
by, on the others, is an objective: by default the same error (`Endpoint`); or a bound on the law
(`AYS`) or the bends of a fine path (`GITS`), which cost one pass instead of hundreds of runs.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from warnings import warn

import torch
from torch import Tensor

from sgmse._checks import arguments, whole
from sgmse.errors import ArgumentError, FitWarning
from sgmse.inference._objectives import STANDARD, Endpoint, Objective, Trial, fitted
from sgmse.sdes import VP
from sgmse.solvers import modelled
from sgmse.solvers._base import Model, Randn, Solver
from sgmse.solvers._grids import Fitted, Grid

#: A grid that errs so many times more on what it was not fitted to has learned its recordings.
FAR = 2.0


class Fit(NamedTuple):
    """A fitted grid and what is known of it.

    Args:
        grid: the fitted grid.
        error: its error on the recordings that were held out: what to expect on others.
        standard: that of the usual grids, on the same.
        nfe: how often the model was called.
        inside: its error on the recordings that it was fitted to, which is too good.
        standard_inside: that of the usual grids, on the same.
        held_out: how many recordings were held out.
    """

    grid: Fitted
    error: float
    standard: Mapping[Grid, float]
    nfe: int
    inside: float
    standard_inside: Mapping[Grid, float]
    held_out: int


@torch.no_grad()
def fit(
    model: Model,
    y: Tensor | None,
    solver: Solver,
    steps: int,
    *,
    by: Objective = Endpoint(),  # noqa: B008
    start: float = 1.0,
    end: float = 0.03,
    finish: bool = True,
    x: Tensor | None = None,
    randn: Randn = torch.randn_like,
    reference: int = 128,
    runs: int = 200,
    held_out: int | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fit a time grid to a model and a deterministic solver, on a few recordings.

    The last `held_out` recordings of the batch are not fitted to: on them the grid is judged. Put
    other speakers and noises there. With few recordings both errors vary much from one choice of
    them to the next, and the one inside may be several times too small.

    Takes 2 x `reference` + (`runs` + 10) x `steps` steps at most, each of the recordings fitted to
    or of those held out, and the memory of one run and two states; `AYS` and `GITS` take their
    candidates in place of the runs, and the memory of as many states. The same model, observations
    and noise give the same grid.

    Args:
        model, y, solver, x: as for `solve`, with a batch of several recordings.
        steps: of the grid to find.
        by: what the times are chosen by: `Endpoint()`, `AYS()`, `GITS()`.
        start, finish: of the grid.
        end: below which there are no times but 0.
        randn: draws one noise, that of the start or of the first step from a pinned end, for all
            runs of the recordings fitted to, one for those held out, and the paths of `AYS`.
        reference: number of steps that x* takes on a `LogSNR` grid.
        runs: how many grids `Endpoint` tries at most; 25 for each step are ample. Others try none.
        held_out: how many recordings are held out; a third of them, if absent.
        callback: called with (runs done, runs in all) after each run.

    Raises:
        ValueError: the solver draws noise on its way, so that there is no single x*; x* is 0 or not
            finite; there are no recordings left to fit to or to hold out; or what `solve` refuses.

    Warns:
        FitWarning: a usual grid is as good on the recordings held out, or the error on them is more
            than twice that on the others: there are too few.
    """
    arguments(fit, locals())
    modelled(model)
    if solver.draws(VP()):  # where only the noise of later steps is left to draw
        raise ArgumentError(
            f"{solver} draws noise in every step, and few of them have no path of many to keep to: "
            "fit the grid of a deterministic solver, such as the same with eta=0"
        )
    whole("steps", steps, least=1)
    if runs < 1 or reference < 2 * steps:
        raise ArgumentError(
            f"fit needs runs >= 1 and reference >= 2 x steps, not runs {runs}, reference "
            f"{reference} for {steps} steps"
        )
    batch = y if y is not None else x
    count = 0 if batch is None else len(batch)
    if count == 1:
        raise ArgumentError(
            "fit needs recordings to fit to and others to judge the grid on, and has one: pass a "
            "batch of two at least, better of twenty"
        )
    beside = max(count // 3, 1) if held_out is None else whole("held_out", held_out, 1, count - 1)
    done, total = 0, 2 * (len(STANDARD) + 2) + by.runs(steps, runs)

    def tell() -> None:
        nonlocal done
        done += 1
        if callback is not None:
            callback(done, total)

    def trial(part: slice) -> Trial:
        ours, states = (None if whole is None else whole[part] for whole in (y, x))
        return Trial(model, ours, states, solver, steps, start, end, finish, reference, randn, tell)

    own = trial(slice(None, count - beside))
    grid = fitted(by.points(own, runs), end, finish)
    others = trial(slice(count - beside, None))
    inside, error = own.error(grid), others.error(grid)
    if callback is not None and done < total:
        callback(total, total)
    found = Fit(grid, error, others.standard, own.nfe + others.nfe, inside, own.standard, beside)
    if told := doubt(found, count):
        warn(told, FitWarning, stacklevel=2)
    return found


def doubt(found: Fit, count: int) -> str | None:
    """What speaks against a fit to some of `count` recordings; None if nothing does."""
    usual = min(found.standard, key=found.standard.__getitem__)
    best = found.standard[usual]
    errors = (
        f"the fitted grid errs by {found.error:.3g} on the {found.held_out} recordings held out, "
        f"by {found.inside:.3g} on the {count - found.held_out} that it was fitted to"
    )
    if found.error >= best:
        return f"{errors}, and {usual} by {best:.3g} on the former: take that, or fit to others"
    if found.error > FAR * found.inside:
        return f"{errors}: trust the first number, and fit to more recordings"
    return None
