"""Solvers and grids as they are written on a command line, and those that make sense unasked.

    Exponential, Multistep(order=3), PredictorCorrector(corrector=AnnealedLangevin(snr=0.3))

names classes, with constants where they are not the defaults. Nothing in it is run: constants are
numbers, texts, truth values, None and such objects, and what a class does not take is an error.
"""

import ast
from typing import Any

from sgmse.checkpoints import CLASSES
from sgmse.config import errors_as, from_plain
from sgmse.errors import SuiteError
from sgmse.solvers import Fitted, Grid, Sampler, Solver

#: Those that may make sense with few steps; what a process refuses is left out, with the reason.
SOLVERS = "Exponential, Multistep, Multistep(eta=0, start=1), UniPC, Singlestep, Heun, MeanShifted"
GRIDS = "Uniform, AsinhSNR"


def solvers(text: str, option: str = "solvers") -> tuple[dict[str, Solver], dict[str, Solver]]:
    """By name those whose `eta` is not given, and those whose `eta` is.

    Raises `SuiteError`, naming the option, for what is no solver.
    """
    free: dict[str, Solver] = {}
    fixed: dict[str, Solver] = {}
    for name, value in _plain_values(text, option).items():
        with errors_as(SuiteError):
            solver = from_plain(Solver, value, CLASSES, option)
        (fixed if "eta" in value else free)[name] = solver
    return free, fixed


def grids(text: str, like: Grid, option: str = "grids") -> dict[str, Grid]:
    """By name. Start, end and finish are those of the grid `like`, where they are not given.

    Raises `SuiteError`, naming the option, for what is no grid.
    """
    ends = {"start": like.start, "end": like.end, "finish": like.finish}
    named: dict[str, Grid] = {}
    for name, value in _plain_values(text, option).items():
        if value["class"] == Fitted.__name__:
            raise SuiteError(f"{option}: {name} holds for one number of steps; leave it out")
        with errors_as(SuiteError):
            named[name] = from_plain(Grid, ends | value, CLASSES, option)
    return named


def sampler(text: str, like: Grid, option: str) -> Sampler:
    """Of a solver and a grid with its steps, as "Heun, Uniform(steps=30)"; the rest as `grids`.

    Raises `SuiteError`, naming the option, for what is none.
    """
    plain = list(_plain_values(text, option).items())
    if len(plain) != 2 or "steps" not in plain[1][1]:
        raise SuiteError(
            f"{option}: {text!r} is no sampler; write a solver and a grid with its steps, such as "
            "'PredictorCorrector, Uniform(steps=30)'"
        )
    (_, solver), (_, grid) = plain
    with errors_as(SuiteError):
        ends = {"start": like.start, "end": like.end, "finish": like.finish}
        made = from_plain(Grid, ends | grid, CLASSES, option)
        return Sampler(from_plain(Solver, solver, CLASSES, option), made)


def usual_grids(own: Grid) -> dict[str, Grid]:
    """`GRIDS` and the kind of the model's own one, with its start, end and finish."""
    usual = grids(GRIDS, own)
    kind = type(own)
    if kind is Fitted or kind in map(type, usual.values()):
        return usual
    return {kind.__name__: own, **usual}


def _plain_values(text: str, option: str) -> dict[str, dict[str, Any]]:
    """What `from_plain` makes the objects of, by what is written for them."""
    try:
        body = ast.parse(text.strip().rstrip(","), mode="eval").body
        nodes = body.elts if isinstance(body, ast.Tuple) else [body]
        objects = [(ast.unparse(node).replace("()", ""), _object(node)) for node in nodes]
    except (SyntaxError, ValueError, TypeError) as error:
        raise SuiteError(
            f"{option}: {text!r} is no list of names; write such as "
            "Exponential,Multistep(order=3), with the name of each constant"
        ) from error
    names = [name for name, _ in objects]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise SuiteError(f"{option}: {twice[0]} is named twice")
    return dict(objects)


def _object(node: ast.expr) -> dict[str, Any]:
    """The plain value of a class with constants. Raises `ValueError` for what is none."""
    match node:
        case ast.Name(id=name):
            return {"class": name}
        case ast.Call(func=ast.Name(id=name), args=[], keywords=constants):
            return {"class": name} | {_name(c): _constant(c.value) for c in constants}
    raise ValueError(ast.unparse(node))


def _name(constant: ast.keyword) -> str:
    if constant.arg is None:  # it is **{...}
        raise ValueError(ast.unparse(constant.value))
    return constant.arg


def _constant(node: ast.expr) -> Any:
    return _object(node) if isinstance(node, ast.Name | ast.Call) else ast.literal_eval(node)
