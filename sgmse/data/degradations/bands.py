"""Bands that a recording lacks.

A filter of order n and cutoff c is applied by its magnitude |H(f)| alone where a chain of devices
compensates the delay (`LowPass`), and with its own phase where it is an analogue circuit
(`HighPass`).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import soxr
from numpy.random import Generator
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, cheby1, cheby2, ellip, sosfilt, sosfreqz
from typing_extensions import override

from sgmse.data._checked import Probability, Range, SomeOf, Within
from sgmse.data.degradations._base import Audio, Floats, Linear
from sgmse.errors import ArgumentError

Shape = Literal["butterworth", "chebyshev", "inverse_chebyshev", "elliptic"]
Resampler = Literal["QQ", "LQ", "MQ", "HQ", "VHQ"]
MOST_POLES = 16  # rounding breaks filters of higher orders
RIPPLE, STOP = 1.0, 60.0  # dB in the band that passes, and below it in the one that is stopped


@dataclass(frozen=True)
class LowPass(Linear):
    """Takes away the band above a cutoff; zero phase, |H(f)| that of the named filter.

    Args:
        cutoff: range of the cutoff in Hz: where a Butterworth filter has lost 3 dB, a Chebyshev or
            elliptic one its ripple of 1 dB, and an inverse Chebyshev one its 60 dB.
        shapes: which filters there are; each is as probable.
        order: least and largest order; a Butterworth filter of order n falls by 6 n dB an octave.
    """

    probability: Probability = 0.1
    cutoff: Annotated[Range, Within(20)] = (2000.0, 7000.0)
    shapes: Annotated[tuple[Shape, ...], SomeOf(Shape)] = ("butterworth",)
    order: Annotated[tuple[int, int], Within(1, MOST_POLES)] = (8, 8)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        cutoff = float(rng.uniform(*self.cutoff))
        shape = self.shapes[rng.integers(len(self.shapes))]
        order = int(rng.integers(self.order[0], self.order[1] + 1))
        if cutoff >= 0.499 * sample_rate:
            return audio
        match shape:
            case "butterworth":
                sos = butter(order, cutoff, fs=sample_rate, output="sos")
            case "chebyshev":
                sos = cheby1(order, RIPPLE, cutoff, fs=sample_rate, output="sos")
            case "inverse_chebyshev":
                sos = cheby2(order, STOP, cutoff, fs=sample_rate, output="sos")
            case "elliptic":
                sos = ellip(order, RIPPLE, STOP, cutoff, fs=sample_rate, output="sos")
        # The filter rings on both sides; what comes around the end of the transform is cut off.
        padded = next_fast_len(len(audio) + sample_rate // 4, real=True)
        _, response = sosfreqz(sos, np.fft.rfftfreq(padded) * 2 * np.pi)
        spectrum = rfft(audio, padded) * np.abs(response).astype(np.float32)
        filtered: Floats = irfft(spectrum, padded)[: len(audio)]
        return filtered


@dataclass(frozen=True)
class HighPass(Linear):
    """Takes away the band below a cutoff (Butterworth, 3 dB there), with its phase.

    Args:
        cutoff: range of the cutoff in Hz.
        order: least and largest order; order n falls by 6 n dB an octave.
    """

    probability: Probability = 0.1
    cutoff: Annotated[Range, Within(1)] = (50.0, 300.0)
    order: Annotated[tuple[int, int], Within(1, MOST_POLES)] = (1, 4)

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        cutoff = float(rng.uniform(*self.cutoff))
        order = int(rng.integers(self.order[0], self.order[1] + 1))
        if cutoff >= 0.499 * sample_rate:
            return np.zeros_like(audio)
        sos = butter(order, cutoff, "highpass", fs=sample_rate, output="sos")
        filtered: Floats = sosfilt(sos, audio)
        return filtered


@dataclass(frozen=True)
class Resampled(Linear):
    """At a lower sample rate and back (soxr), as on a telephone at 8 kHz; linear phase, delay 0.

    Args:
        rates: the rates in Hz, each as probable; those not below that of the audio change nothing.
        qualities: of soxr, each as probable: from QQ (cubic interpolation), which leaves images
            and aliases as cheap devices do, to VHQ.
    """

    probability: Probability = 0.1
    rates: tuple[int, ...] = (4000, 6000, 8000, 11025, 12000, 16000, 22050, 24000)
    qualities: Annotated[tuple[Resampler, ...], SomeOf(Resampler)] = ("LQ", "HQ")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates or min(self.rates) < 1000:
            raise ArgumentError(
                f"Resampled: rates must be one or more of at least 1000 Hz, not {[*self.rates]}"
            )

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        rate = int(rng.choice(self.rates))
        quality = self.qualities[rng.integers(len(self.qualities))]
        if rate >= sample_rate:
            return audio
        return there_and_back(audio, sample_rate, rate, quality)


def there_and_back(audio: Audio, sample_rate: int, rate: int, quality: Resampler = "HQ") -> Audio:
    """The audio at its own rate again after it had another one, of the same length."""
    low = soxr.resample(audio, sample_rate, rate, quality)
    return fitted(soxr.resample(low, rate, sample_rate, quality), len(audio))


def fitted(audio: Audio, samples: int) -> Audio:
    """Cut, or lengthened by silence, to so many samples."""
    return np.pad(audio[:samples], (0, max(samples - len(audio), 0)))
