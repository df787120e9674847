"""What a table of scores may claim: intervals of means, paired differences, breakdowns.

All draws come from a generator that is seeded here, so that the same scores give the same tables.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgmse.errors import ArgumentError

LEVEL = 0.95
DRAWS = 2000
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A mean over `count` values and the bootstrap interval [low, high] around it.

    NaN where there is no value; with one value the interval is that value.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval, what follows the sign +-."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference(Interval):
    """A mean difference from a baseline over the same files, with how likely it is by chance.

    `p` is that of the two-sided Wilcoxon signed-rank test (Wilcoxon 1945; differences of 0 are left
    out), of this comparison alone; 1 where no file differs. `p_holm` is corrected for all
    comparisons that are looked at together, see `corrected`; equal to `p` where this is the only
    one.
    """

    p: float
    p_holm: float


def interval(
    values: ArrayLike, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> Interval:
    """The mean of values (n,) with its percentile bootstrap interval (Efron 1979).

        mean* = mean of n values drawn with replacement, `draws` times
        [low, high] = the (1 -+ level) / 2 quantiles of mean*

    The draws are those of `scipy.stats.bootstrap`; that refuses a single value, and its quantiles
    differ in the last digit, in which a committed table would change.

    Raises `ArgumentError` for values that are not finite: they are to be listed, not averaged.
    """
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not np.isfinite(data).all():
        raise ArgumentError("the bootstrap takes finite values of shape (n,); leave the others out")
    if data.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    means = _resampled_means(data, draws, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(data.mean()), float(low), float(high), data.size)


def paired(values: ArrayLike, baseline: ArrayLike) -> Difference:
    """values - baseline, both (n,) over the same files in the same order."""
    from scipy.stats import wilcoxon  # half a second

    left, right = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    if left.shape != right.shape:
        raise ArgumentError(
            f"paired values must be of one shape, not {left.shape} and {right.shape}"
        )
    differences = left - right
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    return Difference(**asdict(interval(differences)), p=p, p_holm=p)


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of m tests, corrected so that one limit holds for all of them together.

        p*_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),  p_(1) <= ... <= p_(m)

    The chance that any true null hypothesis has p* below a limit is at most the limit, however the
    tests depend on each other (Holm 1979, a simple sequentially rejective procedure).

    Raises `ArgumentError` for what is no probability.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    values = np.asarray(ps, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ArgumentError(f"p values lie between 0 and 1; these are {list(ps)}")
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(values[order] * np.arange(values.size, 0, -1), 1)
    result = np.empty_like(values)
    result[order] = np.maximum.accumulate(scaled)
    return [float(p) for p in result]


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The differences that are looked at together, each with its `p_holm`."""
    ps = holm([difference.p for difference in differences])
    return [replace(d, p_holm=p) for d, p in zip(differences, ps, strict=True)]


def stars(p: float) -> str:
    """How unlikely chance is, as papers mark it: *** below 0.001, ** below 0.01, * below 0.05."""
    return "*" * sum(p < limit for limit in (0.001, 0.01, 0.05))


def _resampled_means(data: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Means of `draws` resamples, some at a time: all indices at once would fill the memory."""
    rng = np.random.default_rng(seed)
    size = max(1, 2**20 // data.size)
    parts: Sequence[int] = [min(size, draws - start) for start in range(0, draws, size)]
    return np.concatenate(
        [data[rng.integers(0, data.size, (part, data.size))].mean(axis=1) for part in parts]
    )
