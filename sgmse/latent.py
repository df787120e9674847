"""The latent of an autoencoder as what a process runs in.

    x = Spectrogram(audio),    z = factor mean(x),    audio' = Spectrogram^-1(decode(z / factor))

A latent is a `Transform` with learned weights: complex (batch, 1, band, frame), as a spectrogram
is, so that every process, network and solver runs in it and knows nothing of it (latent diffusion,
Rombach et al. 2022, arXiv:2112.10752). Other than those of the other transforms its inverse is no
exact one: what the autoencoder loses is lost before the process begins.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.networks import Autoencoder
from sgmse.transforms import Power, Spectrogram, Transform


@dataclass(frozen=True)
class Latent(Transform):
    """Audio (..., samples) to the latent (..., band, frame) of its spectrogram, and back.

    Args:
        spectrogram: what is encoded.
        autoencoder: between spectrograms and latents, whose numbers are of a size about 1.
        factor: by which latents are as large as the process expects.
    """

    spectrogram: Spectrogram
    autoencoder: Autoencoder
    factor: float = 1.0

    def __post_init__(self) -> None:
        kinds(self)
        if not (self.factor > 0 and isfinite(self.factor)):
            raise ArgumentError(f"factor must be positive, not {self.factor}")
        if self.spectrogram.frequencies != self.autoencoder.frequencies:
            raise ArgumentError(
                f"the autoencoder takes {self.autoencoder.frequencies} frequencies, and the "
                f"spectrogram has {self.spectrogram.frequencies}; set n_fft to "
                f"{2 * (self.autoencoder.frequencies - 1)}"
            )

    @property
    def n_fft(self) -> int:  # type: ignore[override]
        """Samples of a frame of the spectrogram; a latent hears the frames around it, too."""
        return self.spectrogram.n_fft

    @property
    def hop(self) -> int:  # type: ignore[override]
        """Samples from one frame to the next."""
        return self.spectrogram.hop

    @property
    def ends(self) -> Literal["reflect", "zero"]:  # type: ignore[override]
        """What frames hear beyond the audio."""
        return self.spectrogram.ends

    @property
    def compression(self) -> Power:  # type: ignore[override]
        """None but the factor: means of |z|^2 over it are those of latents of the autoencoder."""
        return Power(1.0, self.factor)

    @property
    @override
    def frequencies(self) -> int:
        """Bands of a latent."""
        return self.autoencoder.bands

    @property
    @override
    def shortest(self) -> int:
        return self.spectrogram.shortest

    @property
    @override
    def learned(self) -> Autoencoder:
        return self.autoencoder

    @property
    @override
    def linear(self) -> bool:
        return False

    @override
    def frames(self, samples: int) -> int:
        return self.spectrogram.frames(samples)

    @override
    def covering(self, samples: int) -> int:
        return self.spectrogram.covering(samples)

    @override
    def forward(self, audio: Tensor) -> Tensor:
        """Float (..., samples) to complex (..., band, frame)."""
        x = self.spectrogram.forward(audio)
        z = self.factor * self.autoencoder.posterior(as_batch(x)).mean
        return z.reshape(*x.shape[:-2], *z.shape[-2:])

    @override
    def inverse(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Complex (..., band, frame) to float (..., samples)."""
        x = self.autoencoder.decode(as_batch(spectrogram) / self.factor)
        return self.spectrogram.inverse(x.reshape(*spectrogram.shape[:-2], *x.shape[-2:]), samples)

    @override
    def misfit(self, divisor: int) -> str:
        return (
            f"the autoencoder has {self.frequencies} bands, and the network needs a multiple of "
            f"{divisor}; use an autoencoder of another stride, or a network of fewer levels"
        )


def as_batch(x: Tensor) -> Tensor:
    """(..., frequency, frame) as (batch, 1, frequency, frame)."""
    return torch.flatten(x[None], 0, -3)[:, None]
