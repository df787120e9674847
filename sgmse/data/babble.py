"""Several talkers at once, as noise."""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.random import Generator

from sgmse.data._checked import Checked, Probability, Range, Within
from sgmse.data._crops import SILENCE, crop
from sgmse.data.cache import CachedRecordings
from sgmse.data.degradations import Audio, Speed, active_power, decibels


@dataclass(frozen=True)
class Babble(Checked):
    """Speech of others in place of a recording of noise:  sum over k of g_k speech_k.

    The talkers are recordings of the clean folder, each at most once and the target's never, though
    one may be of the target's speaker. Short ones are repeated. All get the active power of the
    first, and then `level`; one whose crop is silent adds nothing.

    Args:
        probability: that a noise is a babble.
        talkers: least and largest number of them.
        level: range in dB of a talker against the others.
        speed: changes of speed, of each talker on its own.
    """

    probability: Probability = 0.2
    talkers: Annotated[tuple[int, int], Within(1)] = (3, 8)
    level: Annotated[Range, Within(-60, 60)] = (-6.0, 6.0)
    speed: Speed = field(default_factory=lambda: Speed(0.5, (0.9, 1.1)))

    def __call__(
        self, recordings: CachedRecordings, target: int, samples: int, rng: Generator
    ) -> Audio:
        """Float32 (samples,) of recordings, more than the talkers, without number `target`."""
        count = int(rng.integers(self.talkers[0], self.talkers[1] + 1))
        others = rng.choice(len(recordings) - 1, count, replace=False)
        babble, power = np.zeros(samples, np.float32), 0.0
        for number in others + (others >= target):
            factor = self.speed.draw(rng)
            needed = self.speed.needs(samples, factor)
            part = crop(recordings, int(number), needed, rng, repeat=True)
            talker = self.speed.apply(part, factor, samples)
            gain = decibels(rng.uniform(*self.level))
            own = active_power(talker, recordings.sample_rate)
            if own > SILENCE:
                power = power or own
                babble += np.float32(gain * np.sqrt(power / own)) * talker
        return babble
