"""Settings whose annotations say what they may be: Annotated[Range, Within(0, 60)]."""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from sgmse.errors import ArgumentError

Range = tuple[float, float]  # drawn uniformly between


@dataclass(frozen=True)
class Within:
    """Says of a field that its number, or both ends of its range, lie in [low, high]."""

    low: float = -inf
    high: float = inf

    def problem(self, value: float | Range) -> str | None:
        """What must be, and is not."""
        first, last = value if isinstance(value, tuple) else (value, value)
        if self.low <= first <= last <= self.high:
            return None
        limits = f"in [{self.low:g}, {self.high:g}]"
        if isinstance(value, tuple):
            return f"must be two rising numbers {limits}, not [{first:g}, {last:g}]"
        return f"must lie {limits}, not {value}"


@dataclass(frozen=True)
class SomeOf:
    """Says of a field that it holds one or more of the values of a `Literal`."""

    kinds: Any

    def problem(self, values: tuple[object, ...]) -> str | None:
        """What must be, and is not."""
        known = get_args(self.kinds)
        wrong = [repr(value) for value in values if value not in known]
        if values and not wrong:
            return None
        return f"may hold {', '.join(known)}, not {wrong[0] if wrong else 'an empty list'}"


Probability = Annotated[float, Within(0, 1)]


class Checked:
    """A dataclass whose fields are what their annotations say, or an `ArgumentError` names one."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            for rule in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                if problem := rule.problem(getattr(self, name)):
                    raise ArgumentError(f"{type(self).__name__}: {name} {problem}")
