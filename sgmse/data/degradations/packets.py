"""Packets that a network loses."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from typing_extensions import override

from sgmse.data._checked import Probability, Range, SomeOf, Within
from sgmse.data.degradations._base import Audio, Degradation, Floats

Concealment = Literal["silence", "repeat"]


@dataclass(frozen=True)
class PacketLoss(Degradation):
    """Lost packets in bursts (Gilbert-Elliott: all are lost in the bad state, none in the good).

        P(bad -> good) = 1 / burst,    P(good -> bad) = rate / (burst (1 - rate))

    so that the share `rate` of the packets is lost, in bursts of `burst` packets on average. The
    first packet may be in a burst, and starts anywhere before the audio.

    Args:
        rate: range of the share that is lost, at most 0.5.
        burst: range of the mean length of a burst, in packets.
        packet: range of the length of a packet in seconds.
        concealments: what is heard instead, each as probable: silence, or the last packet that
            came, 6 dB softer each time it is repeated.
    """

    probability: Probability = 0.1
    rate: Annotated[Range, Within(0, 0.5)] = (0.02, 0.2)
    burst: Annotated[Range, Within(1, 1000)] = (1.0, 3.0)
    packet: Annotated[Range, Within(1e-3, 1)] = (0.02, 0.02)
    concealments: Annotated[tuple[Concealment, ...], SomeOf(Concealment)] = ("silence", "repeat")

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        size = max(round(rng.uniform(*self.packet) * sample_rate), 1)
        before = int(rng.integers(size))
        packets = np.pad(audio, (before, -(before + len(audio)) % size)).reshape(-1, size)
        lost = self.lost(len(packets), rng)
        conceal = self.concealments[rng.integers(len(self.concealments))]
        out = packets.copy()
        out[lost] = 0
        if conceal == "repeat":
            for i in np.flatnonzero(lost[1:]) + 1:
                out[i] = out[i - 1] / 2
        return out.ravel()[before : before + len(audio)]

    def lost(self, count: int, rng: Generator) -> NDArray[np.bool_]:
        """Which of so many packets are lost, (count,)."""
        rate, burst = rng.uniform(*self.rate), rng.uniform(*self.burst)
        if rate == 0:
            return np.zeros(count, bool)
        bad = bool(rng.random() < rate)
        runs: list[NDArray[np.bool_]] = []
        left = count
        while left > 0:  # the time in a state has a geometric distribution
            leave = 1 / burst if bad else rate / (burst * (1 - rate))
            run = min(int(rng.geometric(leave)), left)
            runs.append(np.full(run, bad))
            left, bad = left - run, not bad
        return np.concatenate(runs)
