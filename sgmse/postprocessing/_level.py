"""The level of speech, which models give back too low: means of spectra are quieter than speech is.

For noise that is uncorrelated with speech, the input y holds as much of the estimate x as the
speech s does: with x = h s, h > 0, and y = s + n, the fit of x into the input

    g = <y, x> / <x, x> = (<s, x> + <n, x>) / <x, x>

is 1 / h, and g x as loud as s. For an estimate h y that attenuates speech and noise alike, as that
of least squares does in each band, g = 1 / h, too. Where there is no speech, x is a residue of the
noise, whose g would bring the noise back. So the sums go over frames in which x holds a tenth of
the energy at least, and a little of all energy is added to both as if it had been kept:

    g = (sum <y, x> + P) / (sum <x, x> + P),     P = 0.003 |y|^2,     1 <= g <= 1.7
"""

import numpy as np
from numpy.typing import NDArray

FRAME = 0.032  # seconds
SHARE = 0.1  # of the energy of a frame that is speech, from which on it counts
PRIOR = 0.003  # of the energy, as if kept: no gain where there is little speech
MOST = 1.7  # 4.6 dB; speech in noise of -7 dB and more needs up to 4.3 dB


class Level:
    """The gains of the consecutive segments of one recording: those of all that came before count.

    The sums of earlier segments are halved with each new one: a segment without speech has the gain
    of those before it, a change of place is followed within a few.

    Args:
        sample_rate: of the segments, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.frame = max(round(FRAME * sample_rate), 1)
        self._fit: NDArray[np.floating] | float = 0.0
        self._energy: NDArray[np.floating] | float = 0.0

    def __call__(
        self, clean: NDArray[np.floating], noisy: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """The result `clean` as loud as the speech in `noisy`; (channels, samples) each."""
        xx, yx, yy = (self._sums(a, b) for a, b in ((clean, clean), (noisy, clean), (noisy, noisy)))
        speech = xx > SHARE * yy
        prior = PRIOR * yy.sum(axis=1)
        self._fit = self._fit / 2 + (yx * speech).sum(axis=1) + prior
        self._energy = self._energy / 2 + (xx * speech).sum(axis=1) + prior
        gain = self._fit / np.where(self._energy > 0, self._energy, 1)
        return clean * np.clip(gain, 1, MOST)[:, None].astype(clean.dtype)

    def _sums(self, a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
        """<a, b> of each frame, (channels, frames)."""
        starts = np.arange(0, a.shape[1], self.frame)
        products = a.astype(np.float64) * b.astype(np.float64)
        sums: NDArray[np.float64] = np.add.reduceat(products, starts, axis=1)
        return sums
