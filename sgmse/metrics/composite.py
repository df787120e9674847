"""Measures of Hu and Loizou: segmental SNR, LLR, WSS, and the opinions CSIG, CBAK, COVL of them.

As in `composite.m` of Hu and Loizou 2008, "Evaluation of objective quality measures for speech
enhancement". What listeners would say of the distortion of the speech, of the intrusiveness of the
background and of the whole, limited to 1 ... 5, is

    CSIG = 3.093 - 1.029 LLR + 0.603 PESQ - 0.009 WSS
    CBAK = 1.634 + 0.478 PESQ - 0.007 WSS + 0.063 SegSNR
    COVL = 1.594 + 0.805 PESQ - 0.512 LLR - 0.007 WSS

at 16 kHz with wide-band PESQ. The regression was fitted at 8 kHz to the raw score of narrow-band
PESQ; the tables of VoiceBank-DEMAND put the wide-band MOS-LQO in its place and keep the
coefficients, and so does this module. Scores with narrow-band PESQ are higher.

The other three are means over frames of 30 ms, a quarter of that apart, under the window
w_n = (1 - cos(2 pi n / (N + 1))) / 2, n = 1 ... N; those of LLR and WSS are over the best 95 % of
the frames. The last whole frame of a signal is left out, as the loop of their code does.

Levels are of samples with full scale 1 and end at -100 dB, as they are in the original. Tables that
are made with floating samples by a translation that divides by 32768 once more have quiet bands at
that floor, too small a WSS and so higher opinions: on the pairs of this project's tests by 0.1 on
average, 0.25 in CSIG and 0.19 in the others at most.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgmse.metrics._signals import Frames, Signal, compared, framed
from sgmse.metrics.pesq import pesq_wb

FRAME = 0.03  # seconds
SHORTEST = 0.04  # seconds with at least one frame, at any rate
KEPT = 0.95  # of the frames, in the means of LLR and WSS
EPSILON = float(np.finfo(np.float64).eps)  # added to the samples, so that silence has a spectrum
OPINIONS = 1.0, 5.0  # the lowest and the highest

# Segmental SNR
RATIOS = -10.0, 35.0  # dB, the lowest and the highest

# LLR
ORDERS = {8000: 10, 16000: 16}  # of the prediction, by sample rate in Hz
WORST = 1000.0  # the ratio of a frame too near to silence for its prediction to be computed

# WSS: the critical bands
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


class Composite(NamedTuple):
    """Predicted opinion of the speech, of the background and of the whole, each 1 to 5."""

    csig: float
    cbak: float
    covl: float


def composite(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> Composite:
    """CSIG, CBAK, COVL of signals (samples,) at 16 kHz, 1/4 s or longer. Raises `MetricError`."""
    signals = (reference, estimate, sample_rate)
    pesq = pesq_wb(*signals)  # the first, as it asks most of the signals
    LLR, WSS, snr = llr(*signals), wss(*signals), segmental_snr(*signals)
    return Composite(
        csig=_opinion(3.093 - 1.029 * LLR + 0.603 * pesq - 0.009 * WSS),
        cbak=_opinion(1.634 + 0.478 * pesq - 0.007 * WSS + 0.063 * snr),
        covl=_opinion(1.594 + 0.805 * pesq - 0.512 * LLR - 0.007 * WSS),
    )


def _opinion(value: float) -> float:
    return min(max(value, OPINIONS[0]), OPINIONS[1])


def segmental_snr(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Segmental SNR in dB, higher is better, of signals (samples,) of 40 ms or more.

        SegSNR = mean over frames of clamp(10 log10(|w s|^2 / |w (s - s_hat)|^2), -10, 35)

    Over all frames, also those without speech, and the level counts; the tables of VoiceBank-DEMAND
    call it "SSNR". A frame where the reference is silent is -10 dB, even of a perfect estimate.
    Other definitions leave out silent frames or take frames without overlap; their numbers are not
    comparable. Raises `MetricError`.
    """
    s, s_hat = compared(reference, estimate, sample_rate, seconds=SHORTEST)
    speech, noise = ((windowed(x, sample_rate) ** 2).sum(axis=1) for x in (s, s - s_hat))
    ratios = 10 * np.log10(speech / (noise + EPSILON) + EPSILON)
    return float(ratios.clip(*RATIOS).mean())


