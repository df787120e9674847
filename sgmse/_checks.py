"""What a user gives is of the kind and in the range it must be, or an error says so in one line.

    steps = whole("steps", steps, least=1)       steps must be a whole number of at least 1, not '3'
    dry = number("dry", dry, 0, 1)               dry must lie between 0 and 1, not nan
    an("solver", solver, Solver, "Exponential()")

Those of numbers and words return them, numbers as those of Python.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from ipaddress import ip_address
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
    hints = _hints(kind)
    own = {field.name: getattr(owner, field.name) for field in fields(kind)}
    _refuse(kind.__name__, hints, own)


def arguments(function: Callable[..., object], given: Mapping[str, object]) -> None:
    """The same for what a function was given: at its start, `arguments(function, locals())`."""
    name = function.__qualname__.removesuffix(".__init__")
    _refuse(name, _hints(function), given)


def _refuse(where: str, hints: Mapping[str, Any], given: Mapping[str, object]) -> None:
    for name, hint in hints.items():
        if name in given and not _fits(given[name], hint):
            hints_of = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
            objects = [get_origin(kind) or kind for kind in hints_of]
            value = _given(given[name], *(kind for kind in objects if isinstance(kind, type)))
            raise ArgumentTypeError(f"{where}: {name} must be {_words(hint)}, not {value}")


def _given(value: object, *wanted: type[Any]) -> str:
    if isinstance(value, type) and issubclass(value, wanted):
        return f"the class {value.__name__}; call it, {value.__name__}(...)"
    return shown(value)


@cache
def _hints(owner: Callable[..., object]) -> dict[str, Any]:
    """The annotations of a class or a function; none where they cannot be read."""
    try:
        return get_type_hints(owner)
    except NameError:  # names of a function in which a user defined the class
        return {}


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
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    return isinstance(value, _ALSO.get(kind, kind)) and not (
        isinstance(value, str) and kind is Sequence
    )


def _words(hint: Any) -> str:
    """What an annotation asks for."""
    origin = get_origin(hint)
    if origin in (Union, UnionType, Literal):
        each = [_words(kind) if origin is not Literal else repr(kind) for kind in get_args(hint)]
        return f"{', '.join(each[:-1])} or {each[-1]}" if each[1:] else each[0]
    return _KINDS.get(hint) or _KINDS.get(origin) or article((origin or hint).__name__)


#: What is as good; files hold lists.
_ALSO: dict[Any, Any] = {tuple: (tuple, list), Path: PathLike}
_KINDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "True or False",
    str: "a text",
    type(None): "None",
    Path: "a path",
    Callable: "a function",
    Sequence: "a sequence",
    Mapping: "a table of names and values",
    tuple: "a tuple",
}


def called(name: str, value: Called, gets: str) -> Called:
    """A function, or None."""
    if value is not None and not callable(value):
        raise ArgumentTypeError(f"{name} must be a function of {gets}, or None, not {shown(value)}")
    return value


def path(name: str, value: object) -> Path:
    """The name of a file or folder."""
    if not isinstance(value, str | PathLike):
        raise ArgumentTypeError(f"{name} must be a path, not {shown(value)}")
    return Path(cast("str | PathLike[str]", value))


def file(name: str, value: object, verb: str, instead: str = "give its name") -> None:
    """Refuse what is neither a path nor a binary file that can `verb`: "read" or "write"."""
    if not (isinstance(value, str | Path) or callable(getattr(value, verb, None))):
        what = f"{name} must be a path or a binary file, not {shown(value)}"
        raise ArgumentTypeError(f"{what}; {instead}")


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


def is_loopback(host: str) -> bool:
    """Whether what listens there is reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
