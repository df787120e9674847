"""A noise gate: what is far below the speech, at its time and frequency, is made quieter still."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator
from scipy.ndimage import uniform_filter
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann
from typing_extensions import override

from sgmse.data._checked import Probability, Range, Within
from sgmse.data.degradations._base import Audio, Degradation, Floats

WINDOW = 0.032  # seconds, a quarter of it from one frame to the next
AROUND = 3  # frames and frequencies over which the power is a mean, so that no tone is left alone
LOUD = 0.4  # share of the frames, the loudest, whose mean is the level of the speech


@dataclass(frozen=True)
class NoiseGate(Degradation):
    """Downward expansion of a spectrogram, as meeting software does to pauses.

        g_dB(f, t) = -min(slope max(threshold - L(f, t), 0), most)

    L is the power around f and t in dB, relative to the mean of the loudest 40 % of the frames and
    all frequencies. Few recordings that are called clean are: among the `clean_changes` of a recipe
    it takes the noise of their rooms out of them, and a model does not learn to leave any behind.

    Args:
        threshold: range in dB of the level below which it begins.
        slope: range of the dB that are lost for each dB below that.
        most: largest loss in dB.
    """

    probability: Probability = 0.1
    threshold: Annotated[Range, Within(-100, 20)] = (-40.0, -20.0)
    slope: Annotated[Range, Within(0, 100)] = (0.5, 2.0)
    most: Annotated[float, Within(0, 100)] = 20.0

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        threshold, slope = rng.uniform(*self.threshold), rng.uniform(*self.slope)
        hop = max(round(WINDOW * sample_rate / 4), 1)
        stft = ShortTimeFFT(hann(4 * hop, sym=False), hop, sample_rate)
        # Shorter than half a window is not defined.
        padded = np.pad(audio.astype(np.float64), (0, max(4 * hop - len(audio), 0)))
        spectrogram = stft.stft(padded)
        power = np.abs(spectrogram) ** 2
        frames = np.sort(power.mean(axis=0))
        speech = frames[-max(round(LOUD * len(frames)), 1) :].mean()
        if not speech > 0:
            return audio
        level = 10 * np.log10(np.maximum(uniform_filter(power, AROUND) / speech, 1e-20))
        gain = -np.minimum(slope * np.maximum(threshold - level, 0), self.most)
        gated: Floats = stft.istft(spectrogram * 10 ** (gain / 20), k1=len(padded))
        return gated[: len(audio)]
