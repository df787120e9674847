"""Another sample rate within a stream, with a delay that is short and known to the sample.

Sample k of the result is at the time k M / L of the source, in its samples, for the rates L / M in
lowest terms:

    y_k = sum_n x_n h(k M - n L),     h(u) = 2 c sinc(2 c u / L) kaiser(u / (H L)),    |u| <= H L

with the cut-off c in cycles a sample of the source. Each needs the samples up to H after it; of the
filters of `sgmse.audio.resample`, which work on whole blocks, each holds back up to 0.1 s.
"""

from functools import lru_cache
from math import ceil, gcd
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sgmse.audio import Block

Taps = NDArray[np.float64]
Count = TypeVar("Count", int, NDArray[np.int64])

#: Of the lower rate: how wide the slope below its half is, 7.4 to 8 kHz of 16 kHz.
SLOPE = 0.0375
#: Kaiser's beta, and the product of length and slope, for -100 dB (Kaiser 1974*).
BETA, LENGTH = 10.06, 6.41
#: Phases of a filter for which `upfirdn` is quick; 47,999 Hz has all of its own.
MOST = 1000
#: And for which it is quicker to make at least so many samples at once, as a product with a matrix:
#: 16,000 Hz has 160 of 44,100 Hz, which has 441 of it.
FEW, AT_ONCE = 450, 24


class Resampler:
    """From one rate to another, block by block: as many samples as are ready.

    Args:
        source: rate of what comes in, in Hz.
        target: rate of what goes out.
    """

    def __init__(self, source: int, target: int) -> None:
        from scipy.signal import upfirdn  # a second, which most importers and no block should wait

        self._upfirdn = upfirdn
        common = gcd(source, target)
        self.up, self.down = target // common, source // common
        lower = min(source, target)
        slope = SLOPE * lower
        self.half = 0 if source == target else ceil(LENGTH / slope / 2 * source)
        self._cutoff = (lower / 2 - slope / 2) / source
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._held: Block = np.empty((0, 0))
        self._start = 0  # of what is held, in the stream
        self._made = 0

    def ready(self, samples: Count) -> Count:
        """How many samples are made of the first so many; less than 0 before the first one."""
        return -((self.half - samples) * self.up // self.down)

    def needed(self, samples: Count) -> Count:
        """How many must come in for so many, at least 1, to be made."""
        return self.half + (samples - 1) * self.down // self.up + 1

    def __call__(self, block: Block, length: int | None = None) -> Block:
        """What the next block (channels, samples) makes ready.

        Args:
            block: may be empty.
            length: of all that is made, with silence after this block, which is the last one.
        """
        if not self._held.size:
            self._held = np.empty((len(block), 0))
        held = np.concatenate([self._held, block], axis=1)
        end = self._start + held.shape[1]
        count = max(self.ready(end), 0) if length is None else length
        out = self._between(held, self._made, count)
        self._made = max(count, self._made)
        first = max(self._made * self.down // self.up - self.half, self._start)
        self._held, self._start = held[:, first - self._start :], first
        return out

    def _between(self, held: Block, first: int, last: int) -> Block:
        """Samples `first` to `last` of the result."""
        if last <= first:
            return np.empty((len(held), 0))
        if self.half == 0:
            return held[:, first - self._start : last - self._start]
        if self.up <= FEW:
            return self._at_once(held, first, last)
        taps = designed(self.half, self.up, self._cutoff)
        after = (last - 1) * self.down // self.up + self.half + 1
        held = np.pad(held, ((0, 0), (0, max(after - self._start - held.shape[1], 0))))
        if self.up > MOST:
            return self._one_by_one(taps, held, np.arange(first, last))
        # x from sample s on, where (H - s) L is a multiple of M; then y_k is sample k + (H - s) L/M
        # of `upfirdn`.
        s = self.half - -(-(self.half - self._start) // self.down) * self.down
        x = np.pad(held, ((0, 0), (self._start - s, 0)))[:, : after - s]
        y = self._upfirdn(taps, x, self.up, self.down, axis=1)
        place = (self.half - s) * self.up // self.down
        out: Block = y[:, first + place : last + place]
        return out

    def _at_once(self, held: Block, first: int, last: int) -> Block:
        """Those samples, in groups of whole periods of the filter."""
        w = grouped(self.half, self.up, self.down, self._cutoff)
        periods = w.shape[1] // self.up
        q = first // self.up
        groups = -(-(last - q * self.up) // w.shape[1])
        start = q * self.down - self.half - self._start  # of the first group, in what is held
        end = start + (groups - 1) * periods * self.down + len(w)
        x = held
        if start < 0 or end > held.shape[1]:
            beyond = (max(-start, 0), max(end - held.shape[1], 0))
            x, start = np.pad(held, ((0, 0), beyond)), max(start, 0)
        # `sliding_window_view`, which takes as long as the product.
        shape, (row, step) = (len(x), groups, len(w)), x.strides
        strides = (row, periods * self.down * step, step)
        windows: Block = np.ndarray(shape, x.dtype, x, start * step, strides)
        y = np.ascontiguousarray(windows) @ w
        return y.reshape(len(held), -1)[:, first - q * self.up : last - q * self.up]

    def _one_by_one(self, taps: Taps, held: Block, k: NDArray[np.int64]) -> Block:
        """Those samples of the result, each with taps of its own: what few rates need."""
        m = np.arange(2 * self.half)[:, None]
        n, phase = np.divmod(k * self.down, self.up)
        n = n + self.half - m - self._start
        x = np.where(n >= 0, held[:, np.maximum(n, 0)], 0)
        out: Block = np.einsum("cmk,mk->ck", x, taps[m * self.up + phase])
        return out


@lru_cache(maxsize=8)
def designed(half: int, up: int, cutoff: float) -> Taps:
    """h(u) for u from -H L to H L; for no other rate, 1."""
    if half == 0:
        return np.ones(1)
    u = np.arange(-half * up, half * up + 1)
    taps: Taps = 2 * cutoff * np.sinc(2 * cutoff * u / up) * np.kaiser(len(u), BETA)
    return taps


@lru_cache(maxsize=8)
def grouped(half: int, up: int, down: int, cutoff: float) -> Taps:
    """From the samples around some periods of `down` to as many of `up`: h(r M - n L)."""
    r = np.arange(max(AT_ONCE // up, 1) * up)
    n = np.arange(-half, r[-1] * down // up + half + 1)
    u = r * down - n[:, None] * up
    taps = designed(half, up, cutoff)
    inside = np.abs(u) <= half * up
    matrix: Taps = np.where(inside, taps[np.where(inside, u + half * up, 0)], 0.0)
    return matrix
