"""Scale-invariant energy ratios in dB, higher is better.

The estimate is split by projection on the reference s and on the noise n, without mean removal:

    s_hat = e_target + e_noise + e_artefact
    e_target = (<s_hat, s> / |s|^2) s,    e_noise = (<s_hat, n> / |n|^2) n

    SI-SDR = |e_target|^2 / |e_noise + e_artefact|^2
    SI-SIR = |e_target|^2 / |e_noise|^2
    SI-SAR = |e_target|^2 / |e_artefact|^2

(Le Roux et al. 2019, "SDR - half-baked or well done?"; its SI-SIR and SI-SAR project on both
signals at once, these on each by itself, as the published SGMSE evaluation does.)

A part without energy makes its ratio infinite. The sample rate does not enter these ratios; it is
in the signatures because it is in those of all metrics.
"""

import math

from numpy.typing import ArrayLike

from sgmse.metrics._signals import Signal, checked, compared


def si_sdr(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """SI-SDR of signals (samples,) in dB; without mean removal. Raises `MetricError`.

    >>> import numpy as np
    >>> clean = np.sin(np.arange(16000) / 10)
    >>> noise = np.cos(np.arange(16000) / 10)
    >>> round(si_sdr(clean, 3 * (clean + 0.1 * noise), 16000), 1)
    20.0
    """
    s, s_hat = compared(reference, estimate, sample_rate)
    target = _projection(s_hat, s)
    return _decibels(target, s_hat - target)


def si_sir(reference: ArrayLike, estimate: ArrayLike, sample_rate: int, noise: ArrayLike) -> float:
    """SI-SIR of signals (samples,) in dB: how much of `noise`, in the mixture, is left."""
    target, interference, _ = _parts(reference, estimate, sample_rate, noise)
    return _decibels(target, interference)


def si_sar(reference: ArrayLike, estimate: ArrayLike, sample_rate: int, noise: ArrayLike) -> float:
    """SI-SAR of signals (samples,) in dB: how much is neither reference nor `noise`."""
    target, _, artefacts = _parts(reference, estimate, sample_rate, noise)
    return _decibels(target, artefacts)


def _parts(
    reference: ArrayLike, estimate: ArrayLike, sample_rate: int, noise: ArrayLike
) -> tuple[Signal, Signal, Signal]:
    signals = {"reference": reference, "estimate": estimate, "noise": noise}
    s, s_hat, n = checked(signals, sample_rate)
    target, interference = _projection(s_hat, s), _projection(s_hat, n)
    return target, interference, s_hat - target - interference


def _projection(x: Signal, onto: Signal) -> Signal:
    return (x @ onto) / (onto @ onto) * onto


def _decibels(numerator: Signal, denominator: Signal) -> float:
    above, below = float(numerator @ numerator), float(denominator @ denominator)
    if above == 0 or below == 0:
        return -math.inf if above == 0 else math.inf
    return 10 * math.log10(above / below)
