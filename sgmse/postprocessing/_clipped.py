"""Whether a recording was clipped: how long its samples stay at the largest value of their channel.

Sound as it is passes a peak; three samples in a row within 1e-4 of it are a flat top.
"""

import numpy as np
from numpy.typing import NDArray

from sgmse.postprocessing._spectra import Rows

SHARE = 1e-3  # of the samples of a channel, from where on it is said
MOST = 0.9  # and up to where: what is always at its largest value is no speech, as a constant
NEAR = 1e-4  # of the largest value
TOP = 3  # samples in a row
#: A peak below it, -34 dB of full scale, is no limit of a recorder; near silence of few steps of
#: quantisation has many flat tops.
QUIETEST = 0.02


class Tops:
    """Counts flat tops as a recording passes, however it is cut."""

    def __init__(self) -> None:
        self._peaks: NDArray[np.floating] | None = None  # (channels,)
        self._last = np.zeros((0, TOP - 1))
        self._tops = np.zeros(0)
        self._samples = 0

    def add(self, rows: Rows) -> None:
        """The next samples (channels, samples)."""
        if not rows.shape[1]:
            return
        if self._peaks is None:
            self._peaks = np.zeros(len(rows))
            self._tops = np.zeros(len(rows))
            self._last = np.zeros((len(rows), TOP - 1), rows.dtype)
        peaks = np.abs(rows).max(axis=1)
        self._tops[peaks > self._peaks * (1 + NEAR)] = 0  # what came before was below it
        self._peaks = np.maximum(self._peaks, peaks)
        x = np.concatenate([self._last, rows], axis=1)
        limit = (self._peaks * (1 - NEAR))[:, None]
        for at in (x >= limit, x <= -limit):
            self._tops += (at[:, :-2] & at[:, 1:-1] & at[:, 2:]).sum(axis=1)
        self._last = x[:, 1 - TOP :]
        self._samples += rows.shape[1]

    @property
    def clipped(self) -> bool:
        """Whether a channel was."""
        if self._peaks is None:
            return False
        share = self._tops / self._samples
        return bool(((share > SHARE) & (share < MOST) & (self._peaks > QUIETEST)).any())
