"""Log-spectral distance, lower is better, 0 for an estimate that is right but for its level.

    LSD = mean over frames of sqrt(mean over bins of ln(S^2 / S_hat^2 + e)^2),     e = 1e-8

S and S_hat are the magnitudes, plus e, of reference and estimate, the latter scaled to the
reference by least squares: <s, s_hat> / |s_hat|^2. Frames of 32 ms, 16 ms apart, periodic Hann
window, centred on multiples of the hop with zeros beyond both ends. This is the measure of the
URGENT challenges (Zhang et al. 2024). Their code adds e to the estimate's magnitudes alone, so that
a digitally silent stretch counts as an error even of a perfect estimate, while here it does not;
for other signals the two agree.

The logarithm is natural. Times 10 / ln(10) = 4.343 it is the distance in dB, times 1 / ln(10) the
one in log10 of power that work on bandwidth extension quotes (with longer frames).

`lsd_high` is the distance in dB of what lies above the band of a 16 kHz model,

    mean over frames of sqrt(mean over bins from 8 to 20 kHz of (L - L_hat)^2)

with L = 10 log10 of the power, none lower than 80 dB below the loudest bin of the reference at any
frequency. The level counts: what is left out, or too loud, is an error. Whole frames of 2048
samples at 48 kHz (42.7 ms), a quarter apart, under a Hann window.
"""

import numpy as np
from numpy.typing import ArrayLike

from sgmse.errors import MetricError
from sgmse.metrics._signals import Frames, Signal, compared, framed

FRAME, HOP = 0.032, 0.016  # seconds
FLOOR = 1e-8
LOWEST, HIGHEST = 8000, 20000  # Hz of `lsd_high`
LONG = 2048 / 48000  # seconds of its frames
DEPTH = 1e-8  # of power, below which it hears nothing


def lsd(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Log-spectral distance of signals (samples,), natural logarithm. Raises `MetricError`."""
    s, s_hat = compared(reference, estimate, sample_rate)
    s_hat = (s @ s_hat) / (s_hat @ s_hat) * s_hat
    S, S_hat = (_magnitudes(x, sample_rate) + FLOOR for x in (s, s_hat))
    squares = np.log((S / S_hat) ** 2 + FLOOR) ** 2
    return float(np.sqrt(squares.mean(axis=1)).mean())


def lsd_high(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Log-spectral distance of signals (samples,) from 8 to 20 kHz, in dB. Raises `MetricError`.

    So it does for rates at which there is no such band, and recordings shorter than 42.7 ms.
    """
    signals = compared(reference, estimate, sample_rate, seconds=LONG)
    length = round(LONG * sample_rate)
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    band = (frequencies >= LOWEST) & (frequencies < HIGHEST)
    if sample_rate <= 2 * LOWEST:
        raise MetricError(
            f"at {sample_rate} Hz there is nothing above {LOWEST} Hz to compare; "
            "score recordings of a higher rate, or leave this measure out"
        )
    window = np.hanning(length)
    powers = [
        np.abs(np.fft.rfft(framed(signal, length, length // 4) * window)) ** 2 for signal in signals
    ]
    floor = max(DEPTH * powers[0].max(), np.finfo(np.float64).tiny)
    log, log_hat = (10 * np.log10(np.maximum(power[:, band], floor)) for power in powers)
    return float(np.sqrt(((log - log_hat) ** 2).mean(axis=1)).mean())


def _magnitudes(signal: Signal, sample_rate: int) -> Frames:
    """Magnitudes (frames, bins) of the short-time spectrum."""
    length, hop = int(FRAME * sample_rate), int(HOP * sample_rate)
    frames = framed(np.pad(signal, length // 2), length, hop)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return np.abs(np.fft.rfft(frames * window))
