"""The colour of a microphone."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.random import Generator
from scipy.interpolate import PchipInterpolator
from scipy.signal import fftconvolve
from typing_extensions import override

from sgmse.data._checked import Probability, Range, Within
from sgmse.data.degradations._base import Audio, Floats, Linear


@dataclass(frozen=True)
class MicrophoneColour(Linear):
    """A smooth random equaliser, minimum phase, as microphones have.

    The gain in dB is drawn at frequencies evenly spaced in octaves, and monotone and smooth (PCHIP)
    between them; below a low and above a high cutoff it falls by 12 dB an octave, by 60 dB at most:

        |H| = 10^(gain/20) / sqrt((1 + (low_cut/f)^4) (1 + (f/high_cut)^4))

    The phase is that of the causal filter of this magnitude with the least delay
    (Oppenheim and Schafer, Discrete-Time Signal Processing, on the cepstrum).

    Args:
        gain: range in dB.
        octaves: range of the octaves from one of these frequencies to the next.
        roll_off: probability of cutoffs.
        low_cut, high_cut: ranges of the cutoffs in Hz.
    """

    probability: Probability = 0.3
    gain: Annotated[Range, Within(-40, 40)] = (-6.0, 6.0)
    octaves: Annotated[Range, Within(0.3, 10)] = (0.7, 2.0)
    roll_off: Probability = 0.5
    low_cut: Annotated[Range, Within(1)] = (30.0, 250.0)
    high_cut: Annotated[Range, Within(1)] = (5000.0, 20000.0)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        response = self.response(rng, sample_rate)
        coloured: Floats = fftconvolve(audio, response)[: len(audio)]
        return coloured

    def response(self, rng: Generator, sample_rate: int) -> Audio:
        """Impulse response, a power of two of samples, at least 1/8 s."""
        taps = 2 ** int(np.ceil(np.log2(sample_rate / 8)))
        frequency = np.maximum(np.fft.rfftfreq(2 * taps, 1 / sample_rate), 1)
        nodes = np.arange(np.log2(20), np.log2(sample_rate / 2) + 10, rng.uniform(*self.octaves))
        gains = rng.uniform(*self.gain, len(nodes))
        log = np.maximum(np.log2(frequency), nodes[0])
        magnitude = 10 ** (PchipInterpolator(nodes, gains)(log) / 20)
        if rng.random() < self.roll_off:
            low, high = rng.uniform(*self.low_cut), rng.uniform(*self.high_cut)
            fall = ((1 + (low / frequency) ** 4) * (1 + (frequency / high) ** 4)) ** -0.5
            magnitude *= np.maximum(fall, 1e-3)
        return minimum_phase(magnitude)[:taps].astype(np.float32)


def minimum_phase(magnitude: np.ndarray) -> np.ndarray:
    """Impulse response (2 n,) of a magnitude (n + 1,) at frequencies from 0 to half the rate.

    The cepstrum of a minimum-phase response is causal: that of log |H|, folded onto positive times.
    """
    cepstrum = np.fft.irfft(np.log(magnitude))
    half = len(cepstrum) // 2
    cepstrum[1:half] *= 2
    cepstrum[half + 1 :] = 0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))
