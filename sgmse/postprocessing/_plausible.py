"""Whether a result can be what is left of its recording: enhancement takes sound away.

With the powers R of a result and I of its recording, in bands of a third of an octave and blocks of
a second, the excess is what a result has where its recording has much less,

    e = sum max(R - 4 I, 0) / sum R,

the share of its energy that is more than 6 dB above the recording's there. It counts from 60 dB
below full scale on, to which recordings are scaled. Noise that a model makes of its own has the
level and the spectrum of the network and not those of the recording, and an excess near 1, and so
has a result that is 7 dB louder than its recording altogether: 1 - 4 / 5. What the default model
makes of recordings has less than 0.0005.
"""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from sgmse.errors import ResultError
from sgmse.solvers import Sampler

LIKELY = 0.02  # excess up to which nothing is said
POSSIBLE = 0.2  # and from which a result is noise
MARGIN = 4.0  # in power: 6 dB
FLOOR = 1e-6  # of full scale
FRAME, BLOCK = 0.032, 1.0  # seconds
SHORTEST = 0.1  # seconds: a click has a spectrum of its own
LOWEST = 100.0  # Hz, from where on bands are a third of an octave

Signals = NDArray[np.floating]
Powers = NDArray[np.float64]


def check_finite(result: Signals, sampler: Sampler) -> None:
    """Raise `ResultError` for samples that are not finite."""
    if not np.isfinite(result).all():
        raise ResultError(
            f"{sampler} gave samples that are not finite; sample the model as it recommends, "
            "without a solver and steps of your own"
        )


class Plausibility:
    """What is known of the result of one recording; segments may come from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums = np.zeros(2)

    @property
    def excess(self) -> float:
        """Of all segments so far, 0 to 1."""
        return _share(self._sums)

    def judge(self, clean: Signals, noisy: Signals, sample_rate: int) -> float:
        """The excess of a segment in the channel that has most; (channels, samples) each.

        Args:
            clean: the result.
            noisy: the recording.
            sample_rate: in Hz.
        """
        if clean.shape[1] < SHORTEST * sample_rate:
            return 0.0
        bands = _Bands(sample_rate)
        sums = np.array([bands.sums(*pair) for pair in zip(clean, noisy, strict=True)])
        with self._lock:
            self._sums += sums.sum(axis=0)
        return max(map(_share, sums))


class _Bands:
    """Blocks of time and bands of frequency at a rate."""

    def __init__(self, sample_rate: int) -> None:
        self.hop = max(round(FRAME * sample_rate / 2), 1)
        self.block = max(round(BLOCK * sample_rate / self.hop), 1)  # in hops
        octaves = np.arange(0, np.log2(max(sample_rate / 2 / LOWEST, 1)), 1 / 3)
        edges = np.concatenate([[0], LOWEST * 2**octaves]) * 2 * self.hop / sample_rate
        self.edges = np.unique(np.round(edges).astype(int))
        self.edges = self.edges[self.edges <= self.hop]

    def sums(self, clean: Signals, noisy: Signals) -> tuple[float, float]:
        """Of a channel (samples,): the energy of a result that is in excess, and all of it."""
        made, given = self.powers(clean), self.powers(noisy)
        return float(np.maximum(made - MARGIN * given - FLOOR, 0).sum()), float(made.sum())

    def powers(self, x: Signals) -> Powers:
        """(blocks, bands), whose sums over the bands are mean squares."""
        hop = self.hop
        count = max(-(-len(x) // hop), 1) + 1  # each sample is in two frames
        padded = np.zeros((count + 1) * hop)
        padded[hop : hop + len(x)] = x
        frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
        window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop))  # squares add up to 1
        spectra = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
        spectra[:, 1:-1] *= 2
        bands = np.add.reduceat(spectra, self.edges, axis=1) / (2 * hop)
        starts = np.arange(0, len(bands), self.block)
        if len(starts) > 1 and len(bands) - starts[-1] < self.block / 2:
            starts = starts[:-1]  # a short last block belongs to the one before
        sizes = np.diff([*starts, len(bands)]) * hop
        powers: Powers = np.add.reduceat(bands, starts, axis=0) / sizes[:, None]
        return powers


def _share(sums: Powers) -> float:
    excess, energy = sums
    return float(excess / energy) if energy else 0.0
