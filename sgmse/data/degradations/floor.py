"""The noise that a recording has in its pauses: that of a quiet room and of a microphone."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator
from typing_extensions import override

from sgmse.data._checked import Range, Within
from sgmse.data.degradations._base import Audio, Degradation, Floats

LOWEST = 50.0  # Hz, below which it rises no further


@dataclass(frozen=True)
class NoiseFloor(Degradation):
    """Stationary noise under a recording:  x + n,  |N(f)| ~ max(f, 50 Hz)^(slope / 6.02).

    Recordings are seldom digitally silent. Among the `clean_changes` of a recipe it belongs to the
    target, so that a model leaves such a floor instead of cutting holes into it.

    Args:
        level: range of the root mean square of n in dB relative to the peak of x.
        slope: range in dB an octave.
    """

    level: Annotated[Range, Within(-120, 0)] = (-75.0, -45.0)
    slope: Annotated[Range, Within(-12, 12)] = (-6.0, 0.0)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        level, slope = rng.uniform(*self.level), rng.uniform(*self.slope)
        spectrum = np.fft.rfft(rng.standard_normal(len(audio)))
        frequency = np.maximum(np.fft.rfftfreq(len(audio), 1 / sample_rate), LOWEST)
        noise = np.fft.irfft(spectrum * frequency ** (slope / (20 * np.log10(2))), len(audio))
        size = float(np.sqrt(np.mean(noise**2)))
        gain = float(np.abs(audio).max()) * 10 ** (level / 20) / size if size > 0 else 0.0
        floor: Floats = audio + gain * noise
        return floor
