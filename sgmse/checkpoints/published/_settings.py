"""The settings in a published file, each taken with its default, its type and its limits.

Errors name what is wrong in the file but not the file, whose name `published.read` puts before.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeVar, cast

from sgmse.checkpoints.published._unpickler import mapping
from sgmse.errors import CheckpointError

T = TypeVar("T")


def table(contents: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """The dictionary under that name: "state_dict", "hyper_parameters"."""
    value = mapping(contents.get(name))
    if value is None:
        raise CheckpointError(f"it has no {name}")
    return {str(key): item for key, item in value.items() if isinstance(key, str)}


class Settings:
    """The settings of a published model, which notes those that were asked for.

    Args:
        values: of the file, by their published names; those of types that cannot be settings (the
            class of the data) are never asked for.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.taken: set[str] = set()

    def take(
        self,
        name: str,
        default: T,
        kind: type | None = None,
        *,
        choices: Sequence[T] = (),
        most: float = 2**20,
    ) -> T:
        """The value of a setting, or the default where the file does not have it.

        A default that is a tuple takes a list of numbers like its first. None is a value where the
        default is None. Whole numbers serve as floats.

        Args:
            name: published name.
            default: of the published code; its type is that of the setting.
            kind: its type, where the default is None.
            choices: the values that there are.
            most: the largest number; a file must not ask for a network without end.

        Raises:
            CheckpointError: a value of another type, not finite, far too large, or none of those.
        """
        self.taken.add(name)
        value: Any = self.values.get(name, default)
        if value is default:
            return default
        if isinstance(default, tuple):
            kind = type(default[0]) if default else int
            if not isinstance(value, list | tuple) or len(value) > 64:
                raise CheckpointError(f"its {name} is {_shown(value)}, not a list of numbers")
            value = tuple(_typed(name, item, kind, most) for item in value)
        elif not (value is None and default is None):
            value = _typed(name, value, kind or type(default), most)
        if choices and value not in choices:
            known = ", ".join(map(repr, choices))
            raise CheckpointError(f"its {name} is {_shown(value)}; known are {known}")
        return cast(T, value)


def _typed(name: str, value: Any, kind: type, most: float) -> Any:
    if kind is float and type(value) is int and plain(value):
        value = float(value)
    if type(value) is not kind:
        raise CheckpointError(f"its {name} is {_shown(value)}, not a {kind.__name__}")
    if isinstance(value, int | float) and not abs(value) <= most:  # nor that of nan
        raise CheckpointError(f"its {name} is {_shown(value)}, which is too large")
    return value


def _shown(value: Any) -> str:
    """A value in an error: those that are not plain by their type alone."""
    scalar = isinstance(value, str | float) or plain(value)
    shown = scalar and not isinstance(value, list | tuple)
    return f"{value!r:.60}" if shown else f"a {type(value).__name__}"


def plain(value: Any) -> bool:
    """Whether a value can stand in a config: a number, a short text, None, a short list of them."""
    match value:
        case None | bool():
            return True
        case str():
            return len(value) <= 200
        case int():
            return abs(value) < 2**53
        case float():
            return isfinite(value)
        case list() | tuple():
            flat = not any(isinstance(item, list | tuple) for item in value)
            return flat and len(value) <= 64 and all(map(plain, value))
    return False
