"""Simulated rooms."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Annotated

import numpy as np
from numpy.random import Generator
from scipy.signal import fftconvolve

from sgmse._extras import imported
from sgmse.data._checked import Checked, Probability, Range, Within
from sgmse.data.degradations._base import Audio
from sgmse.errors import ArgumentError

SPEED_OF_SOUND = 343.0
PATIENCE = 100  # rooms in a row without
AUDIBLE = 1e-3  # of the response, the least direct sound by which its level can be set


@dataclass(frozen=True)
class Room(Checked):
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
        bank: where not 0, so many rooms are simulated, each when it is first drawn, and kept, in
            place of a new one each time, which takes longer than all else that makes a pair. Room
            number k is a function of k and of the ranges alone. A second of it takes 4 bytes a
            sample in each process that prepares pairs.
    """

    probability: Probability = 0.5
    width: Annotated[Range, Within(1.0, 100)] = (3.0, 8.0)
    length: Annotated[Range, Within(1.0, 100)] = (3.0, 8.0)
    height: Annotated[Range, Within(1.0, 100)] = (2.4, 3.5)
    rt60: Annotated[Range, Within(0.05, 3)] = (0.15, 0.5)
    distance: Annotated[Range, Within(0.05, 50)] = (0.3, 2.0)
    early: Annotated[float, Within(0)] = 0.05
    bank: Annotated[int, Within(0)] = 0

    def __call__(self, speech: Audio, rng: Generator, sample_rate: int) -> tuple[Audio, Audio]:
        """(target, observation), both shaped like the speech."""
        if rng.random() >= self.probability:
            return speech, speech
        if self.bank:
            response = _kept(self, int(rng.integers(self.bank)), sample_rate)
        else:
            response = self.response(rng, sample_rate)
        head = response[: 1 + round(self.early * sample_rate)]
        target, observed = (fftconvolve(speech, r)[: len(speech)] for r in (head, response))
        return target.astype(np.float32), observed.astype(np.float32)

    def response(self, rng: Generator, sample_rate: int) -> Audio:
        """An impulse response whose first sample is the direct sound, 1."""
        for _ in range(PATIENCE):
            response = self._drawn(rng, sample_rate)
            if abs(response[0]) > AUDIBLE * np.abs(response).max():
                scaled: Audio = response / response[0]
                return scaled
        raise ArgumentError(
            f"Room: {PATIENCE} rooms in a row have next to no direct sound; choose other sizes"
        )

    def _drawn(self, rng: Generator, sample_rate: int) -> Audio:
        """The same at the level that it has in the room."""
        acoustics = imported("pyroomacoustics", "a simulated room", "train")
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
        return response[direct:]


@lru_cache(maxsize=10_000)
def _kept(room: Room, number: int, sample_rate: int) -> Audio:
    """Response `number` of the bank of that room."""
    response = room.response(np.random.default_rng(number), sample_rate)
    response.setflags(write=False)
    return response
