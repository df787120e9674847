"""Variational autoencoders: spectrograms to fewer numbers, the latent, and back.

    q(z | x) = CN(mean(x), variance(x)),      p(x | z) = CN(decode(z), noise),      p(z) = CN(0, 1)

(Kingma and Welling 2014, arXiv:1312.6114.) A latent is complex, of one channel, (batch, 1, band,
frame): what a network takes, so that every process and solver runs in it (`sgmse.latent.Latent`).
The noise of the decoder is learned, so that reconstruction and divergence have one unit, and no
weight between them is to be chosen (Rybkin et al. 2021, arXiv:2006.13202).
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.networks._base import complex_like, real_parts
from sgmse.networks._slim import ChannelNorm

#: Logarithms of variances lie in +- this.
WIDEST = 12.0
#: Of the rate of what is learned of the noise, in nats, over that of the weights.
QUICKER = 10.0


class Posterior(NamedTuple):
    """q(z | x) = CN(mean, variance), E|z - mean|^2 = variance.

    Shapes: mean complex (batch, 1, band, frame), variance real, the same.
    """

    mean: Tensor
    variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + sqrt(variance) noise, of noise like the mean, CN(0, 1)."""
        return self.mean + self.variance.sqrt() * noise

    @property
    def divergence(self) -> Tensor:
        """KL(q || CN(0, 1)) of each number, in nats: |mean|^2 + variance - 1 - ln variance."""
        return self.mean.abs().square() + self.variance - 1 - self.variance.log()


class Autoencoder(nn.Module):
    """What an autoencoder is: a posterior of latents, what is decoded of one, and its noise.

    Attributes:
        frequencies: of its spectrograms.
        bands: of its latents, which have as many frames as the spectrograms.
        config: JSON-able arguments that rebuild it, `type(net)(**net.config)`.
    """

    frequencies: int
    bands: int
    config: dict[str, Any]

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"{type(self).__name__}({settings})"

    @abstractmethod
    def posterior(self, x: Tensor) -> Posterior:
        """Of a complex spectrogram (batch, 1, frequency, frame).

        Raises:
            TypeError: it is not complex.
            ValueError: it has another shape.
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z), (batch, 1, frequency, frame), of a latent (batch, 1, band, frame).

        Raises as `posterior` does.
        """

    @property
    @abstractmethod
    def noise(self) -> Tensor:
        """The variance of p(x | z), E|x - decode(z)|^2, real, to broadcast with x."""


