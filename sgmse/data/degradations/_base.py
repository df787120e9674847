"""What all degradations share: what their fields may be, and two base classes.

Degradation    y = d(x; rng)     for the observation alone: what a model is to undo
Linear         y = L(rng) x      may befall the target as well: what a model is to keep
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, final, get_args, get_origin, get_type_hints

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.errors import ArgumentError

Audio = NDArray[np.float32]  # (samples,)
Floats = NDArray[np.floating]  # the same, before it is made float32
Range = tuple[float, float]  # drawn uniformly between


@dataclass(frozen=True)
class Within:
    """Says of a field that its number, or both ends of its range, lie in [low, high]."""

    low: float = -np.inf
    high: float = np.inf

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
    """A dataclass whose annotations say what its fields may be: `Annotated[Range, Within(0, 9)]`.

    Raises `ArgumentError`, which names the field, for another value.
    """

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            for rule in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                if problem := rule.problem(getattr(self, name)):
                    raise ArgumentError(f"{type(self).__name__}: {name} {problem}")


def decibels(value: float) -> float:
    """The factor on amplitudes of so many dB."""
    return float(10 ** (value / 20))


@dataclass(frozen=True)
class Degradation(Checked, ABC):
    """Spoils a recording, speech and noise together; subclasses are frozen dataclasses.

    Args:
        probability: that it happens at all.
    """

    probability: Probability = 1.0

    @final
    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:
        """The recording, of the same shape, spoilt or not; the argument stays as it is."""
        if rng.random() >= self.probability:
            return audio
        return self.apply(audio, rng, sample_rate).astype(np.float32, copy=False)

    @abstractmethod
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        """The spoilt recording, of the same shape; the argument stays as it is."""


class Linear(Degradation):
    """A degradation that is linear in the audio and draws nothing that depends on it.

    With generators in the same state, speech and noise apart give the same as together:

        L(speech + noise) = L(speech) + L(noise)
    """


def alike(
    devices: Iterable[Linear], first: Audio, second: Audio, rng: Generator, sample_rate: int
) -> tuple[Audio, Audio]:
    """Two recordings through the same devices: each draws the same for both."""
    for device in devices:
        seed = int(rng.integers(2**63))
        first, second = (
            device(audio, np.random.default_rng(seed), sample_rate) for audio in (first, second)
        )
    return first, second
