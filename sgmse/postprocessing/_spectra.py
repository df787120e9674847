"""Short-time spectra of arrays (channels, samples), for what is done bin by bin."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.floating]  # (channels, samples)


class Spectra:
    """Complex (channels, frequencies, frames) of real (channels, samples), and back.

    Args:
        length: of the Hann window, in samples.
        hop: from one frame to the next; frame k has its centre at sample k hop.
    """

    def __init__(self, length: int, hop: int) -> None:
        self.length = length
        self.hop = hop

    def forward(self, audio: Rows) -> Tensor:
        """The spectra; beyond its ends the audio is silent."""
        return self.forward_of(torch.from_numpy(np.ascontiguousarray(audio)))

    def forward_of(self, x: Tensor) -> Tensor:
        """`forward` for gradients."""
        window = torch.hann_window(self.length, dtype=x.dtype)
        return torch.stft(
            x, self.length, self.hop, window=window, pad_mode="constant", return_complex=True
        )

    def inverse(self, spectra: Tensor, samples: int) -> Rows:
        """The audio of spectra, as many samples as went in."""
        audio: Rows = self.sound(spectra, samples).numpy()
        return audio

    def sound(self, spectra: Tensor, samples: int) -> Tensor:
        """`inverse` for gradients."""
        window = torch.hann_window(self.length, dtype=spectra.real.dtype)
        return torch.istft(spectra, self.length, self.hop, window=window, length=samples)