def llr(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Log-likelihood ratio of linear prediction, lower is better, 0 for a perfect estimate.

    How much worse the estimate's predictor predicts the reference than the reference's own does:

        LLR = ln(a_hat R a_hat' / a R a')

    a and a_hat are the prediction error filters (1, a_1, ..., a_P) of a frame of the reference and
    of the estimate, R is the reference's autocorrelation matrix; P is 16 at 16 kHz and 10 at 8 kHz.
    Without a limit for a single frame, while their stand-alone `llr.m` limits each to 2.

    Signals are (samples,) at 8 or 16 kHz, 40 ms or longer. Raises `MetricError`.
    """
    s, s_hat = compared(reference, estimate, sample_rate, rates=tuple(ORDERS), seconds=SHORTEST)
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
    energy: Signal = 2 * (r * c).sum(axis=1) - r[:, 0] * c[:, 0]
    return energy


def wss(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Weighted spectral slope distance of Klatt (1982), lower is better, 0 for no difference.

    The slopes d_i of the levels L_i (dB) between neighbouring critical bands are compared, those
    near the peaks of the spectrum with more weight:

        WSS = sum_i W_i (d_i - d_hat_i)^2 / sum_i W_i,     d_i = L_(i+1) - L_i
        W_i = mean over both signals of 20 / (20 + max L - L_i) * 1 / (1 + P_i - L_i)

    P_i is the level of the peak next to band i, uphill. 25 Gaussian bands up to 3.6 kHz, at 16 kHz
    too, and, on a rising slope, P_i taken one band short of the peak, as the regression was fitted
    to that.

    Signals are (samples,) at 8 or 16 kHz, 40 ms or longer. Raises `MetricError`.
    """
    s, s_hat = compared(reference, estimate, sample_rate, rates=(8000, 16000), seconds=SHORTEST)
    L, L_hat = (_levels(x + EPSILON, sample_rate) for x in (s, s_hat))
    W = (_weights(L) + _weights(L_hat)) / 2
    squares = (np.diff(L) - np.diff(L_hat)) ** 2
    return best_mean((W * squares).sum(axis=1) / W.sum(axis=1))


def _levels(signal: Frames, sample_rate: int) -> Frames:
    """Levels (frames, 25) of the critical bands in dB."""
    frames = windowed(signal, sample_rate)
    n = 2 ** int(np.ceil(np.log2(2 * frames.shape[1])))
    power = np.abs(np.fft.rfft(frames, n)[:, :-1]) ** 2
    levels: Frames = 10 * np.log10(np.maximum(power @ _bands(n, sample_rate), QUIETEST))
    return levels


def _bands(n: int, sample_rate: int) -> Frames:
    """Filters (n / 2, 25) on the bins of a spectrum of n; wider ones are lower."""
    bins = np.arange(n // 2)[:, None]
    centres = np.floor(np.array(CENTRES) / sample_rate * n)
    widths = np.array(WIDTHS)
    filters: Frames = np.exp(-11 * ((bins - centres) / (widths / sample_rate * n)) ** 2)
    filters *= widths[0] / widths
    filters *= filters > CUT
    return filters


def _weights(L: Frames) -> Frames:
    """Weights (frames, 24) of the slopes."""
    i = np.arange(L.shape[1] - 1)
    rising = np.diff(L) > 0
    # The first slope from i on that falls, and the last one up to i that rises.
    falls = np.minimum.accumulate(np.where(rising, len(i), i)[:, ::-1], axis=1)[:, ::-1]
    rises = np.maximum.accumulate(np.where(rising, i, -1), axis=1)
    peaks = np.take_along_axis(L, np.where(rising, falls - 1, rises + 1), axis=1)
    below_all, below_peak = L.max(axis=1, keepdims=True) - L[:, :-1], peaks - L[:, :-1]
    weights: Frames = GLOBAL / (GLOBAL + below_all) * LOCAL / (LOCAL + below_peak)
    return weights


def windowed(signal: Signal, sample_rate: int) -> Frames:
    """The frames (frames, samples) of a signal (samples,) of `SHORTEST` seconds or more."""
    length = round(FRAME * sample_rate)
    hop = length // 4
    cut = framed(signal, length, hop)[: (len(signal) - length) // hop]
    window: Signal = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1))
    return cut * window


def best_mean(distances: Signal) -> float:
    """Mean over the 95 % of the frames (frames,) with the smallest distances.

    Half a frame counts as one, as in MATLAB; Python would round it to the even number.
    """
    return float(np.sort(distances)[: math.floor(KEPT * len(distances) + 0.5)].mean())
