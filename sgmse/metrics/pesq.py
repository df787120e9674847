"""PESQ, perceptual evaluation of speech quality, as MOS-LQO; higher is better, up to 4.64.

Wide-band: ITU-T P.862.2, 16 kHz. Narrow-band: ITU-T P.862 mapped by P.862.1, 8 or 16 kHz. It aligns
time and level by itself. Computed by the package `pesq`, which is the ITU's code.
"""

from numpy.typing import ArrayLike

from sgmse._extras import missing
from sgmse.errors import MetricError
from sgmse.metrics.signals import checked


def pesq_wb(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Wide-band PESQ of signals (samples,) at 16 kHz, 1/4 s or longer. Raises `MetricError`."""
    return _pesq("wb", (16000,), reference, estimate, sample_rate)


def pesq_nb(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Narrow-band PESQ of signals (samples,) at 8 or 16 kHz, 1/4 s or longer.

    Raises `MetricError`.
    """
    return _pesq("nb", (8000, 16000), reference, estimate, sample_rate)


def _pesq(
    mode: str, rates: tuple[int, ...], reference: ArrayLike, estimate: ArrayLike, sample_rate: int
) -> float:
    signals = {"reference": reference, "estimate": estimate}
    s, s_hat = checked(signals, sample_rate, rates=rates, seconds=0.25)
    try:
        from pesq import PesqError, pesq
    except ImportError as error:
        raise missing("pesq", "this metric", "metrics") from error
    try:
        return float(pesq(sample_rate, s, s_hat, mode))
    except PesqError as error:
        reason = error.args[0]
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise MetricError(
            f"PESQ cannot score this pair ({reason}); it needs speech well above silence"
        ) from error
