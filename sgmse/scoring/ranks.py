"""One number over several measures: the mean rank of each system, with its interval."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgmse.errors import ArgumentError
from sgmse.scoring.intervals import DRAWS, LEVEL, SEED, Interval


def mean_ranks(
    scores: ArrayLike,
    higher_is_better: Sequence[bool],
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = SEED,
) -> list[Interval]:
    """For each system the mean over measures of the rank of its mean score, 1 for the best.

        r(s, m) = 1 + #{systems better than s} + #{others equal to s} / 2,  of means over recordings
        r(s) = mean over m of r(s, m)

    The interval is that of the percentile bootstrap over recordings: all systems and measures get
    the same ones in each draw, then means are taken, ranked and averaged anew. Measures count
    alike, and two that measure the same count twice.

    Args:
        scores: (systems, measures, recordings), finite.
        higher_is_better: of each measure.
        level, draws, seed: as for `interval`.

    Raises `ArgumentError` for another shape, for no values, and for values that are not finite.
    """
    data = np.asarray(scores, np.float64)
    if data.ndim != 3 or data.size == 0 or not np.isfinite(data).all():
        raise ArgumentError(
            "ranks are of finite scores of shape (systems, measures, recordings), "
            f"not of shape {data.shape}"
        )
    signs = np.where(higher_is_better, 1.0, -1.0)
    if signs.shape != data.shape[1:2]:
        raise ArgumentError(f"{data.shape[1]} measures have {signs.size} directions")
    data = data * signs[:, None]
    count = data.shape[2]
    found = _ranks(data.mean(axis=2)).mean(axis=1)
    rng = np.random.default_rng(seed)
    size = max(1, 2**20 // (data.shape[0] * count))  # all at once would fill the memory
    parts = []
    for start in range(0, draws, size):
        picks = rng.integers(0, count, (min(size, draws - start), count))
        ranks = [_ranks(own[:, picks].mean(axis=2)) for own in data.swapaxes(0, 1)]
        parts.append(np.mean(ranks, axis=0))
    low, high = np.quantile(
        np.concatenate(parts, axis=1), [(1 - level) / 2, (1 + level) / 2], axis=1
    )
    return [
        Interval(float(mean), float(a), float(b), count)
        for mean, a, b in zip(found, low, high, strict=True)
    ]


def _ranks(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of means (systems, n), more is better: ranks along the first axis, ties share."""
    better = (means[None] > means[:, None]).sum(axis=1)
    equal = (means[None] == means[:, None]).sum(axis=1) - 1
    return np.asarray(1 + better + equal / 2, np.float64)
