"""Objects <-> plain values, as YAML and JSON hold them: the only reader of {"class": ...}.

    SBVE(k=2.6, c=0.4)  <->  {"class": "SBVE", "k": 2.6, "c": 0.4}

A frozen dataclass is its own configuration; a network keeps its arguments in `config`. Annotations
say what a value must be. Where one is a base class, the value names a class of a table that the
caller hands over: nothing is ever imported by name. Where it is one dataclass outside that table,
the value is a section of its keys alone.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from inspect import Parameter, isabstract, signature
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
import yaml
from torch import nn

from sgmse.errors import ConfigError, SgmseError, Together, did_you_mean, with_parts

#: What a file may name: classes by their names.
Classes = Mapping[str, type]
#: What a file may hold instead of an object, as a message calls it.
SCALARS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
}


def from_plain(
    kind: Any, value: Any, classes: Classes, key: str = "", *, device: str | None = None
) -> Any:
    """The object of that kind which a plain value describes.

    Args:
        kind: an annotation: a scalar, Path, tuple, Sequence, Mapping, Literal, union, dataclass or
            a base of some of the `classes`; `object` for any of them, Any for what stays plain.
        value: what YAML or JSON gave.
        classes: names that "class" may have.
        key: of the value, for messages.
        device: where networks are made; on "meta" they have a shape and cost nothing.

    Raises:
        ConfigError: naming the key, and what it may be.
    """
    return _Reader(classes, device).read(kind, value, key)


def to_plain(value: Any, classes: Classes, kind: Any = object) -> Any:
    """What `from_plain` would make the same object of that kind from.

    Raises `ConfigError` for an object that is neither in the table nor a section of that kind.

    >>> from sgmse.sdes import OUVE
    >>> to_plain(OUVE(theta=2.0), {"OUVE": OUVE})
    {'class': 'OUVE', 'theta': 2.0, 'sigma_min': 0.05, 'sigma_max': 0.5}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, list | tuple):
        return [to_plain(item, classes, kind) for item in value]
    if isinstance(value, Mapping) and _mapped(kind):
        return {name: to_plain(item, classes, kind) for name, item in value.items()}
    cls = type(value)
    name = cls.__name__
    known = classes.get(name) is cls
    if not known and not (_is_section(cls, classes) and cls in _leaves(kind)):
        raise ConfigError(
            f"{name} is not one of the classes that a file may name; "
            f"pass classes=CLASSES | {{'{name}': {name}}} when saving and when loading"
        )
    tag = {"class": name} if known else {}
    if isinstance(value, nn.Module):
        return tag | dict(value.config)  # type: ignore[arg-type]
    if not is_dataclass(value):
        raise ConfigError(f"{name} is neither a network nor a dataclass and has no written form")
    hints = _arguments(cls)  # type: ignore[arg-type]
    return tag | {
        f.name: to_plain(getattr(value, f.name), classes, hints[f.name][0]) for f in fields(value)
    }


def abridged(value: Any) -> str:
    """An object as one would write it: without the settings that are the default."""
    if not is_dataclass(value):
        return repr(value)
    settings = [
        f"{f.name}={abridged(held)}"
        for f in fields(value)
        if (held := getattr(value, f.name))
        != (f.default if f.default_factory is MISSING else f.default_factory())
    ]
    return f"{type(value).__name__}({', '.join(settings)})"


