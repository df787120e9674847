"""Log-likelihood ratio of linear prediction (LLR), lower is better, 0 for a perfect estimate.

How much worse the estimate's predictor predicts the reference than the reference's own does:

    LLR = ln(a_hat R a_hat' / a R a')

a and a_hat are the prediction error filters (1, a_1, ..., a_P) of a frame of the reference and of
the estimate, R is the reference's autocorrelation matrix; P is 16 at 16 kHz and 10 at 8 kHz. Mean
over the best 95 % of the frames (`sgmse.metrics.frames`), without a limit for a single one: as in
`composite.m` of Hu and Loizou (2008), while their stand-alone `llr.m` limits each to 2.
"""

import numpy as np
from numpy.typing import ArrayLike

from sgmse.metrics.frames import EPSILON, SHORTEST, Frames, best_mean, windowed
from sgmse.metrics.signals import Signal, checked

ORDERS = {8000: 10, 16000: 16}  # of the prediction, by sample rate in Hz
WORST = 1000.0  # the ratio of a frame too near to silence for its prediction to be computed


def llr(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """LLR of signals (samples,) at 8 or 16 kHz, 40 ms or longer. Raises `MetricError`."""
    signals = {"reference": reference, "estimate": estimate}
    s, s_hat = checked(signals, sample_rate, rates=tuple(ORDERS), seconds=SHORTEST)
    order = ORDERS[sample_rate]
    r, r_hat = (lags(windowed(x + EPSILON, sample_rate), order) for x in (s, s_hat))
    with np.errstate(all="ignore"):  # what comes of 0 / 0 is replaced below
        ratio = residual(prediction(r_hat), r) / residual(prediction(r), r)
    return best_mean(np.log(np.where(ratio > 0, ratio, WORST)))


def lags(frames: Frames, order: int) -> Frames:
    """Autocorrelations r_k = sum_n x_n x_(n+k), k = 0 ... order: (frames, order + 1)."""
    length = frames.shape[1]
    products = [(frames[:, : length - k] * frames[:, k:]).sum(axis=1) for k in range(order + 1)]
    return np.stack(products, axis=1)


def prediction(r: Frames) -> Frames:
    """Prediction error filters of autocorrelations, both (frames, order + 1): Levinson-Durbin."""
    a = np.zeros_like(r)
    a[:, 0] = 1
    error = r[:, 0].copy()
    for i in range(1, r.shape[1]):
        reflection = -(a[:, :i] * r[:, i:0:-1]).sum(axis=1) / error
        a[:, 1 : i + 1] += reflection[:, None] * a[:, i - 1 :: -1]
        error *= 1 - reflection**2
    return a


def residual(a: Frames, r: Frames) -> Signal:
    """Energy a R a' that the filters leave of signals with autocorrelations r, for each frame.

    R is Toeplitz, so it is r_0 c_0 + 2 sum_k r_k c_k with the autocorrelation c of the filter.
    """
    c = lags(a, a.shape[1] - 1)
    return 2 * (r * c).sum(axis=1) - r[:, 0] * c[:, 0]
