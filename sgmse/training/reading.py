"""Plain values, as YAML gives them, into typed objects and back; whatever does not fit is named.

    read(Recipe, {"sample_rate": 16000, "sde": {"class": "SBVE", "k": 2.6}, ...})

What a value must be is said by the annotations of dataclasses and constructors. A section that may
be one of several classes says which, as in checkpoints. A network is made on the meta device, where
it has a shape and costs nothing.
"""

import types
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from inspect import Parameter, isabstract, signature
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import nn

from sgmse.checkpoints.objects import to_dict
from sgmse.errors import RecipeError

Classes = Mapping[str, type]

NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
}


def read(hint: Any, value: Any, classes: Classes, where: str = "") -> Any:
    """The object of type `hint` that a plain value describes.

    Args:
        hint: an annotation: a scalar, Path, tuple, Sequence, Literal, union, dataclass or a class
            of which `classes` holds subclasses.
        value: what YAML gave.
        classes: names that "class" may have.
        where: the key of the value, for messages.

    Raises:
        RecipeError: naming the key, and what it may be.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = tuple(a for a in arguments if a is not types.NoneType)
        if value is None and len(kinds) < len(arguments):
            return None
        return (
            _object(kinds, value, classes, where)
            if len(kinds) > 1
            else read(kinds[0], value, classes, where)
        )
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise _wrong(where, " or ".join(map(repr, arguments)), value)
        return value
    if origin is not None and issubclass(origin, Sequence):
        return _sequence(hint, value, classes, where)
    if hint in NAMES:
        return _scalar(hint, value, where)
    if is_dataclass(hint) and hint not in classes.values() and not isabstract(hint):
        return _call(hint, value, classes, where)
    return _object((hint,), value, classes, where)


def plain(value: Any, classes: Classes) -> Any:
    """What `read` would make the same object of, as YAML and JSON hold it."""
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, list | tuple):
        return [plain(item, classes) for item in value]
    if not is_dataclass(value):
        return to_dict(value, classes)
    name = type(value).__name__
    tag = {"class": name} if classes.get(name) is type(value) else {}
    return tag | {f.name: plain(getattr(value, f.name), classes) for f in fields(value)}


def _scalar(hint: Any, value: Any, where: str) -> Any:
    given = (int, float) if hint is float else str if hint is Path else hint
    if not isinstance(value, given) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(where, NAMES[hint], value)
    if isinstance(value, float) and not isfinite(value):
        raise _wrong(where, "a finite number", value)
    return hint(value)


def _sequence(hint: Any, value: Any, classes: Classes, where: str) -> tuple[Any, ...]:
    arguments = get_args(hint)
    fixed = get_origin(hint) is tuple and Ellipsis not in arguments
    if not isinstance(value, list | tuple) or (fixed and len(value) != len(arguments)):
        raise _wrong(where, f"a list of {len(arguments)}" if fixed else "a list", value)
    kinds = arguments if fixed else arguments[:1] * len(value)
    return tuple(
        read(kind, item, classes, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _object(kinds: tuple[type, ...], value: Any, classes: Classes, where: str) -> Any:
    known = [n for n, c in classes.items() if issubclass(c, kinds) and not isabstract(c)]
    may = f"{where}: write {{class: NAME, ...}} with one of {', '.join(sorted(known))}"
    if not isinstance(value, Mapping) or "class" not in value:
        raise RecipeError(may if value is None else f"{may}, not {_short(value)}")
    name = value["class"]
    if name not in known:
        raise RecipeError(
            f"{where}.class: unknown {name!r}{_near(name, known)}; it may be "
            f"{', '.join(sorted(known))}"
        )
    arguments = {key: item for key, item in value.items() if key != "class"}
    return _call(classes[name], arguments, classes, where)


def _call(kind: Any, value: Any, classes: Classes, where: str) -> Any:
    """The object of that very class, its arguments read by their annotations."""
    if not isinstance(value, Mapping):
        raise _wrong(where or "the recipe", "a section of keys", value)
    hints = _arguments(kind)
    owner = f"{where} ({kind.__name__})" if where else "the recipe"
    for key in value:
        if key not in hints:
            near = _near(str(key), list(hints))
            raise RecipeError(f"{owner} does not take {key!r}{near}; it takes {', '.join(hints)}")
    for key, (_, required) in hints.items():
        if required and key not in value:
            raise RecipeError(f"{owner} lacks {key!r}")
    inner = {k: read(hints[k][0], v, classes, f"{where}.{k}".strip(".")) for k, v in value.items()}
    try:
        with torch.device("meta") if issubclass(kind, nn.Module) else nullcontext():
            return kind(**inner)
    except RecipeError:
        raise
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{where}: {error}" if where else str(error)) from error


@cache
def _arguments(kind: type) -> dict[str, tuple[Any, bool]]:
    """Of a constructor: the annotation of each argument, and whether it is required."""
    hints = get_type_hints(kind if is_dataclass(kind) else kind.__init__)  # type: ignore[misc]
    return {
        name: (hints[name], parameter.default is Parameter.empty)
        for name, parameter in signature(kind).parameters.items()
    }


def _near(name: Any, known: Sequence[str]) -> str:
    close = get_close_matches(str(name), known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _wrong(where: str, wanted: str, value: Any) -> RecipeError:
    return RecipeError(f"{where} must be {wanted}, not {_short(value)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