@contextmanager
def errors_as(kind: Callable[[str], SgmseError], source: object = "") -> Iterator[None]:
    """Turn a `ConfigError` of the block into an error of that kind, which names the source."""
    try:
        yield
    except ConfigError as error:
        texts = error.parts or (str(error),)
        raise with_parts(kind, (_at(str(source), text) for text in texts)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and plain values of a file. Raises `ConfigError`."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"it cannot be read ({why}); name a YAML file") from error
    if not isinstance(values, dict):
        raise ConfigError("it has no keys; write key: value")
    return values


def to_yaml(values: Any) -> str:
    """Plain values as text, of which `read_yaml` makes the same."""
    return str(yaml.safe_dump(values, sort_keys=False, default_flow_style=None))


def override(values: dict[str, Any], assignment: str) -> None:
    """Set "key.sub=value" in place; the value is YAML. Raises `ConfigError`.

    >>> values = {"grid": {"steps": 30}}
    >>> override(values, "grid.steps=8")
    >>> values
    {'grid': {'steps': 8}}
    """
    key, equals, value = assignment.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not all((*path, last)):
        raise ConfigError(f"{assignment!r} sets nothing; write key.sub=value")
    section = values
    for depth, name in enumerate(path, 1):
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{assignment!r}: {'.'.join(path[:depth])} is no section of keys")
    with errors_as(ConfigError, repr(assignment)):
        section[last] = parse_yaml(value)


@dataclass(frozen=True)
class _Reader:
    """The arguments of `from_plain` that stay the same all the way down."""

    classes: Classes
    device: str | None

    def read(self, hint: Any, value: Any, key: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is Any:
            return value
        if origin in (Union, UnionType):
            return self._alternatives(arguments, value, key)
        if origin is Literal:
            if value not in arguments or isinstance(value, bool):
                raise _wrong(key, " or ".join(map(repr, arguments)), value)
            return value
        if _mapped(hint):
            return self._mapping(arguments[1], value, key)
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return self._sequence(hint, value, key)
        if hint in SCALARS:
            return _scalar(hint, value, key)
        if _is_section(hint, self.classes):
            return self._call(hint, value, key)
        return self._named((hint,), value, key)

    def _alternatives(self, hints: tuple[Any, ...], value: Any, key: str) -> Any:
        kinds = tuple(hint for hint in hints if hint is not NoneType)
        if value is None and len(kinds) < len(hints):
            return None
        if len(kinds) > 1 and all(isinstance(k, type) and k not in SCALARS for k in kinds):
            return self._named(kinds, value, key)
        if isabstract(kinds[-1]) and not isinstance(value, Mapping):
            kinds = kinds[:-1] or kinds  # what is no section was meant for none
        for kind in kinds[:-1]:
            try:
                return self.read(kind, value, key)
            except ConfigError:
                continue
        return self.read(kinds[-1], value, key)

    def _mapping(self, hint: Any, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _wrong(key, "a section of keys", value)
        return self._each({str(k): (hint, item) for k, item in value.items()}, key)

    def _each(self, items: Mapping[str, tuple[Any, Any]], key: str) -> dict[str, Any]:
        """Objects of kinds and values by name; of all that are wrong it is told at once."""
        wrong, made = Together(), {}
        for name, (hint, item) in items.items():
            with wrong.part():
                made[name] = self.read(hint, item, f"{key}.{name}".strip("."))
        wrong.end()
        return made

    def _sequence(self, hint: Any, value: Any, key: str) -> Sequence[Any]:
        arguments, kind = get_args(hint), get_origin(hint)
        fixed = kind is tuple and Ellipsis not in arguments
        if not isinstance(value, list | tuple) or (fixed and len(value) != len(arguments)):
            raise _wrong(key, f"a list of {len(arguments)}" if fixed else "a list", value)
        hints = arguments if fixed else arguments[:1] * len(value)
        wrong, items = Together(), []
        for i, (hint, item) in enumerate(zip(hints, value, strict=True)):
            with wrong.part():
                items.append(self.read(hint, item, f"{key}[{i}]"))
        wrong.end()
        return items if kind is list else tuple(items)

    def _named(self, kinds: tuple[Any, ...], value: Any, key: str) -> Any:
        """An object of one of the classes of the table that are of one of those kinds."""
        bases = tuple(kind for kind in kinds if isinstance(kind, type))
        known = sorted(
            name for name, c in self.classes.items() if issubclass(c, bases) and not isabstract(c)
        )
        if object in kinds or not known:  # an annotation of which no more is known
            if isinstance(value, list):
                return [self.read(object, item, f"{key}[{i}]") for i, item in enumerate(value)]
            if not isinstance(value, Mapping):
                return value
            known = sorted(self.classes)
        may = f"write {{class: NAME, ...}} with one of {', '.join(known)}"
        if not isinstance(value, Mapping) or "class" not in value:
            raise ConfigError(_at(key, may if value is None else f"{may}, not {_short(value)}"))
        name = value["class"]
        if name not in known:
            near = did_you_mean(name, known)
            key = f"{key}.class".strip(".")
            raise ConfigError(f"{key}: unknown {name!r}{near}; it may be {', '.join(known)}")
        arguments = {k: item for k, item in value.items() if k != "class"}
        return self._call(self.classes[name], arguments, key)

    def _call(self, kind: type, value: Any, key: str) -> Any:
        """The object of that very class, its arguments read by their annotations."""
        if not isinstance(value, Mapping):
            raise _wrong(key or kind.__name__, "a section of keys", value)
        known = _arguments(kind)
        owner = f"{key} ({kind.__name__})" if key else kind.__name__
        wrong = Together()
        for name in value:
            with wrong.part():
                if name not in known:
                    takes = f"{did_you_mean(name, list(known))}; it takes {', '.join(known)}"
                    raise ConfigError(f"{owner} does not take {name!r}{takes}")
        lacking = [name for name, (_, needed) in known.items() if needed and name not in value]
        with wrong.part():
            if lacking:
                raise ConfigError(f"{owner} lacks {', '.join(map(repr, lacking))}")
        given = {name: (known[name][0], item) for name, item in value.items() if name in known}
        with wrong.part():
            arguments = self._each(given, key)
        wrong.end()
        placed = self.device is not None and issubclass(kind, nn.Module)
        try:
            with torch.device(self.device) if placed else nullcontext():  # type: ignore[arg-type]
                return kind(**arguments)
        except Exception as error:  # whatever a constructor makes of values it was not written for
            parts = error.parts if isinstance(error, SgmseError) else ()
            texts = [" ".join(text.split()) for text in parts or (str(error),)]
            made = [_at(key, text or type(error).__name__) for text in texts]
            raise with_parts(ConfigError, made) from error


def _scalar(kind: Any, value: Any, key: str) -> Any:
    given = (int, float) if kind is float else str if kind is Path else kind
    if not isinstance(value, given) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(key, SCALARS[kind], value)
    if isinstance(value, float) and not isfinite(value):
        raise _wrong(key, "a finite number", value)
    return kind(value)


@cache
def _arguments(kind: type) -> dict[str, tuple[Any, bool]]:
    """Of a constructor: the annotation of each argument, and whether it is required."""
    try:
        hints = get_type_hints(kind if is_dataclass(kind) else kind.__init__)  # type: ignore[misc]
    except NameError:  # of a user's class, with names that only a type checker imports
        hints = {}
    return {
        name: (hints.get(name, object), parameter.default is Parameter.empty)
        for name, parameter in signature(kind).parameters.items()
        if parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }


def _is_section(kind: Any, classes: Classes) -> bool:
    """Whether objects of that kind need not name their class, since there is one alone."""
    return is_dataclass(kind) and kind not in classes.values() and not isabstract(kind)


def _mapped(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _leaves(hint: Any) -> set[Any]:
    """An annotation and all that it is composed of."""
    return {hint}.union(*map(_leaves, get_args(hint)))


def _at(key: str, text: str) -> str:
    return f"{key}: {text}" if key else text


def _wrong(key: str, wanted: str, value: Any) -> ConfigError:
    return ConfigError(f"{key or 'it'} must be {wanted}, not {_short(value)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


class _Loader(yaml.SafeLoader):
    """YAML with 1e-3 a number, as everyone means it, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if twice := [key for i, key in enumerate(keys) if key in keys[:i]]:
            raise ConfigError(f"{twice[0]!r} is set twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str) -> Any:
    """The plain values of YAML. Raises `ConfigError`."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"it is not YAML: {' '.join(str(error).split())}") from error
