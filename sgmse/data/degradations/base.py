"""What all degradations share: ranges and their checks, and two base classes.

Degradation    y = d(x; rng)     for the observation alone: what a model is to undo
Linear         y = L(rng) x      may befall the target as well: what a model is to keep
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.errors import ArgumentError

Audio = NDArray[np.float32]  # (samples,)
Range = tuple[float, float]  # drawn uniformly between


def check_range(owner: object, low: float = -np.inf, high: float = np.inf, **ranges: Range) -> None:
    """Refuse ranges that are empty or reach beyond [low, high], by name."""
    for name, (first, last) in ranges.items():
        if not low <= first <= last <= high:
            raise ArgumentError(
                f"{type(owner).__name__}: {name} must be two rising numbers"
                f" in [{low:g}, {high:g}], not [{first:g}, {last:g}]"
            )


def check_probability(owner: object, **values: float) -> None:
    """Refuse what is no probability, by name."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ArgumentError(f"{type(owner).__name__}: {name} must lie in [0, 1], not {value}")


def check_choices(owner: object, known: Iterable[object], **chosen: tuple[object, ...]) -> None:
    """Refuse an empty list, and what is not among the known, by name."""
    known = list(known)
    for name, values in chosen.items():
        wrong = [value for value in values if value not in known]
        if wrong or not values:
            what = repr(wrong[0]) if wrong else "an empty list"
            raise ArgumentError(
                f"{type(owner).__name__}: {name} may hold {', '.join(map(str, known))}, not {what}"
            )


def decibels(value: float) -> float:
    """The factor on amplitudes of so many dB."""
    return float(10 ** (value / 20))


class Degradation(ABC):
    """Spoils a recording, speech and noise together; subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:
        """The spoilt recording, of the same shape; the argument stays as it is."""


class Linear(Degradation):
    """A degradation that is linear in the audio and draws nothing that depends on it.

    With generators in the same state, speech and noise apart give the same as together:

        L(speech + noise) = L(speech) + L(noise)
    """


def alike(
    linear: Iterable[Linear], one: Audio, other: Audio, rng: Generator, sample_rate: int
) -> tuple[Audio, Audio]:
    """Two recordings through the same devices: each draws the same for both."""
    for device in linear:
        seed = int(rng.integers(2**63))
        one, other = (
            device(audio, np.random.default_rng(seed), sample_rate) for audio in (one, other)
        )
    return one, other
