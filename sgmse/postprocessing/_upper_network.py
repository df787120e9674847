"""Sound above the band of a model, freed of noise by a small network (`sgmse.networks.BandGains`).

A recording y at a higher rate than the model's, its round trip v through that rate, and the result
x of the model at that of the recording: the rest u = y - v is what the model cannot hear, and

    Z = X + g U

in frames of 20 ms, 10 ms apart, bins of 50 Hz at every rate. The network has the energies in bands
of X and V up to half the rate of the model, 8 kHz of 16, and of U from there to three times that;
its gains g are those of the middles of bands, straight lines between them, and constant beyond the
first and the last.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from sgmse.audio import Block, alongside, in_segments
from sgmse.networks import BandGains
from sgmse.postprocessing._spectra import Rows, Spectra

HOP = 0.01  # seconds; windows are twice as long
NOTHING = 1e-12  # of the energy of a sine at full scale: -120 dB
SECONDS, FADE = 20.0, 1.0  # of the pieces of a recording that are worked on


class UpperBand:
    """What the network does at one rate.

    Args:
        network: says the gains.
        sample_rate: of the recordings, in Hz.
        model_rate: of the model, in Hz, less than that.
    """

    def __init__(self, network: BandGains, sample_rate: int, model_rate: int) -> None:
        edge, top = model_rate / 2, 3 * model_rate / 2
        hop = max(round(HOP * sample_rate), 1)
        self.network = network
        self.sample_rate = sample_rate
        self.edge = edge
        self.spectra = Spectra(2 * hop, hop)
        frequencies = torch.fft.rfftfreq(2 * hop, 1 / sample_rate)
        lower, upper = network.lower, network.upper
        self._below = shares(frequencies, 0.0, edge, lower)
        self._above = shares(frequencies, edge, top, upper)
        middles = edge + (top - edge) / upper * (torch.arange(upper) + 0.5)
        place = torch.searchsorted(middles, frequencies).clamp(1, upper - 1)
        left, right = middles[place - 1], middles[place]
        weight = ((frequencies - left) / (right - left)).clamp(0, 1)
        self._spread = torch.zeros(len(frequencies), upper)
        self._spread.scatter_(1, place[:, None] - 1, 1 - weight[:, None])
        self._spread.scatter_(1, place[:, None], weight[:, None])

    def features(self, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """What the network hears in spectra (channels, frequencies, frames)."""
        scale = (self.spectra.length / 4) ** 2  # a sine at full scale under the window

        def decibels(spectra: Tensor, bands: Tensor) -> Tensor:
            power = spectra.abs().square().transpose(1, 2) @ bands.T / scale
            return (10 * (power + NOTHING).log10()).transpose(1, 2)

        below = torch.stack([decibels(x, self._below), decibels(v, self._below)], dim=1)
        return below, decibels(u, self._above)

    def gains(self, x: Tensor, v: Tensor, u: Tensor) -> Tensor:
        """The gains of u, (channels, frequencies, frames), of spectra of that shape."""
        gains: Tensor = self.network(*self.features(x, v, u))
        return (gains.transpose(1, 2) @ self._spread.T).transpose(1, 2)

    @torch.inference_mode()
    def __call__(self, x: Rows, v: Rows, y: Rows, least: float = 0.0) -> Rows:
        """The whole band of a result x; all are (channels, samples), as loud as the model heard.

        Args:
            x: the result, without the band above.
            v: the recording without it.
            y: the recording.
            least: the share of the band above that stays in any case.
        """
        rows = [np.asarray(row, np.float32) for row in (x, v, y - v)]
        above = self.spectra.forward(rows[2])
        gains = self.gains(self.spectra.forward(rows[0]), self.spectra.forward(rows[1]), above)
        kept = self.spectra.inverse(gains.clamp(min=least) * above, y.shape[1])
        out: Rows = x + kept.astype(x.dtype)
        return out

    def stream(
        self,
        blocks: Iterable[Block],
        process: Callable[[Iterable[Block]], Iterator[Block]],
        least: float = 0.0,
    ) -> Iterator[Block]:
        """The same for a stream of y, and a process that gives x and v, one above the other."""

        def parts() -> Iterator[Block]:
            for made, y in alongside(blocks, process):
                yield np.concatenate([made[: 2 * len(y)], y])  # without tracks of gains

        def whole(segments: Iterator[Block]) -> Iterator[Block]:
            for segment in segments:
                x, v, y = np.split(segment, 3)
                yield self(x, v, y, least)

        cuts = (round(SECONDS * self.sample_rate), round(FADE * self.sample_rate))
        return in_segments(parts(), whole, *cuts)


def shares(frequencies: Tensor, low: float, high: float, count: int) -> Tensor:
    """(count, frequencies): 1 where a frequency lies in the band, of `count` of one width."""
    band = ((frequencies - low) / (high - low) * count).floor()
    return (band[None] == torch.arange(count)[:, None]).float()
