"""Random parts of random recordings."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.data.cache import CachedRecordings
from sgmse.data.degradations import Audio

SILENCE = 1e-6  # the mean power below which a crop holds nothing, -60 dB
PATIENCE = 100  # silent crops in a row, until a recording or a folder is called silent

Odds = NDArray[np.float64]  # cumulated probabilities of recordings


def odds(recordings: CachedRecordings, balance: float) -> Odds:
    """Each recording is as probable as its length to the power `balance`."""
    weights = recordings.lengths.astype(np.float64) ** balance
    cumulated: Odds = np.cumsum(weights / weights.sum())
    cumulated[-1] = 1.0  # rounding must not leave a gap at the end
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


def is_silent(audio: Audio) -> bool:
    """Whether the audio holds nothing."""
    return float(np.mean(np.square(audio), dtype=np.float64)) < SILENCE
