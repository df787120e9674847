"""Discriminators that hear recordings through windows of several lengths.

    S = (Re X, Im X, |X|) |X|^(p - 1),     X = STFT(audio) in a window of n samples,     p = 0.3
    F_1 = act(conv(S)),   F_l = act(conv(F_l-1)),   D_n = conv(F_last)

One stack of convolutions for each n, with a judgement for every part of the spectrum: the
multi-resolution spectrogram discriminator of UnivNet (Jang et al. 2021, arXiv:2106.07889), on
complex spectra as in EnCodec (Defossez et al. 2022, arXiv:2210.13438) and the Descript codec (Kumar
et al. 2023, arXiv:2306.06546). The compression, which those lack, lets it see noise 60 dB below
speech. Weights are normalised (Salimans and Kingma 2016, arXiv:1602.07868), act is a leaky ReLU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrizations import weight_norm

from sgmse.errors import ArgumentError
from sgmse.training.losses.resolutions import unit_stft

EXPONENT = 0.3
#: Magnitudes below this are compressed no further; those of white noise at -60 dB.
FLOOR = 1e-3
#: Of the convolutions, (frequencies, frames).
KERNEL = (5, 3)
#: Of the first of them and of the others, along frequency; the first is the costly one.
STRIDES = (4, 2)
#: Slope of the activation below 0.
SLOPE = 0.1


def spectra(audio: Tensor, window: int) -> Tensor:
    """S in windows that overlap by three quarters: (batch, samples) to (batch, 3, bin, frame)."""
    x = unit_stft(audio, window)
    power = x.real.square() + x.imag.square() + FLOOR**2  # whose slopes are finite at 0
    gain = power ** ((EXPONENT - 1) / 2)
    return torch.stack([x.real * gain, x.imag * gain, power.sqrt() * gain], dim=1)


class Discriminator(nn.Module):
    """D_n for one length of window. The convolutions leave a quarter, then a half of the bins."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        near = (KERNEL[0] // 2, KERNEL[1] // 2)
        ins = (3, *channels[:-1])
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(i, o, KERNEL, stride=(STRIDES[n > 0], 1), padding=near))
            for n, (i, o) in enumerate(zip(ins, channels, strict=True))
        )
        self.last = weight_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, s: Tensor) -> list[Tensor]:
        """(batch, 3, bin, frame) to [F_1, ..., D_n], each (batch, channel, bin, frame)."""
        maps = []
        for layer in self.layers:
            s = leaky_relu(layer(s), SLOPE)
            maps.append(s)
        return [*maps, self.last(s)]


@dataclass(frozen=True)
class Discriminators:
    """The shape of a set of them.

    Args:
        windows: n of each, in samples.
        channels: of each convolution, one after the other.
    """

    windows: tuple[int, ...] = (512, 1024, 2048)
    channels: tuple[int, ...] = (8, 16, 32)

    def __post_init__(self) -> None:
        windows = self.windows
        if not windows or len(set(windows)) < len(windows) or any(n < 8 or n % 4 for n in windows):
            raise ArgumentError(
                "windows must be different multiples of 4 of at least 8 samples, not "
                f"{list(windows)}"
            )
        if not self.channels or min(self.channels) < 1:
            raise ArgumentError(f"channels must be positive numbers, not {list(self.channels)}")

    def build(self, seed: int) -> nn.ModuleList:
        """A `Discriminator` for each window, with the first weights that the seed gives."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.ModuleList(Discriminator(self.channels) for _ in self.windows)
