"""Frames of a signal, and the mean over frames, as Hu and Loizou (2008) take them.

Segmental SNR, LLR and WSS, and with them the composite measures, are means over frames of 30 ms, a
quarter of that apart, under the window w_n = (1 - cos(2 pi n / (N + 1))) / 2, n = 1 ... N. The last
whole frame of a signal is left out, as the loop of their code does.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sgmse.errors import MetricError
from sgmse.metrics.signals import Signal

Frames = NDArray[np.float64]  # (frames, samples)

SECONDS = 0.03
SHORTEST = 0.04  # seconds with at least one frame, at any rate
KEPT = 0.95  # of the frames, in the means of LLR and WSS
EPSILON = float(np.finfo(np.float64).eps)  # added to the samples, so that silence has a spectrum


def windowed(signal: Signal, sample_rate: int) -> Frames:
    """The frames (frames, samples) of a signal (samples,) of `SHORTEST` seconds or more."""
    length = round(SECONDS * sample_rate)
    hop = length // 4
    cut = framed(signal, length, hop)[: (len(signal) - length) // hop]
    return cut * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))


def framed(signal: Signal, length: int, hop: int) -> Frames:
    """Every whole frame of `length` samples, `hop` apart, as a view of the signal (samples,)."""
    if hop < 1:
        raise MetricError("the sample rate is too low for frames; resample both signals first")
    return sliding_window_view(signal, length)[::hop]


def best_mean(distances: Signal) -> float:
    """Mean over the 95 % of the frames (frames,) with the smallest distances.

    Half a frame counts as one, as in MATLAB; Python would round it to the even number.
    """
    return float(np.sort(distances)[: math.floor(KEPT * len(distances) + 0.5)].mean())