class Block(nn.Module):
    """x + conv(silu(conv(silu(norm(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.second.parameters():  # the block starts as the identity
            nn.init.zeros_(parameter)

    @override
    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.first(functional.silu(self.norm(x)))
        h = self.second(functional.silu(h))
        return x + h


class BandAutoencoder(Autoencoder):
    """Convolutions over bands of frequencies; frames stay frames.

        h = conv_stride([Re x, Im x]) + place,    blocks,    (mean, ln variance) = conv(norm(h))

    and the same backwards. A band of `stride` frequencies is one complex number of the latent, to
    whose channels a number of their own is added, as what is said there depends on the frequency.

    Args:
        frequencies: of its spectrograms, a multiple of the stride.
        stride: frequencies of a band, an even number: as many times fewer numbers has the latent.
        channels: of all convolutions between.
        blocks: residual ones of the encoder, and as many of the decoder.

    Raises:
        ValueError: sizes that no network can have.
    """

    def __init__(
        self, frequencies: int = 256, stride: int = 4, channels: int = 64, blocks: int = 2
    ) -> None:
        super().__init__()
        if stride < 2 or stride % 2 or frequencies < 1 or frequencies % stride:
            raise ArgumentError(
                f"stride must be an even number that divides the frequencies, not {stride} of "
                f"{frequencies}"
            )
        if channels < 1 or blocks < 0:
            raise ArgumentError(
                f"channels must be at least 1 and blocks not negative, not {channels} and {blocks}"
            )
        self.config = {
            "frequencies": frequencies,
            "stride": stride,
            "channels": channels,
            "blocks": blocks,
        }
        self.frequencies, self.bands = frequencies, frequencies // stride
        window, step, edge = (2 * stride, 3), (stride, 1), (stride // 2, 1)
        self.into = nn.Conv2d(2, channels, window, step, edge)
        self.encoder = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.said = nn.Sequential(ChannelNorm(channels), nn.Conv2d(channels, 3, 3, padding=1))
        self.heard = nn.Conv2d(2, channels, 3, padding=1)
        self.decoder = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.norm = ChannelNorm(channels)
        self.out = nn.ConvTranspose2d(channels, 2, window, step, edge)
        for name in ("place_in", "place_out"):
            self.register_parameter(name, nn.Parameter(torch.zeros(channels, self.bands, 1)))
        self.log_noise = nn.Parameter(torch.full((frequencies, 1), -2.0 / QUICKER))
        for parameter in self.out.parameters():  # what is decoded starts as silence
            nn.init.zeros_(parameter)

    @override
    def posterior(self, x: Tensor) -> Posterior:
        checked(x, self.frequencies, "a spectrogram")
        parts = real_parts(x).to(self.into.weight.dtype)
        h = self.into(parts.contiguous(memory_format=torch.channels_last)) + self.place_in
        said = self.said(self.encoder(h))
        log_variance = said[:, 2:].to(x.real.dtype).clamp(-WIDEST, WIDEST)
        return Posterior(complex_like(said[:, :2], x), log_variance.exp())

    @override
    def decode(self, z: Tensor) -> Tensor:
        checked(z, self.bands, "a latent")
        parts = real_parts(z).to(self.heard.weight.dtype)
        h = self.heard(parts.contiguous(memory_format=torch.channels_last)) + self.place_out
        return complex_like(self.out(self.norm(self.decoder(h))), z)

    @property
    @override
    def noise(self) -> Tensor:
        return (QUICKER * self.log_noise).clamp(-WIDEST, WIDEST).exp()


class LinearAutoencoder(Autoencoder):
    """The linear one, which needs no training: principal components of frames, with their noise.

        mean(x) = L^-1 W^H (x - m),    variance = noise / L,    decode(z) = W z + m
        W = U (L - noise)^(1/2),       noise = the mean of the other eigenvalues

    with U and L the first `bands` eigenvectors and eigenvalues of the covariance of frames, and m
    their mean (Tipping and Bishop 1999, probabilistic principal component analysis). Of all linear
    autoencoders it has the largest bound, which then is the likelihood itself (Lucas et al. 2019,
    arXiv:1911.02469). Components are in the order of the frequencies that they are of, so that
    neighbours are related as those of a spectrogram are.

    Args:
        frequencies: of its spectrograms.
        bands: components, fewer than that.

    Raises:
        ValueError: there are none, or not fewer than frequencies.
    """

    w: Tensor
    mean: Tensor
    power: Tensor
    left: Tensor

    def __init__(self, frequencies: int = 256, bands: int = 64) -> None:
        super().__init__()
        if not 0 < bands < frequencies:
            raise ArgumentError(
                f"bands must lie between 1 and {frequencies - 1}, less than the frequencies, not "
                f"{bands}"
            )
        self.config = {"frequencies": frequencies, "bands": bands}
        self.frequencies, self.bands = frequencies, bands
        # Real and imaginary parts, as files of weights hold them.
        self.register_buffer("w", torch.zeros(2, frequencies, bands))
        self.register_buffer("mean", torch.zeros(2, frequencies, 1))
        self.register_buffer("power", torch.ones(bands, 1))
        self.register_buffer("left", torch.ones(()))

    @classmethod
    def fitted(cls, x: Tensor, bands: int) -> "LinearAutoencoder":
        """That of the frames of spectrograms (batch, 1, frequency, frame), by maximum likelihood.

        Raises:
            TypeError: they are not complex.
            ValueError: another shape, or fewer frames than frequencies.
        """
        checked(x, x.shape[2] if x.ndim == 4 else 0, "a spectrogram")
        made = cls(x.shape[2], bands)
        frames = x[:, 0].transpose(0, 1).flatten(1).to(torch.complex128)
        if frames.shape[1] < x.shape[2]:
            raise ArgumentError(
                f"{frames.shape[1]} frames do not tell the covariance of {x.shape[2]} frequencies; "
                "give more"
            )
        mean = frames.mean(1, keepdim=True)
        values, vectors = torch.linalg.eigh(torch.cov(frames, correction=0))
        left, power, u = values[:-bands].mean(), values[-bands:], vectors[:, -bands:]
        place = torch.arange(len(frames), dtype=torch.float64) @ u.abs().square()
        order = place.argsort()
        w = u[:, order] * (power[order] - left).clamp(min=0).sqrt()
        for name, value in (("w", w), ("mean", mean)):
            getattr(made, name).copy_(torch.stack([value.real, value.imag]))
        made.power.copy_(power[order, None])
        made.left.copy_(left)
        return made

    def components(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """W and m, complex, in the precision of a spectrogram or latent."""
        w, mean = (torch.complex(*parts.to(like.real.dtype)) for parts in (self.w, self.mean))
        return w, mean

    @override
    def posterior(self, x: Tensor) -> Posterior:
        checked(x, self.frequencies, "a spectrogram")
        w, mean = self.components(x)
        power = self.power.to(x.real.dtype)
        found = w.mH @ (x - mean) / power
        return Posterior(found, (self.left.to(power) / power).expand(found.shape))

    @override
    def decode(self, z: Tensor) -> Tensor:
        checked(z, self.bands, "a latent")
        w, mean = self.components(z)
        return w @ z + mean

    @property
    @override
    def noise(self) -> Tensor:
        return self.left


def checked(x: Tensor, bins: int, what: str) -> None:
    """Refuse inputs of other types and shapes."""
    if not x.is_complex():
        raise ArgumentTypeError(f"{what} must be complex, not {x.dtype}")
    if x.ndim != 4 or x.shape[1] != 1 or x.shape[2] != bins:
        raise ArgumentError(
            f"{what} must have the shape (batch, 1, {bins}, frame), not {tuple(x.shape)}"
        )
