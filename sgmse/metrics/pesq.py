"""PESQ, perceptual evaluation of speech quality, as MOS-LQO; higher is better, up to 4.64.

Wide-band: ITU-T P.862.2, 16 kHz. Narrow-band: ITU-T P.862 mapped by P.862.1, 8 or 16 kHz. It aligns
time and level by itself. Computed by the package `pesq`, which is the ITU's code.
"""

from numpy.typing import ArrayLike

from sgmse._extras import imported
from sgmse.errors import MetricError
from sgmse.metrics._signals import compared


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
    s, s_hat = compared(reference, estimate, sample_rate, rates=rates, seconds=0.25)
    package = imported("pesq", "this metric", "metrics")
    try:
        return float(package.pesq(sample_rate, s, s_hat, mode))
    except package.PesqError as error:
        reason = error.args[0]
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise MetricError(
            f"PESQ cannot score this pair ({reason}); it needs speech well above silence"
        ) from error
