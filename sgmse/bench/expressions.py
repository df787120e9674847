"""Solvers and grids as they are written on a command line, and those that make sense unasked.

    Exponential, Multistep(order=3), PredictorCorrector(corrector=AnnealedLangevin(snr=0.3))

names classes, with constants where they are not the defaults. Nothing in it is run: constants are
numbers, texts, truth values, None and such objects, and what a class does not take is an error.
"""

import ast
from collections.abc import Mapping
from typing import Any

from sgmse.checkpoints import CLASSES
from sgmse.config import errors_as, from_plain
from sgmse.errors import SuiteError
from sgmse.solvers import Fitted, Grid, Solver

#: Those that may make sense with few steps; what a process refuses is left out, with the reason.
SOLVERS = "Exponential, Multistep, Multistep(eta=0, start=1), UniPC, Singlestep, Heun, MeanShifted"
GRIDS = "Uniform, AsinhSNR"


def solvers(text: str, where: str = "solvers") -> tuple[dict[str, Solver], dict[str, Solver]]:
    """By name those whose `eta` is not given, and those whose `eta` is.

    Raises `ValueError`, naming `where`, for what is no solver.
    """
    free: dict[str, Solver] = {}
    fixed: dict[str, Solver] = {}
    for name, value in _objects(text, where).items():
        with errors_as(SuiteError):
            solver = from_plain(Solver, value, CLASSES, where)
        (fixed if "eta" in value else free)[name] = solver
    return free, fixed


def grids(text: str, like: Grid, where: str = "grids") -> dict[str, Grid]:
    """By name. Start, end and finish are those of the grid `like`, where they are not given.

    Raises `ValueError`, naming `where`, for what is no grid.
    """
    ends = {"start": like.start, "end": like.end, "finish": like.finish}
    found = {}
    for name, value in _objects(text, where).items():
        if value["class"] == Fitted.__name__:
            raise SuiteError(f"{where}: {name} holds for one number of steps; leave it out")
        with errors_as(SuiteError):
            found[name] = from_plain(Grid, ends | value, CLASSES, where)
    return found


def usual_grids(own: Grid) -> dict[str, Grid]:
    """`GRIDS` and the kind of the model's own one, with its start, end and finish."""
    found = grids(GRIDS, own)
    kind = type(own)
    if isinstance(own, Fitted) or any(type(grid) is kind for grid in found.values()):
        return found
    return {kind.__name__: own, **found}


def _objects(text: str, where: str) -> dict[str, dict[str, Any]]:
    """What `read` takes, by name."""
    try:
        expression = ast.parse(text.strip().rstrip(","), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise _odd(text, where) from error
    nodes = expression.elts if isinstance(expression, ast.Tuple) else [expression]
    found: dict[str, dict[str, Any]] = {}
    for node in nodes:
        value = _value(node, text, where)
        if not isinstance(value, Mapping):
            raise _odd(text, where)
        name = ast.unparse(node).replace("()", "")
        if name in found:
            raise SuiteError(f"{where}: {name} is named twice")
        found[name] = dict(value)
    return found


def _value(node: ast.expr, text: str, where: str) -> Any:
    """The plain value of an expression."""
    if isinstance(node, ast.Name):
        return {"class": node.id}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        named = {k.arg: _value(k.value, text, where) for k in node.keywords}
        if None not in named and "class" not in named:
            return {"class": node.func.id, **named}
        raise _odd(text, where)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise _odd(text, where) from error


def _odd(text: str, where: str) -> SuiteError:
    return SuiteError(
        f"{where}: {text!r} is no list of names; write such as Exponential,Multistep(order=3), "
        "with the name of each constant"
    )
