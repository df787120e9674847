"""Random parts of random recordings."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sgmse.data.cache import Clips
from sgmse.data.degradations import Audio

#: A crop of speech below this mean power (-60 dB) holds none.
SILENCE = 1e-6

Odds = NDArray[np.float64]  # cumulated probabilities of clips


def odds(clips: Clips, balance: float) -> Odds:
    """Each clip is as probable as its length to the power `balance`."""
    weights = clips.lengths.astype(np.float64) ** balance
    cumulated = np.cumsum(weights / weights.sum())
    cumulated[-1] = 1.0  # rounding must not leave a gap at the end
    return cumulated


def pick(odds: Odds, rng: Generator) -> int:
    """The number of a clip."""
    return int(np.searchsorted(odds, rng.random(), side="right"))


def crop(clips: Clips, clip: int, samples: int, rng: Generator, repeat: bool = False) -> Audio:
    """`samples` samples of a clip; one that is too short is repeated, or put in silence."""
    length = int(clips.lengths[clip])
    if length >= samples:
        return clips.read(clip, int(rng.integers(0, length - samples + 1)), samples)
    found = clips.read(clip)
    if repeat:
        return np.resize(found, samples)
    before = int(rng.integers(0, samples - length + 1))
    return np.pad(found, (before, samples - length - before))
