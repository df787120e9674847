"""Levels that a recording cannot have: above the ceiling, or between two steps."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator
from typing_extensions import override

from sgmse.data._checked import Probability, Range, Within
from sgmse.data.degradations._base import Audio, Degradation, Floats, decibels


@dataclass(frozen=True)
class Clip(Degradation):
    """An overdriven input:  clip(x, -c, c),  or softly  c tanh(x / c).

    Args:
        level: range of c in dB below the peak.
        soft: probability that it is softly.
    """

    probability: Probability = 0.1
    level: Annotated[Range, Within(0, 60)] = (1.0, 15.0)
    soft: Probability = 0.0

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        level: np.floating = np.abs(audio).max() * decibels(-rng.uniform(*self.level))
        if self.soft and level and rng.random() < self.soft:
            softened: Floats = level * np.tanh(audio / level)
            return softened
        return audio.clip(-level, level)


@dataclass(frozen=True)
class Quantise(Degradation):
    """Few bits:  step round(x / step),  step = peak / 2^(bits - 1).

    Args:
        bits: range of the word length of a signed sample; need not be whole.
    """

    probability: Probability = 0.05
    bits: Annotated[Range, Within(2, 24)] = (5.0, 10.0)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        step = float(np.abs(audio).max()) / 2 ** (rng.uniform(*self.bits) - 1)
        if step == 0:
            return audio
        rounded: Floats = np.rint(audio / step) * step
        return rounded
