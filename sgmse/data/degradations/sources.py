"""Noise at a ratio to speech, and the speed of either.

    noisy = speech + g noise,   snr = 10 log10(P(speech) / P(g noise))

with P the power of the active frames, so that pauses do not count.
"""

from dataclasses import dataclass
from math import ceil
from typing import Annotated

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.data._checked import Checked, Probability, Range, Within
from sgmse.data.degradations._base import Audio, decibels


def active_power(audio: Audio, sample_rate: int) -> float:
    """Mean power over the active frames: those of 20 ms within 30 dB of the strongest."""
    return strong_mean(frame_powers(audio, sample_rate))


def frame_powers(audio: Audio, sample_rate: int) -> NDArray[np.float64]:
    """Mean power of each frame of 20 ms."""
    frame = max(sample_rate // 50, 1)
    framed = audio[: max(len(audio) // frame, 1) * frame]
    squares = framed.reshape(-1, min(frame, len(framed))) ** 2
    powers: NDArray[np.float64] = squares.mean(axis=1, dtype=np.float64)
    return powers


def strong_mean(powers: NDArray[np.float64]) -> float:
    """Mean of the powers that are within 30 dB of the strongest."""
    return float(powers[powers >= 1e-3 * powers.max()].mean())


def add_noise(speech: Audio, noise: Audio, snr: float, sample_rate: int) -> Audio:
    """speech + g noise: the ratio of their active powers is `snr` dB; silent noise adds nothing."""
    power = active_power(noise, sample_rate)
    if power == 0:
        return speech.copy()
    gain = np.sqrt(active_power(speech, sample_rate) / power) / decibels(snr)
    return speech + np.float32(gain) * noise


@dataclass(frozen=True)
class Speed(Checked):
    """Faster or slower by a factor, with the pitch, as a tape would be.

    Args:
        probability: of a change at all.
        factor: range of the factor; 2 is twice as fast and an octave higher.
    """

    probability: Probability = 0.5
    factor: Annotated[Range, Within(0.25, 4)] = (0.9, 1.1)

    def draw(self, rng: Generator) -> float:
        """A factor, often 1."""
        return float(rng.uniform(*self.factor)) if rng.random() < self.probability else 1.0

    @staticmethod
    def needs(samples: int, factor: float) -> int:
        """Samples of which `apply` makes `samples`."""
        return ceil(samples * factor) + (factor != 1)

    @staticmethod
    def apply(audio: Audio, factor: float, samples: int) -> Audio:
        """`samples` samples of the audio at another speed."""
        if factor == 1:
            return audio[:samples]
        played = soxr.resample(audio, factor, 1.0, "HQ")[:samples]
        return np.pad(played, (0, samples - len(played)))
