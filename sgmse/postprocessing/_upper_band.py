"""Sound above the band of a model: kept, with the gain that the model gave to the band below it.

A recording y at a higher rate than the model's is more than its round trip v through that rate. The
rest, u = y - v, is what the model cannot hear, and

    z = x + g u,     g^2 = min(1, sum |X|^2 / sum |V|^2)

over a quarter to 47 % of the model's rate (4 to 7.5 kHz of 16 kHz), in frames of 20 ms, smoothed
over 70 ms: where the model takes away the noise beside the speech, u goes with it, and sibilants,
which reach from that band upwards, stay.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sgmse.audio import Block, alongside
from sgmse.postprocessing._spectra import Rows

HOP = 0.01  # seconds; windows are twice as long
SMOOTHED = 7  # frames
BAND = (0.25, 0.47)  # of the model's rate
FLOOR = 1e-10  # of a frame's energy at full scale, below which nothing is to be taken away
AUDIBLE = 1e-5  # of the energy of a recording, -50 dB: less above the band is not missed


def gains(clean: Rows, noisy: Rows, sample_rate: int) -> Rows:
    """The gain g of each sample, (channels, samples), for a result and its input at that rate."""
    hop = max(round(HOP * sample_rate), 1)
    low, high = (round(share * 2 * hop) for share in BAND)
    channels, samples = clean.shape
    frames = 1 + samples // hop
    both = np.zeros((2 * channels, (frames + 1) * hop), clean.dtype)  # silent beyond its ends
    inside = both[:, hop : hop + samples]
    inside[:channels], inside[channels:] = clean[:, : inside.shape[1]], noisy[:, : inside.shape[1]]
    halves = both.reshape(2 * channels, frames + 1, hop)
    parts = np.concatenate([halves[:, :-1], halves[:, 1:]], axis=2)
    spectra = np.fft.rfft(parts * _window(2 * hop).astype(parts.dtype))[..., low : high + 1]
    # Frames beyond the ends are silent, too.
    energies = np.zeros((2 * channels, frames + SMOOTHED - 1))
    energies[:, SMOOTHED // 2 :][:, :frames] = (spectra.real**2 + spectra.imag**2).sum(axis=2)
    weights = _window(SMOOTHED + 1)[1:]
    weights = weights / weights.sum()
    smooth = sum(w * energies[:, k : k + frames] for k, w in enumerate(weights))
    smooth = np.asarray(smooth) + FLOOR * hop**2
    g = np.sqrt(np.minimum(smooth[:channels] / smooth[channels:], 1))
    place, centres = np.arange(samples), np.arange(frames) * hop
    track: Rows = np.stack([np.interp(place, centres, row) for row in g]).astype(clean.dtype)
    return track


@lru_cache(maxsize=8)
def _window(length: int) -> NDArray[np.float64]:
    """Hann's, periodic."""
    window: NDArray[np.float64] = np.sin(np.pi * np.arange(length) / length) ** 2
    return window


def whole_band(
    blocks: Iterable[Block], process: Callable[[Iterable[Block]], Iterator[Block]]
) -> Iterator[Block]:
    """z of a stream y, for a process that gives x, v and g, one above the other in each block."""
    for made, y in alongside(blocks, process):
        x, v, g = np.split(made, 3)
        yield x + np.clip(g, 0, 1) * (y - v)


class AboveBand:
    """Whether a recording has sound above a frequency, of which it would be missed.

    Args:
        sample_rate: of the recording, in Hz.
        edge: the frequency, in Hz.
    """

    LENGTH = 2048

    def __init__(self, sample_rate: int, edge: float) -> None:
        self.above = np.fft.rfftfreq(self.LENGTH, 1 / sample_rate) > edge
        self.window = np.hanning(self.LENGTH)
        self._sums = np.zeros(2)

    def passing(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks as they come, listened to."""
        for block in blocks:
            if self.above.any():
                self._sums += self._energies(block)
            yield block

    @property
    def heard(self) -> bool:
        """Whether at least `AUDIBLE` of the energy so far lies there."""
        above, all_of_it = self._sums
        return bool(above > AUDIBLE * all_of_it)

    def _energies(self, block: Block) -> NDArray[np.floating]:
        """Above the edge, and in all."""
        whole = max(block.shape[1] // self.LENGTH, 1) * self.LENGTH
        frames = np.pad(block, ((0, 0), (0, max(whole - block.shape[1], 0))))[:, :whole]
        spectra = np.fft.rfft(frames.reshape(-1, self.LENGTH) * self.window)
        power = np.abs(spectra) ** 2
        return np.array([power[:, self.above].sum(), power.sum()])
