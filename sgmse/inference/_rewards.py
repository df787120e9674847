"""Measures of audio as rewards of `best_of` and `steer`, which see spectrograms.

    r(x0, y) = measure(audio of x0, audio of y, sample rate)

There is no clean recording to compare with: a measure takes the estimate and the observation, or
the estimate alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse import metrics
from sgmse._checks import kinds, whole
from sgmse.errors import ArgumentError
from sgmse.front import FrontEnd

#: f(estimate, observation, sample_rate) of signals (samples,) in 64 bits; more is better.
Heeded = Callable[[NDArray[np.float64], NDArray[np.float64], int], float]
#: In dB; a copy of the observation would be infinitely good.
MOST = 100.0


@dataclass(frozen=True)
class Heard:
    """A reward by a measure of the audio that a front end makes of a spectrogram.

    Args:
        measure: such as `si_sdr_to_observation` or `dnsmos_overall`.
        front: of the enhancer.
        samples: of the recording whose spectrogram is the observation.
    """

    measure: Heeded
    front: FrontEnd
    samples: int

    def __post_init__(self) -> None:
        kinds(self)
        whole("Heard: samples", self.samples, least=1)

    def __call__(self, x0: Tensor, y: Tensor) -> Tensor:
        """Of clean audio and observations (batch, 1, frequency, frame), (batch,) and real.

        Raises:
            ValueError: other shapes, or a reward that is not finite.
            MetricError: what the measure refuses, such as silence.
        """
        if x0.ndim != 4 or x0.shape[1] != 1 or x0.shape != y.shape:
            raise ArgumentError(
                "Heard rates spectrograms (batch, 1, frequency, frame) beside observations of the "
                f"same shape, not {tuple(x0.shape)} beside {tuple(y.shape)}"
            )
        estimates, observations = (
            self.front.inverse(part, self.samples).double().cpu().numpy() for part in (x0, y)
        )
        rate = self.front.sample_rate
        rewards = [
            float(self.measure(*pair, rate)) for pair in zip(estimates, observations, strict=True)
        ]
        if not np.isfinite(rewards).all():
            raise ArgumentError(f"a reward must be finite, not {rewards}")
        return torch.tensor(rewards, dtype=x0.real.dtype, device=x0.device)


def si_sdr_to_observation(
    estimate: NDArray[np.float64], observation: NDArray[np.float64], sample_rate: int
) -> float:
    """SI-SDR to the observation in dB, at most 100: how much of the recording is left in it.

    It keeps samples to what was said. By itself it is the largest where nothing is enhanced: steer
    with a small scale, or add a measure of quality.
    """
    return min(max(metrics.si_sdr(observation, estimate, sample_rate), -MOST), MOST)


def dnsmos_overall(
    estimate: NDArray[np.float64], observation: NDArray[np.float64], sample_rate: int
) -> float:
    """DNSMOS P.835 of the whole, 1 to 5, at 16 kHz (extra `mos`); the observation does not count.

    It takes about a second for each estimate and window of nine: draw particles seldom with it.
    """
    return metrics.dnsmos(estimate, sample_rate).ovrl
