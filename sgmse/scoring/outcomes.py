"""Of how many recordings a system is better than the baseline, and of which it is worst."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgmse.errors import ArgumentError
from sgmse.scoring.intervals import LEVEL
from sgmse.scoring.journal import Recording


@dataclass(frozen=True)
class Outcomes:
    """Recordings by what became of their score; what is neither better nor worse is as it was.

    Args:
        better: whose score is better than the baseline's by more than `noise`.
        worse: whose score is worse by more than that.
        count: of all.
        noise: what a score moves without a reason, in its unit.
        share: better / count, the size of the effect whatever the unit of the score.
        share_low, share_high: its 95 % interval over recordings, Wilson's.
    """

    better: int
    worse: int
    count: int
    noise: float
    share: float
    share_low: float
    share_high: float


def outcomes(
    values: ArrayLike, baseline: ArrayLike, *, noise: float = 0.0, higher_is_better: bool = True
) -> Outcomes:
    """Of scores (n,) and those of the baseline, of the same recordings in the same order.

    Raises `ArgumentError` for different shapes, no values, and values that are not finite.
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
    low, high = wilson(better, gains.size)
    return Outcomes(better, worse, gains.size, noise, better / gains.size, low, high)


class Change(NamedTuple):
    """What became of the score of a recording.

    Args:
        recording: (set, name).
        value: the score.
        baseline: that of the baseline.
        gain: their difference, below 0 where it got worse, whatever direction is better.
    """

    recording: Recording
    value: float
    baseline: float
    gain: float


def changes(
    values: Mapping[Recording, float],
    baseline: Mapping[Recording, float],
    *,
    higher_is_better: bool = True,
) -> list[Change]:
    """Of the recordings that both have a score of; what got worse most is first."""
    sign = 1 if higher_is_better else -1
    found = [
        Change(recording, value, baseline[recording], sign * (value - baseline[recording]))
        for recording, value in values.items()
        if recording in baseline
    ]
    return sorted(found, key=lambda change: (change.gain, change.recording))


def wilson(successes: int, count: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share k / n by the score test (Wilson 1927), z the normal quantile:

        (k + z^2 / 2 -+ z sqrt(k (n - k) / n + z^2 / 4)) / (n + z^2)

    It has a width where all or none succeed, too, where a bootstrap has none.

    Raises `ArgumentError` unless 0 <= k <= n and n > 0.

    >>> low, high = wilson(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    if not 0 <= successes <= count or count == 0:
        raise ArgumentError(f"{successes} of {count} is no share")
    z = NormalDist().inv_cdf((1 + level) / 2)
    half = z * math.sqrt(successes * (count - successes) / count + z * z / 4)
    low, high = ((successes + z * z / 2 + side) / (count + z * z) for side in (-half, half))
    return max(low, 0.0), min(high, 1.0)
