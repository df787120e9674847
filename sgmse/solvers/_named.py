"""Solvers by the names that the command line and `Enhancer` take."""

from collections.abc import Mapping
from types import MappingProxyType

from sgmse._checks import an
from sgmse.errors import ArgumentError, did_you_mean
from sgmse.solvers._base import Solver
from sgmse.solvers._exponential import Exponential
from sgmse.solvers._multistep import Multistep
from sgmse.solvers._predictor_corrector import PredictorCorrector

#: First and second order without noise, the same with fresh noise, and predictor-corrector.
NAMED: Mapping[str, Solver] = MappingProxyType(
    {
        "ode": Exponential(eta=0.0, start=0.0),
        "ode2": Multistep(eta=0.0, start=0.0),
        "sde": Exponential(eta=1.0),
        "sde2": Multistep(eta=1.0),
        "pc": PredictorCorrector(),
    }
)


def named(solver: Solver | str) -> Solver:
    """The solver of a name, or a solver as it is.

    Raises `ArgumentError` for another name and `ArgumentTypeError` for what is neither.

    >>> named("ode2") == Multistep(start=0.0)
    True
    """
    if not isinstance(solver, str):
        an("solver", solver, Solver, f"Exponential(), or one of {', '.join(NAMED)}")
        return solver
    if solver not in NAMED:
        raise ArgumentError(
            f"there is no solver named {solver!r}{did_you_mean(solver, NAMED)}; use one of "
            f"{', '.join(NAMED)}, or an object of sgmse.solvers"
        )
    return NAMED[solver]
