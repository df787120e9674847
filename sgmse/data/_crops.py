"""Random parts of random recordings, and which of them hold something.

A crop is drawn again where it is silent in itself, as speech must not be, or faint: its active
power is far below that of what it was taken from, or made of. What is left there is the dither of a
converter, or rounding, and a gain that gives it a level would make it the sound.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.data.cache import CachedRecordings
from sgmse.data.degradations import Audio, active_power

SILENCE = 1e-6  # the mean power below which a crop holds nothing, -60 dB
FAINT = 1e-6  # the active power of a crop against its recording, 60 dB below
FLOOR = 2.0**-30  # the mean power of one step of 16 bits, -90 dB: nothing that can be scaled
PATIENCE = 100  # silent crops in a row, until a recording or a folder is called silent

Odds = NDArray[np.float64]  # cumulated probabilities of recordings


def odds(recordings: CachedRecordings, balance: float, usable: NDArray[np.bool_]) -> Odds:
    """Each usable recording is as probable as its length to the power `balance`."""
    weights = np.where(usable, recordings.lengths.astype(np.float64) ** balance, 0)
    cumulated: Odds = np.cumsum(weights / weights.sum())
    cumulated[int(np.flatnonzero(usable)[-1]) :] = 1.0  # rounding must not leave a gap at the end
    return cumulated


def pick(odds: Odds, rng: Generator) -> int:
    """The number of a recording."""
    return int(np.searchsorted(odds, rng.random(), side="right"))


def crop(
    recordings: CachedRecordings, number: int, samples: int, rng: Generator, repeat: bool = False
) -> Audio:
    """`samples` samples of a recording; a short one is repeated, or put somewhere in silence."""
    length = int(recordings.lengths[number])
    if length >= samples:
        return recordings.read(number, int(rng.integers(0, length - samples + 1)), samples)
    recording = recordings.read(number)
    if repeat:
        return np.resize(recording, samples)
    before = int(rng.integers(0, samples - length + 1))
    return np.pad(recording, (before, samples - length - before))


def is_faint(audio: Audio, level: float, sample_rate: int) -> bool:
    """Whether next to nothing is left of what had that active power."""
    return active_power(audio, sample_rate) < max(FAINT * level, FLOOR)


def is_silent(audio: Audio) -> bool:
    """Whether the audio holds nothing, or nothing but a constant, which is no sound."""
    return float(np.var(audio, dtype=np.float64)) < SILENCE
