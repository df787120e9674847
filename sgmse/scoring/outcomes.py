"""Of how many recordings a system is better than the baseline, and of how many it is worse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgmse.errors import ArgumentError


@dataclass(frozen=True)
class Outcomes:
    """Recordings by what became of their score; what is neither better nor worse is as it was.

    Args:
        better: whose score is better than the baseline's by more than `noise`.
        worse: whose score is worse by more than that.
        count: of all.
        noise: what a score moves without a reason, in its unit.
    """

    better: int
    worse: int
    count: int
    noise: float


def outcomes(
    values: ArrayLike, baseline: ArrayLike, *, noise: float = 0.0, higher_is_better: bool = True
) -> Outcomes:
    """Of scores (n,) and those of the baseline, of the same recordings in the same order.

    Raises `ArgumentError` for different shapes, and values that are not finite.
    """
    left, right = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    if left.shape != right.shape or left.ndim != 1:
        raise ArgumentError(
            f"paired values must be of one shape (n,), not {left.shape} and {right.shape}"
        )
    gains = (left - right) * (1 if higher_is_better else -1)
    if not np.isfinite(gains).all():
        raise ArgumentError("only finite scores are better or worse; leave the others out")
    better, worse = int((gains > noise).sum()), int((gains < -noise).sum())
    return Outcomes(better, worse, gains.size, noise)
