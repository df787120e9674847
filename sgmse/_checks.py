"""What a user gives is of the kind and in the range it must be, or an error says so in one line.

    steps = whole("steps", steps, least=1)       steps must be a whole number of at least 1, not '3'
    dry = number("dry", dry, 0, 1)               dry must lie between 0 and 1, not nan
    an("solver", solver, Solver, "Exponential()")

Those of numbers and words return them, numbers as those of Python.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from math import inf
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from reprlib import Repr
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from sgmse.errors import ArgumentError, ArgumentTypeError

Called = TypeVar("Called", bound=Callable[..., object] | None)

SHORT = Repr()
SHORT.maxstring = SHORT.maxother = 80


def shown(value: object) -> str:
    """A value in an error: its repr, in a line that is not long; an array by kind and shape."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{article(type(value).__name__)} of shape {tuple(shape)}"
    return " ".join(SHORT.repr(value).split())


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number, of numpy too; True, 3.0 and "3" are none."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        limits = _limits(least, most, " of at least {0}", " of at most {1}", " from {0} to {1}")
        raise ArgumentTypeError(f"{name} must be a whole number{limits}, not {shown(value)}")
    found = int(value)
    if (least is not None and found < least) or (most is not None and found > most):
        words = ("be at least {0}", "be at most {1}", "lie between {0} and {1}")
        raise ArgumentError(f"{name} must {_limits(least, most, *words)}, not {found}")
    return found


def number(name: str, value: Any, low: float = -inf, high: float = inf) -> float:
    """A number in [low, high] that is not NaN; whole ones stay so."""
    real(name, value)
    if not low <= value <= high or value in (-inf, inf):
        ends = (low if low > -inf else None, high if high < inf else None)
        words = ("be at least {0:g}", "be at most {1:g}", "lie between {0:g} and {1:g}")
        limits = _limits(*ends, *words) or "be finite"
        raise ArgumentError(f"{name} must {limits}, not {shown(value)}")
    return int(value) if isinstance(value, Integral) else float(value)


def real(name: str, value: object) -> None:
    """Refuse what is no number at all; NaN is one."""
    if not _real(value):
        raise ArgumentTypeError(f"{name} must be a number, not {shown(value)}")


def rate(name: str, value: Any) -> int:
    """A sample rate in Hz, at most the largest that a WAV file can state."""
    wanted = f"{name} must be a positive whole number of Hz, not {shown(value)}"
    if not _real(value):
        raise ArgumentTypeError(wanted)
    if not (0 < value < 2**32 and value == int(value)):
        raise ArgumentError(wanted)
    return int(value)


def flag(name: str, value: object) -> bool:
    """True or False, and not what only counts as such."""
    if value is not True and value is not False:
        raise ArgumentTypeError(f"{name} must be True or False, not {shown(value)}")
    return value


def choice(name: str, value: object, known: tuple[str, ...]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in known:
        kind = ArgumentError if isinstance(value, str) else ArgumentTypeError
        *others, last = map(repr, known)
        words = f"{', '.join(others)} or {last}" if others else last
        raise kind(f"{name} must be {words}, not {shown(value)}")
    return value


def an(name: str, value: object, kind: type[Any], example: str) -> None:
    """Refuse what is no object of a kind; a class in its place is the commonest mistake."""
    if isinstance(value, kind):
        return
    raise ArgumentTypeError(
        f"{name} must be an object such as {example}, not {_given(value, kind)}"
    )


def kinds(owner: object) -> None:
    """Refuse fields of a dataclass that are no number, word or object as their annotation says.

    Ranges are another matter, and what annotations say beyond that is not checked.
    """
    kind: Any = type(owner)
    for name, hint in _hints(kind).items():
        value = getattr(owner, name)
        if _fits(value, hint):
            continue
        field = f"{kind.__name__}: {name}"
        objects = [kind for kind in get_args(hint) or (hint,) if isinstance(kind, type)]
        given = _given(value, *objects)
        raise ArgumentTypeError(f"{field} must be {_words(hint)}, not {given}")


def _given(value: object, *wanted: type[Any]) -> str:
    if isinstance(value, type) and issubclass(value, wanted):
        return f"the class {value.__name__}; call it, {value.__name__}(...)"
    return shown(value)


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass's own fields; none where they cannot be read."""
    try:
        hints = get_type_hints(kind)
    except NameError:  # names of a function in which a user defined the class
        return {}
    return {field.name: hints[field.name] for field in fields(cast("Any", kind))}


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, kind) for kind in get_args(hint))
    if origin is Literal:
        return type(value) in {type(known) for known in get_args(hint)}
    if hint is float:
        return _real(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    kind = origin or hint
    return not isinstance(kind, type) or kind in _CONTAINERS or isinstance(value, kind)


def _words(hint: Any) -> str:
    """What an annotation asks for."""
    origin = get_origin(hint)
    if origin in (Union, UnionType, Literal):
        each = [_words(kind) if origin is not Literal else repr(kind) for kind in get_args(hint)]
        return f"{', '.join(each[:-1])} or {each[-1]}" if each[1:] else each[0]
    return _KINDS.get(hint) or article((origin or hint).__name__)


#: Fields that hold several values; whoever reads them says what these must be.
_CONTAINERS = (tuple, list, dict, Sequence, Mapping, Callable)
_KINDS = {
    float: "a number",
    int: "a whole number",
    bool: "True or False",
    str: "a text",
    type(None): "None",
}


def called(name: str, value: Called, gets: str) -> Called:
    """A function, or None."""
    if value is not None and not callable(value):
        raise ArgumentTypeError(f"{name} must be a function of {gets}, or None, not {shown(value)}")
    return value


def path(name: str, value: object, instead: str = "give its name") -> Path:
    """The name of a file or folder."""
    if isinstance(value, str | PathLike):
        found = Path(cast("str | PathLike[str]", value))
        if str(value):
            return found
    raise ArgumentTypeError(f"{name} must be a path, not {shown(value)}; {instead}")


def _limits(low: float | None, high: float | None, least: str, most: str, both: str) -> str:
    """The words for the limits that there are, filled in."""
    known = (low is not None, high is not None)
    words = {(True, False): least, (False, True): most, (True, True): both}.get(known, "")
    return words.format(low, high)


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def article(word: str) -> str:
    """The word after its article."""
    return f"a{'n' * (word[0] in 'aeiou')} {word}"
