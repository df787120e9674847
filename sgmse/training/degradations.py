"""What spoils clean speech: noise, rooms, overdrive, missing bands. Numpy in, numpy out.

Audio is float32 (samples,). A degradation is a frozen dataclass of ranges; what it draws comes from
the generator that it is given, and nothing else decides: the same generator gives the same audio.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from sgmse.training.errors import require

Audio = NDArray[np.float32]  # (samples,)
Range = tuple[float, float]  # drawn uniformly between

SPEED_OF_SOUND = 343.0


def check_range(owner: object, low: float = -np.inf, high: float = np.inf, **ranges: Range) -> None:
    """Refuse ranges that are empty or reach beyond [low, high], by name."""
    for name, (first, last) in ranges.items():
        if not low <= first <= last <= high:
            raise ValueError(
                f"{type(owner).__name__}: {name} must be two rising numbers"
                f" in [{low:g}, {high:g}], not [{first:g}, {last:g}]"
            )


def check_probability(owner: object, **values: float) -> None:
    """Refuse what is no probability, by name."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{type(owner).__name__}: {name} must lie in [0, 1], not {value}")


def decibels(value: float) -> float:
    """The factor on amplitudes of so many dB."""
    return float(10 ** (value / 20))


def active_power(audio: Audio, sample_rate: int) -> float:
    """Mean power over the active frames: those of 20 ms within 30 dB of the strongest."""
    frame = max(sample_rate // 50, 1)
    whole = audio[: max(len(audio) // frame, 1) * frame]
    power = (whole.reshape(-1, min(frame, len(whole))) ** 2).mean(axis=1, dtype=np.float64)
    return float(power[power >= 1e-3 * power.max()].mean())


def add_noise(speech: Audio, noise: Audio, snr: float, sample_rate: int) -> Audio:
    """speech + g noise: the ratio of their active powers is `snr` dB; silent noise adds nothing."""
    power = active_power(noise, sample_rate)
    if power == 0:
        return speech.copy()
    gain = np.sqrt(active_power(speech, sample_rate) / power) / decibels(snr)
    return speech + np.float32(gain) * noise


@dataclass(frozen=True)
class Speed:
    """Faster or slower by a factor, with the pitch, as a tape would be.

    Args:
        probability: of a change at all.
        factor: range of the factor; 2 is twice as fast and an octave higher.
    """

    probability: float = 0.5
    factor: Range = (0.9, 1.1)

    def __post_init__(self) -> None:
        check_probability(self, probability=self.probability)
        check_range(self, 0.25, 4, factor=self.factor)

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


@dataclass(frozen=True)
class Room:
    """A shoebox room by image sources (pyroomacoustics), a talker and a microphone in it.

    The observation is the speech with the whole response, the target that with its first `early`
    seconds, which are heard as one with the direct sound. Both start with the direct sound, which
    has the level of the dry speech.

    Args:
        probability: of a room at all.
        width, length, height: ranges in metres.
        rt60: range of the reverberation time in seconds, shortened where a room cannot have it.
        distance: range of the way from talker to microphone in metres.
        early: seconds after the direct sound that belong to the target.
    """

    probability: float = 0.5
    width: Range = (3.0, 8.0)
    length: Range = (3.0, 8.0)
    height: Range = (2.4, 3.5)
    rt60: Range = (0.15, 0.5)
    distance: Range = (0.3, 2.0)
    early: float = 0.05

    def __post_init__(self) -> None:
        check_probability(self, probability=self.probability)
        check_range(self, 1.0, 100, width=self.width, length=self.length, height=self.height)
        check_range(self, 0.05, 3, rt60=self.rt60)
        check_range(self, 0.05, 50, distance=self.distance)
        if self.early < 0:
            raise ValueError(f"Room: early must not be negative, not {self.early}")

    def __call__(self, speech: Audio, rng: Generator, sample_rate: int) -> tuple[Audio, Audio]:
        """(target, observation), both shaped like the speech."""
        if rng.random() >= self.probability:
            return speech, speech
        response = self.response(rng, sample_rate)
        head = response[: 1 + round(self.early * sample_rate)]
        target, observed = (fftconvolve(speech, r)[: len(speech)] for r in (head, response))
        return target.astype(np.float32), observed.astype(np.float32)

    def response(self, rng: Generator, sample_rate: int) -> Audio:
        """An impulse response whose first sample is the direct sound, 1."""
        acoustics = require("pyroomacoustics")
        size = np.array([rng.uniform(*r) for r in (self.width, self.length, self.height)])
        wall = 0.1  # neither stands closer to a wall
        microphone = rng.uniform(wall, size - wall)
        direction = rng.standard_normal(3)
        direction *= rng.uniform(*self.distance) / np.linalg.norm(direction)
        talker = np.clip(microphone + direction, wall, size - wall)
        # Nearer by less than a sample, so that the direct sound falls on one.
        way = talker - microphone
        distance = float(np.linalg.norm(way))
        delay = max(int(distance / SPEED_OF_SOUND * sample_rate), 1)
        talker = microphone + way * (delay * SPEED_OF_SOUND / sample_rate / distance)
        area = 2 * (size[0] * size[1] + size[1] * size[2] + size[2] * size[0])
        # Sabine: rt60 = 24 ln(10) V / (c S absorption). Walls absorb all of it at most.
        shortest = 24 * np.log(10) * size.prod() / (SPEED_OF_SOUND * area)
        rt60 = rng.uniform(*self.rt60)
        absorption = min(shortest / rt60, 0.99)
        order = min(ceil(SPEED_OF_SOUND * rt60 / size.min()), 40)
        walls = acoustics.Material(absorption)
        room = acoustics.ShoeBox(size, fs=sample_rate, materials=walls, max_order=order)
        room.add_source(talker)
        room.add_microphone(microphone)
        room.compute_rir()
        response = np.asarray(room.rir[0][0], np.float32)
        # Image sources arrive as windowed sincs, centred half a filter after their delay.
        direct = delay + acoustics.constants.get("frac_delay_length") // 2
        return response[direct:] / response[direct]


class Degradation(ABC):
    """Spoils a recording, speech and noise together; subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:
        """The spoilt recording, of the same shape; the argument stays as it is."""


@dataclass(frozen=True)
class Clip(Degradation):
    """Cuts off what exceeds a level, as an overdriven input does.

    Args:
        probability: of clipping at all.
        level: range of the level in dB below the peak.
    """

    probability: float = 0.1
    level: Range = (1.0, 15.0)

    def __post_init__(self) -> None:
        check_probability(self, probability=self.probability)
        check_range(self, 0, 60, level=self.level)

    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:  # noqa: D102
        if rng.random() >= self.probability:
            return audio
        level = np.abs(audio).max() * decibels(-rng.uniform(*self.level))
        return audio.clip(-level, level).astype(np.float32)


@dataclass(frozen=True)
class LowPass(Degradation):
    """Takes away the band above a cutoff (Butterworth, 3 dB there, 48 dB an octave above it).

    Args:
        probability: of filtering at all.
        cutoff: range of the cutoff in Hz.
    """

    probability: float = 0.1
    cutoff: Range = (2000.0, 7000.0)

    def __post_init__(self) -> None:
        check_probability(self, probability=self.probability)
        check_range(self, 20, np.inf, cutoff=self.cutoff)

    def __call__(self, audio: Audio, rng: Generator, sample_rate: int) -> Audio:  # noqa: D102
        if rng.random() >= self.probability:
            return audio
        cutoff = float(rng.uniform(*self.cutoff))
        if cutoff >= 0.499 * sample_rate:
            return audio
        return sosfilt(butter(8, cutoff, fs=sample_rate, output="sos"), audio).astype(np.float32)
