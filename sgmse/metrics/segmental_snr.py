"""Segmental SNR in dB, higher is better, from -10 to 35.

    SegSNR = mean over frames of clamp(10 log10(|w s|^2 / |w (s - s_hat)|^2), -10, 35)

Frames of 30 ms with 75 % overlap under a Hann window, all frames, also those without speech, and
the level counts: Hu and Loizou 2008, "Evaluation of objective quality measures for speech
enhancement", and their code `composite.m`, which the tables of VoiceBank-DEMAND use as "SSNR". A
frame where the reference is silent is -10 dB, even of a perfect estimate. Other definitions leave
out silent frames or take frames without overlap; their numbers are not comparable.
"""

import numpy as np
from numpy.typing import ArrayLike

from sgmse.metrics.frames import EPSILON, SHORTEST, windowed
from sgmse.metrics.signals import checked

LOWEST, HIGHEST = -10.0, 35.0  # dB


def segmental_snr(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Segmental SNR of signals (samples,) of 40 ms or more in dB. Raises `MetricError`."""
    signals = {"reference": reference, "estimate": estimate}
    s, s_hat = checked(signals, sample_rate, seconds=SHORTEST)
    speech, noise = ((windowed(x, sample_rate) ** 2).sum(axis=1) for x in (s, s - s_hat))
    ratios = 10 * np.log10(speech / (noise + EPSILON) + EPSILON)
    return float(ratios.clip(LOWEST, HIGHEST).mean())
