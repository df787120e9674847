"""A spectrogram and its inverse, frame by frame: each frame is made once, and heard once.

Frame k has its centre at sample k hop, and its sound is added to that of the frames around it, over
the sum of the squared windows: what `Spectrogram` does with all frames at once.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from sgmse.audio import Block
from sgmse.front import FrontEnd
from sgmse.transforms import NOTHING, Spectrogram


class FrameSpectra:
    """The frames of a recording (channels, samples) at the rate of a model.

    Args:
        front: of the model.
        transform: that of the front end, which is a spectrogram.
        channels: of the recording.
    """

    def __init__(self, front: FrontEnd, transform: Spectrogram, channels: int) -> None:
        self.front, self.transform = front, transform
        self.hop, self.half = transform.hop, transform.n_fft // 2
        self._window = transform.weights(torch.empty(0)).numpy()
        self._squared = self._window**2
        self.done = 0
        self.heard: Block = np.zeros((channels, 0), np.float32)
        self._first = 0  # of what is held
        self._sums: Block = np.zeros((channels, 0), np.float32)
        self._weights = np.zeros(0, np.float32)
        self._start = -self.half  # of what still sounds

    def hear(self, block: Block) -> None:
        """The next samples (channels, samples)."""
        self.heard = np.concatenate([self.heard, block.astype(np.float32)], axis=1)

    def last(self, samples: int) -> None:
        """The recording has so many, all of which were heard: its end is as offline."""
        front, mirrored = self.front, self.transform.ends == "reflect"
        x = pad(torch.from_numpy(self.heard), (0, max(self.transform.shortest - samples, 0)))
        samples = max(samples, self.transform.shortest)
        more = (self.transform.covering(samples) if front.tail == "cover" else samples) - samples
        for beyond in (more, self.half):
            x = pad(x, (0, beyond), "reflect" if mirrored else "constant")
        self.heard = x.numpy()

    def next(self) -> Tensor:
        """The frames that are complete and were not yet given, (channels, 1, frequency, frame)."""
        if self.done == 0:
            before = self.heard[:, self.half : 0 : -1]
            before = before if self.transform.ends == "reflect" else np.zeros_like(before)
            self.heard = np.concatenate([before, self.heard], axis=1)
            self._first = -self.half
        end = self._first + self.heard.shape[1]
        count = max((end - self.half) // self.hop + 1 - self.done, 0)
        start = self.done * self.hop - self.half - self._first
        if count == 0:
            return torch.zeros(len(self.heard), 1, self.transform.frequencies, 0)
        n_fft, compression = self.transform.n_fft, self.transform.compression
        starts = range(start, start + count * self.hop, self.hop)
        x = np.stack([self.heard[:, own : own + n_fft] for own in starts], axis=1)
        spectra = np.fft.rfft(x * self._window).astype(np.complex64)
        lift = compression.lift(torch.from_numpy(np.abs(spectra))).numpy()
        compressed = torch.from_numpy(spectra * (compression.factor * lift))
        self.done += count
        # The end is mirrored, for which a window and what the last frame lacks are enough.
        kept = max(start + (count - 2) * self.hop - n_fft, 0)
        self.heard, self._first = self.heard[:, kept:], self._first + kept
        return compressed.transpose(1, 2)[:, None]

    def sound(self, spectra: Tensor) -> None:
        """What was made of these frames."""
        compression, n_fft = self.transform.compression, self.transform.n_fft
        x = spectra[:, 0].transpose(1, 2).numpy() / np.float32(compression.factor)
        lower = compression.lower(torch.from_numpy(np.abs(x))).numpy()
        spoken = np.fft.irfft(x * lower, n_fft).astype(np.float32) * self._window
        count = spoken.shape[1]
        place = (self.done - count) * self.hop - self.half - self._start
        more = max(place + (count - 1) * self.hop + n_fft - len(self._weights), 0)
        self._sums = np.concatenate([self._sums, np.zeros((len(spoken), more), np.float32)], axis=1)
        self._weights = np.concatenate([self._weights, np.zeros(more, np.float32)])
        for k in range(count):
            own = slice(place + k * self.hop, place + k * self.hop + n_fft)
            self._sums[:, own] += spoken[:, k]
            self._weights[own] += self._squared

    def given(self, start: int, end: int) -> Block:
        """Samples of the result, which no later frame reaches; those before are forgotten.

        Zeros where no window hears, at the end of a recording.
        """
        own = slice(start - self._start, end - self._start)
        sums, weights = self._sums[:, own], self._weights[own]
        out = np.zeros((len(sums), end - start), np.float32)
        heard = weights > 2 * NOTHING
        np.divide(sums, weights, out=out[:, : len(weights)], where=heard)
        self._sums, self._weights = self._sums[:, own.stop :], self._weights[own.stop :]
        self._start = end
        return out.astype(np.float64)
