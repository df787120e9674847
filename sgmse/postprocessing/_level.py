"""The level of speech, which models give back too low: means of spectra are quieter than speech is.

For noise that is uncorrelated with speech, the input y holds as much of the estimate x as the
speech s does: with x = h s, h > 0, and y = s + n, the fit of x into the input

    g = <y, x> / <x, x> = (<s, x> + <n, x>) / <x, x>

is 1 / h, and g x as loud as s. For an estimate h y that attenuates speech and noise alike, as that
of least squares does in each band, g = 1 / h, too. Where there is no speech, x is a residue of the
noise, whose g would bring the noise back. So the sums go over frames in which x holds a tenth of
the energy at least, and a little of all energy is added to both as if it had been kept:

    g = (sum <y, x> + P) / (sum <x, x> + P),     P = 0.003 |y|^2

and it is bounded by what speech needs: up to 2.5 dB where x and y agree, their coherence c^2 =
<y, x>^2 / (|x|^2 |y|^2) being 1, and up to 4.6 dB where little of y is in x. A noise that a model
halves, in doubt, agrees with its half as speech in silence does.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FRAME = 0.032  # seconds
SHARE = 0.1  # of the energy of a frame that is speech, from which on it counts
PRIOR = 0.003  # of the energy, as if kept: no gain where there is little speech
# The most, in dB, at coherences 1 and 0. The default model needs 1.6 to 1.9 dB in quiet, and up to
# 4.3 dB in noise as loud as the speech or louder.
IN_QUIET, IN_NOISE = 2.5, 4.6


class Level:
    """The gains of the consecutive segments of one recording: those of all that came before count.

    The sums of earlier segments count half with each new one, or as much as is said: a segment
    without speech has the gain of those before it, a change of place is followed within a few.

    Args:
        sample_rate: of the segments, in Hz.
        peak: of the recording. A few samples in some recordings would be raised beyond it, and
            perhaps beyond full scale; they stay there.
        kept: the share of the sums that stays with a new segment.
    """

    def __init__(self, sample_rate: int, peak: float = 1.0, kept: float = 0.5) -> None:
        self.peak = peak
        self.kept = kept
        self.frame = max(round(FRAME * sample_rate), 1)
        self._fit: NDArray[np.floating] | float = 0.0
        self._energy: NDArray[np.floating] | float = 0.0
        self._heard: NDArray[np.floating] | float = 0.0

    def __call__(
        self, clean: NDArray[np.floating], noisy: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """The result `clean` as loud as the speech in `noisy`; (channels, samples) each."""
        return self.raised(clean, self.gain(clean, noisy))

    def gain(
        self, clean: NDArray[np.floating], noisy: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """The gain of the next segment, (channels,)."""
        xx, yx, yy = (self._sums(a, b) for a, b in ((clean, clean), (noisy, clean), (noisy, noisy)))
        speech = xx > SHARE * yy
        prior = PRIOR * yy.sum(axis=1)
        self._fit = self.kept * self._fit + (yx * speech).sum(axis=1) + prior
        self._energy = self.kept * self._energy + (xx * speech).sum(axis=1) + prior
        self._heard = self.kept * self._heard + (yy * speech).sum(axis=1) + prior
        gain = self._fit / np.where(self._energy > 0, self._energy, 1)
        coherence = gain * self._fit / np.where(self._heard > 0, self._heard, 1)
        most = 10 ** ((IN_NOISE - (IN_NOISE - IN_QUIET) * np.clip(coherence, 0, 1)) / 20)
        bounded: NDArray[np.floating] = np.clip(gain, 1, most)
        return bounded

    def raised(
        self, clean: NDArray[np.floating], gain: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """A segment with its gain, no further beyond the peak than it was."""
        raised = clean * gain[:, None].astype(clean.dtype)
        bound = np.maximum(np.abs(clean), clean.dtype.type(self.peak))
        kept: NDArray[np.floating] = np.clip(raised, -bound, bound)
        return kept

    def _sums(self, a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
        """<a, b> of each frame, (channels, frames)."""
        starts = np.arange(0, a.shape[1], self.frame)
        products = a.astype(np.float64) * b.astype(np.float64)
        sums: NDArray[np.float64] = np.add.reduceat(products, starts, axis=1)
        return sums


def raised(clean: Tensor, noisy: Tensor, sample_rate: int) -> Tensor:
    """As `Level` raises a recording of one segment whose peak is 1, (batch, samples) each.

    In operations of torch alone, so that it can be a part of a graph of any number of samples.
    """
    frame = max(round(FRAME * sample_rate), 1)
    beyond = (frame - clean.shape[1] % frame) % frame

    def sums(a: Tensor, b: Tensor) -> Tensor:
        products = torch.nn.functional.pad(a * b, (0, beyond))
        return products.reshape(products.shape[0], -1, frame).sum(dim=2)

    xx, yx, yy = sums(clean, clean), sums(noisy, clean), sums(noisy, noisy)
    speech = torch.where(xx > SHARE * yy, 1.0, 0.0)
    prior = PRIOR * yy.sum(dim=1, keepdim=True)
    fit, energy, heard = (
        (product * speech).sum(dim=1, keepdim=True) + prior for product in (yx, xx, yy)
    )
    gain = fit / torch.where(energy > 0, energy, 1.0)
    coherence = (gain * fit / torch.where(heard > 0, heard, 1.0)).clamp(0, 1)
    most = 10 ** ((IN_NOISE - (IN_NOISE - IN_QUIET) * coherence) / 20)
    bound = clean.abs().clamp(min=1.0)
    return torch.minimum(
        torch.maximum(clean * torch.minimum(gain.clamp(min=1), most), -bound), bound
    )
