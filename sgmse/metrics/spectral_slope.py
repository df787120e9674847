"""Weighted spectral slope distance (WSS) of Klatt (1982), lower is better, 0 for no difference.

The slopes d_i of the levels L_i (dB) between neighbouring critical bands are compared, those near
the peaks of the spectrum with more weight:

    WSS = sum_i W_i (d_i - d_hat_i)^2 / sum_i W_i,     d_i = L_(i+1) - L_i
    W_i = mean over both signals of 20 / (20 + max L - L_i) * 1 / (1 + P_i - L_i)

P_i is the level of the peak next to band i, uphill. Mean over the best 95 % of the frames
(`sgmse.metrics.frames`). 25 Gaussian bands up to 3.6 kHz, at 16 kHz too, and, on a rising slope,
P_i taken one band short of the peak: as in `composite.m` of Hu and Loizou (2008), whose regression
was fitted to that. Levels are of samples with full scale 1 and end at -100 dB, as they are in the
original; some translations divide floating samples by 32768 once more, which puts quiet bands at
that floor and changes the distance.
"""

import numpy as np
from numpy.typing import ArrayLike

from sgmse.metrics.frames import EPSILON, SHORTEST, Frames, best_mean, windowed
from sgmse.metrics.signals import checked

CENTRES = (
    *(50.0, 120.0, 190.0, 260.0, 330.0, 400.0, 470.0, 540.0, 617.372, 703.378, 798.717, 904.128),
    *(1020.38, 1148.30, 1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97),
    *(2978.04, 3276.17, 3597.63),
)  # Hz
WIDTHS = (
    *(70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 77.3724, 86.0056, 95.3398, 105.411, 116.256),
    *(127.914, 140.423, 153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072),
    *(298.126, 321.465, 346.136),
)  # Hz
CUT = np.exp(-30 / (2 * 2.303))  # the filters end where they are 30 dB down, says the original
QUIETEST = 1e-10  # energy in a band
GLOBAL, LOCAL = 20.0, 1.0  # dB, Klatt's constants


def wss(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """WSS of signals (samples,) at 8 or 16 kHz, 40 ms or longer. Raises `MetricError`."""
    signals = {"reference": reference, "estimate": estimate}
    s, s_hat = checked(signals, sample_rate, rates=(8000, 16000), seconds=SHORTEST)
    L, L_hat = (_levels(x + EPSILON, sample_rate) for x in (s, s_hat))
    W = (_weights(L) + _weights(L_hat)) / 2
    squares = (np.diff(L) - np.diff(L_hat)) ** 2
    return best_mean((W * squares).sum(axis=1) / W.sum(axis=1))


def _levels(signal: Frames, sample_rate: int) -> Frames:
    """Levels (frames, 25) of the critical bands in dB."""
    frames = windowed(signal, sample_rate)
    n = 2 ** int(np.ceil(np.log2(2 * frames.shape[1])))
    power = np.abs(np.fft.rfft(frames, n)[:, :-1]) ** 2
    return 10 * np.log10(np.maximum(power @ _bands(n, sample_rate), QUIETEST))


def _bands(n: int, sample_rate: int) -> Frames:
    """Filters (n / 2, 25) on the bins of a spectrum of n; wider ones are lower."""
    bins = np.arange(n // 2)[:, None]
    centres = np.floor(np.array(CENTRES) / sample_rate * n)
    widths = np.array(WIDTHS)
    filters = np.exp(-11 * ((bins - centres) / (widths / sample_rate * n)) ** 2)
    filters *= widths[0] / widths
    return filters * (filters > CUT)


def _weights(L: Frames) -> Frames:
    """Weights (frames, 24) of the slopes."""
    i = np.arange(L.shape[1] - 1)
    rising = np.diff(L) > 0
    # The first slope from i on that falls, and the last one up to i that rises.
    falls = np.minimum.accumulate(np.where(rising, len(i), i)[:, ::-1], axis=1)[:, ::-1]
    rises = np.maximum.accumulate(np.where(rising, i, -1), axis=1)
    peaks = np.take_along_axis(L, np.where(rising, falls - 1, rises + 1), axis=1)
    below_all, below_peak = L.max(axis=1, keepdims=True) - L[:, :-1], peaks - L[:, :-1]
    return GLOBAL / (GLOBAL + below_all) * LOCAL / (LOCAL + below_peak)
