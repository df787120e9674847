"""Simple restorers, which a model has to be better than: splines, linear prediction, WPE.

Each is told nothing of the harm. What is missing is found in the samples: a run of zeros is a gap,
a run at the largest or smallest value of a recording is clipped. They are `Peer`s, so that rates
and levels are taken care of; those without a package of their own use scipy.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.linalg import solve_toeplitz
from typing_extensions import override

from sgmse.bench._peers import Peer, imported
from sgmse.bench._systems import Signal
from sgmse.errors import ArgumentError

Samples = NDArray[np.float64]  # (samples,)


class Run(NamedTuple):
    """The samples from `start` up to `end`, which is not one of them."""

    start: int
    end: int


def runs(where: NDArray[np.bool_], least: int) -> list[Run]:
    """The runs of at least so many samples (samples,) that are true."""
    edges = np.flatnonzero(np.diff(where, prepend=False, append=False))
    found = (Run(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))
    return [run for run in found if run.end - run.start >= least]


def clipped(samples: Samples, least: int = 2) -> list[Run]:
    """Where a recording stays at its largest or at its smallest value."""
    near = 1e-4 * np.abs(samples).max()
    high, low = samples >= samples.max() - near, samples <= samples.min() + near
    return sorted(runs(high, least) + runs(low, least))


def gaps(samples: Samples, least: int) -> list[Run]:
    """Where there is nothing."""
    return runs(samples == 0, least)


class _Restorer(Peer):
    """One that takes no package but those that are needed anyway."""

    package = "scipy"
    module = "scipy"
    licence = "BSD-3-Clause"


@dataclass(frozen=True)
class SplineDeclipping(_Restorer):
    """A cubic spline through what is not clipped, where it lies beyond the limit."""

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        x = samples.astype(np.float64)
        lost = clipped(x)
        if not lost:
            return samples
        kept = np.ones(len(x), bool)
        for run in lost:
            kept[run.start : run.end] = False
        if kept.sum() < 2:
            return samples
        spline = CubicSpline(np.flatnonzero(kept), x[kept])
        for run in lost:
            n = np.arange(run.start, run.end)
            beyond = np.maximum if x[run.start] > 0 else np.minimum
            # It swings wildly over long runs: no peak is more than twice what was left of it.
            x[n] = beyond(x[n], spline(n)).clip(-2 * abs(x[run.start]), 2 * abs(x[run.start]))
        return x


@dataclass(frozen=True)
class SplineGaps(_Restorer):
    """A monotone cubic spline (PCHIP) across each gap.

    Args:
        shortest: gap, in seconds.
    """

    shortest: float = 0.005

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        x = samples.astype(np.float64)
        kept = np.ones(len(x), bool)
        for run in gaps(x, round(self.shortest * rate)):
            kept[run.start : run.end] = False
        if kept.all() or kept.sum() < 2:
            return samples
        inside = np.flatnonzero(kept)
        n = np.arange(inside[0], inside[-1] + 1)
        x[n] = PchipInterpolator(inside, x[inside])(n)
        return x


@dataclass(frozen=True)
class LinearPrediction(_Restorer):
    """Gaps filled so that an autoregressive model of what is around leaves least (Janssen 1986).

        min over the gap of  sum_n (sum_k a_k x(n - k))^2,   a_0 = 1,

    with a of the sound on both sides (Janssen, Veldhuis and Vries 1986, "Adaptive interpolation of
    discrete-time signals that can be modeled as autoregressive processes", eq. 9*), and once more
    with a of what came of it.

    Args:
        order: of the model.
        around: seconds on each side that it is learnt from.
        shortest, longest: gaps, in seconds; others stay as they are.
    """

    order: int = 64
    around: float = 0.064
    shortest: float = 0.005
    longest: float = 0.25

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ArgumentError(f"order must be at least 1, not {self.order}")

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        x = samples.astype(np.float64)
        around = max(round(self.around * rate), 2 * self.order)
        for run in gaps(x, round(self.shortest * rate)):
            start, end = max(run.start - around, 0), min(run.end + around, len(x))
            if run.end - run.start > self.longest * rate:
                continue  # a pause
            if run.start - start <= self.order or end - run.end <= self.order:
                continue  # at the ends of a recording there is nothing beyond
            x[start:end] = self.filled(x[start:end], Run(run.start - start, run.end - start))
        return x

    def filled(self, x: Samples, gap: Run, rounds: int = 2) -> Samples:
        """x (samples,) with the gap filled."""
        x = x.copy()
        for _ in range(rounds):
            full = np.convolve(x, x[::-1])[len(x) - 1 : len(x) + self.order]
            if full[0] <= 0:
                return x
            full[0] *= 1 + 1e-6
            a = np.r_[1.0, -solve_toeplitz(full[:-1], full[1:])]
            b = np.convolve(a, a[::-1])  # sum_k a_k a_(k + n), |n| <= order
            known = x.copy()
            known[gap.start : gap.end] = 0
            right = -np.convolve(known, b, "same")[gap.start : gap.end]
            left = np.zeros(max(gap.end - gap.start, len(a)))
            left[: len(a)] = b[self.order :]
            x[gap.start : gap.end] = solve_toeplitz(left[: len(right)], right)
        return x


@dataclass(frozen=True)
class LinearUpsampling(_Restorer):
    """The samples of a lower rate, joined by straight lines: their images are a band above.

    Args:
        source: rate in Hz that the recording has been at.
    """

    source: int = 8000

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        import soxr

        low = soxr.resample(samples.astype(np.float64), rate, self.source)
        times = np.arange(len(samples)) / rate
        return np.asarray(np.interp(times, np.arange(len(low)) / self.source, low))


@dataclass(frozen=True)
class WPE(Peer):
    """Late reverberation predicted and taken off (Nakatani et al. 2010), as `nara-wpe` has it.

    Args:
        taps: of the prediction, in frames.
        after: frames between what is predicted and what it is predicted from.
        iterations: of its variance.
    """

    taps: int = 10
    after: int = 3
    iterations: int = 3
    package = "nara-wpe"
    module = "nara_wpe.wpe"
    licence = "MIT"
    rate = 16000

    @override
    def loaded(self) -> Any:
        """The prediction and the transform."""
        utils = imported("nara_wpe.utils", self.package)
        return super().loaded().wpe, utils.stft, utils.istft

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        size, shift = 512, 128
        wpe, stft, istft = prepared
        filled = np.pad(samples, (0, -len(samples) % shift)).astype(np.float64)
        y = stft(filled, size=size, shift=shift)  # (frame, frequency)
        z = wpe(y.T[:, None], taps=self.taps, delay=self.after, iterations=self.iterations)
        return np.asarray(istft(z[:, 0].T, size=size, shift=shift)[: len(samples)])
