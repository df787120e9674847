"""What a recording sounds like, as far as it and the result tell: what is not noisy speech is said.

With x the result, as the model gives it, and y its input, over the whole recording:

    share       |x|^2 / |y|^2                        below -20 dB, hardly anything was speech
    coherence   <y, x>^2 / (|x|^2 |y|^2)             1 within 28 dB, there was nothing to take away
    tonality    the correlation of log spectra that are 0.2 s apart, without their envelopes and
                weighted by level, in x and in y: the least of both

Tones of speech glide, those of instruments stay. A machine that hums is tonal in y, and not in x.
Thresholds are those between mixtures of `train`, at -7 to 20 dB, and music; `benchmarks/sound.py`
says how often they err.
"""

import numpy as np
from numpy.typing import NDArray

from sgmse.postprocessing._spectra import Rows, Spectra

SHORTEST = 2.0  # seconds; less is not judged
NOTHING = -20.0  # dB of the share
SPOKEN = 0.3  # seconds of frames that are speech for a tenth at least: then there was some
CLEAN = 28.0  # dB of what agrees over what does not
# Tonal as nothing else is; or tonal, and weakened as speech is not (dB of the share).
TONAL, TONAL_AND_WEAK, WEAK = 0.6, 0.3, -10.0
HOP, LAG = 0.016, 12  # seconds, hops
BAND = (94.0, 5000.0)  # Hz
ENVELOPE = 31  # bins


class Content:
    """Listens to the segments of a recording, before and after a model.

    Args:
        sample_rate: of the model, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.hop = max(round(HOP * sample_rate), 1)
        self._seconds = 0.0
        self._spoken = 0.0
        self._xx = self._yx = self._yy = 0.0
        self._tones = np.zeros((2, 2))  # of x and y: weighted correlation, weight

    def add(self, clean: Rows, noisy: Rows) -> None:
        """The next segment: what the model made, and of what; (channels, samples)."""
        x, y = clean.astype(np.float64), noisy.astype(np.float64)
        starts = np.arange(0, x.shape[1], 2 * self.hop)
        xx, yx, yy = (np.add.reduceat(a * b, starts, axis=1) for a, b in ((x, x), (y, x), (y, y)))
        self._xx += xx.sum()
        self._yx += yx.sum()
        self._yy += yy.sum()
        self._seconds += x.shape[1] / self.sample_rate
        loud = yy > 1e-4 * yy.max(initial=0.0)
        self._spoken += int((loud & (xx > 0.1 * yy)).sum()) * 2 * self.hop / self.sample_rate
        self._tones += [self._steadiness(x), self._steadiness(y)]

    def remarks(self) -> list[str]:
        """What there is to say, if anything."""
        if self._seconds < SHORTEST or self._xx * self._yy == 0:
            return []
        share = 10 * np.log10(self._xx / self._yy)
        tonality = (self._tones[:, 0] / np.maximum(self._tones[:, 1], 1e-30)).min()
        if tonality > TONAL or (tonality > TONAL_AND_WEAK and share < WEAK):
            return ["this sounds like music; the result will not, as the model keeps speech alone"]
        if share < NOTHING and self._spoken < SPOKEN:
            return ["no speech was found; hardly anything is left"]
        agree = self._yx**2 / (self._xx * self._yy)
        if agree > 1 - 10 ** (-CLEAN / 10):
            return ["this is clean already; hardly anything is changed"]
        return []

    def _steadiness(self, audio: Rows) -> NDArray[np.float64]:
        """The sums of tonality of each pair of frames times their level, and of their levels."""
        spectra = Spectra(4 * self.hop, self.hop).forward(audio).abs().square().numpy()
        low, high = (round(edge * 4 * self.hop / self.sample_rate) for edge in BAND)
        power = spectra[:, low : high + 1]
        if power.shape[2] <= LAG:
            return np.zeros(2)
        shape = np.log(power + 1e-6 * power.max() + 1e-30)
        sums = np.cumsum(
            np.pad(shape, ((0, 0), (ENVELOPE // 2 + 1, ENVELOPE // 2), (0, 0)), "edge"), 1
        )
        shape = shape - (sums[:, ENVELOPE:] - sums[:, :-ENVELOPE]) / ENVELOPE
        earlier, later = shape[..., :-LAG], shape[..., LAG:]
        norms = np.sqrt((earlier**2).sum(1) * (later**2).sum(1))
        alike = (earlier * later).sum(1) / np.maximum(norms, 1e-30)
        level = power.sum(1)
        weights = np.sqrt(level[:, :-LAG] * level[:, LAG:])
        return np.array([(alike * weights).sum(), weights.sum()])
