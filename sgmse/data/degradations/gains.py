"""Gains that change with time:  y(t) = g(t) x(t)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator
from scipy.interpolate import PchipInterpolator
from typing_extensions import override

from sgmse.data._checked import Probability, Range, Within
from sgmse.data.degradations._base import Audio, Degradation, Floats, Linear, decibels


@dataclass(frozen=True)
class GainChanges(Linear):
    """A level that wanders slowly, as of a talker who moves or a hand on a fader.

    The gain in dB is drawn at turning points, and monotone and smooth (PCHIP) between them.

    Args:
        gain: range in dB.
        interval: range of the seconds from one turning point to the next.
    """

    probability: Probability = 0.2
    gain: Annotated[Range, Within(-100, 100)] = (-10.0, 0.0)
    interval: Annotated[Range, Within(0.01)] = (0.5, 3.0)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        end = len(audio) / sample_rate
        times = [-rng.uniform(0, self.interval[0])]  # the first is anywhere, too
        while times[-1] <= end:
            times.append(times[-1] + rng.uniform(*self.interval))
        gains = PchipInterpolator(times, rng.uniform(*self.gain, len(times)))
        # Interpolated again between points 1 ms apart, at which nothing of it is lost.
        points = np.arange(0, end + 1e-3, 1e-3)
        gain: Floats = np.interp(np.arange(len(audio)) / sample_rate, points, gains(points))
        return audio * 10 ** (gain / 20)


@dataclass(frozen=True)
class GainControl(Degradation):
    """An automatic gain control, which pumps: the quiet is raised once the loud is over.

        g_dB = (1 - 1/ratio) (L - l(t)),    l(t) -> level(t) within attack or release

    With `level` the power of 10 ms in dB, L that of the loudest, and l following it exponentially:
    quickly upwards (attack), slowly downwards (release).

    Args:
        ratio: range of the ratio of level differences in and out; 1 does nothing.
        attack, release: ranges of the time constants in seconds.
        most: largest gain in dB.
    """

    probability: Probability = 0.1
    ratio: Annotated[Range, Within(1, 100)] = (1.5, 5.0)
    attack: Annotated[Range, Within(1e-3, 60)] = (0.005, 0.05)
    release: Annotated[Range, Within(1e-3, 60)] = (0.1, 1.0)
    most: Annotated[float, Within(0, 100)] = 20.0

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        slope = 1 - 1 / rng.uniform(*self.ratio)
        up, down = (1 - np.exp(-0.01 / rng.uniform(*r)) for r in (self.attack, self.release))
        frame = max(sample_rate // 100, 1)
        power = np.add.reduceat(audio.astype(np.float64) ** 2, np.arange(0, len(audio), frame))
        if not power.any():
            return audio
        level = 10 * np.log10(np.maximum(power / power.max(), 1e-10))  # L is 0
        followed = level.copy()
        for i in range(1, len(level)):
            last, now = followed[i - 1], level[i]
            followed[i] = last + (up if now > last else down) * (now - last)
        gain = np.minimum(-slope * followed, self.most)
        middles = (np.arange(len(gain)) + 0.5) * frame
        gains: Floats = np.interp(np.arange(len(audio)), middles, gain)
        return audio * 10 ** (gains / 20)


@dataclass(frozen=True)
class Dropouts(Degradation):
    """Sudden holes, as of a loose contact or a tape: the gain falls and returns within 2 ms.

    Args:
        rate: range of the mean number of holes a second; their number has a Poisson distribution.
        length: range of the length of a hole in seconds.
        depth: range in dB of what is lost in a hole.
    """

    probability: Probability = 0.05
    rate: Annotated[Range, Within(0, 100)] = (0.5, 3.0)
    length: Annotated[Range, Within(1e-3, 10)] = (0.01, 0.1)
    depth: Annotated[Range, Within(0, 200)] = (20.0, 80.0)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        seconds = len(audio) / sample_rate
        time = np.arange(len(audio)) / sample_rate
        out = audio.copy()
        for _ in range(rng.poisson(rng.uniform(*self.rate) * seconds)):
            begin, length = rng.uniform(0, seconds), rng.uniform(*self.length)
            floor = decibels(-rng.uniform(*self.depth))
            low, high = np.searchsorted(time, [begin, begin + length])
            edge = np.minimum(time[low:high] - begin, begin + length - time[low:high]) / 2e-3
            out[low:high] *= 1 - (1 - floor) * np.minimum(edge, 1)
        return out
