"""Composite measures CSIG, CBAK, COVL: predicted opinions from 1 to 5, higher is better.

What listeners would say of the distortion of the speech, of the intrusiveness of the background
and of the whole (Hu and Loizou 2008, "Evaluation of objective quality measures for speech
enhancement"), limited to 1 ... 5:

    CSIG = 3.093 - 1.029 LLR + 0.603 PESQ - 0.009 WSS
    CBAK = 1.634 + 0.478 PESQ - 0.007 WSS + 0.063 SegSNR
    COVL = 1.594 + 0.805 PESQ - 0.512 LLR - 0.007 WSS

at 16 kHz with wide-band PESQ. The regression was fitted at 8 kHz to the raw score of narrow-band
PESQ; the tables of VoiceBank-DEMAND put the wide-band MOS-LQO in its place and keep the
coefficients, and so does this module. Scores with narrow-band PESQ are higher.

Tables that are made with floating samples by a translation that divides by 32768 (see
`sgmse.metrics.spectral_slope`) have too small a WSS and so higher scores: on the pairs of this
project's tests by 0.1 on average, 0.25 in CSIG and 0.19 in the others at most.
"""

from typing import NamedTuple

from numpy.typing import ArrayLike

from sgmse.metrics.likelihood_ratio import llr
from sgmse.metrics.pesq import pesq_wb
from sgmse.metrics.segmental_snr import segmental_snr
from sgmse.metrics.spectral_slope import wss

LOWEST, HIGHEST = 1.0, 5.0


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
        csig=_limited(3.093 - 1.029 * LLR + 0.603 * pesq - 0.009 * WSS),
        cbak=_limited(1.634 + 0.478 * pesq - 0.007 * WSS + 0.063 * snr),
        covl=_limited(1.594 + 0.805 * pesq - 0.512 * LLR - 0.007 * WSS),
    )


def _limited(opinion: float) -> float:
    return min(max(opinion, LOWEST), HIGHEST)
