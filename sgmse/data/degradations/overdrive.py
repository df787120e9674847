"""Levels that a recording cannot have: above the ceiling, or between two steps."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sgmse.data.degradations.base import (
    Audio,
    Degradation,
    Range,
    check_probability,
    check_range,
    decibels,
)


@dataclass(frozen=True)
class Clip(Degradation):
    """An overdriven input:  clip(x, -c, c),  or softly  c tanh(x / c).

    Args:
        probability: of clipping at all.
        level: range of c in dB below the peak.
        soft: probability that it is softly.
    """

    probability: float = 0.1
    level: Range = (1.0, 15.0)
    soft: float = 0.0

    def __post_init__(self) -> None:
        check_probability(self, probability=self.probability, soft=self.soft)
        check_range(self, 0, 60, level=self.level)

    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:  # noqa: D102
        if rng.random() >= self.probability:
            return audio
        level = np.abs(audio).max() * decibels(-rng.uniform(*self.level))
        if self.soft and level and rng.random() < self.soft:
            return (level * np.tanh(audio / level)).astype(np.float32)
        return audio.clip(-level, level).astype(np.float32)


@dataclass(frozen=True)
class Quantise(Degradation):
    """Few bits:  step round(x / step),  step = peak / 2^(bits - 1).

    Args:
        probability: of quantising at all.
        bits: range of the word length of a signed sample; need not be whole.
    """

    probability: float = 0.05
    bits: Range = (5.0, 10.0)

    def __post_init__(self) -> None:
        check_probability(self, probability=self.probability)
        check_range(self, 2, 24, bits=self.bits)

    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:  # noqa: D102
        if rng.random() >= self.probability:
            return audio
        step = float(np.abs(audio).max()) / 2 ** (rng.uniform(*self.bits) - 1)
        if step == 0:
            return audio
        return (np.rint(audio / step) * step).astype(np.float32)
