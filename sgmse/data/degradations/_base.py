"""What all degradations share: two base classes.

Degradation    y = d(x; rng)     for the observation alone: what a model is to undo
Linear         y = L(rng) x      may befall the target as well: what a model is to keep
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.data._checked import Checked, Probability

Audio = NDArray[np.float32]  # (samples,)
Floats = NDArray[np.floating]  # the same, before it is made float32


def decibels(value: float) -> float:
    """The factor on amplitudes of so many dB.

    >>> round(decibels(-6.02), 3)
    0.5
    """
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
