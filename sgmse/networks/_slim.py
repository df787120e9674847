"""A small network for a CPU: a convolutional U-Net with recurrent layers at the bottom.

Dense 3 x 3 convolutions in channels-last order, by far the cheapest arithmetic on a CPU, lead down
to a level of fewer positions and back. Every level halves the frequencies, the last one the frames
too; at the bottom bidirectional LSTMs look along all of time and all of frequency. Normalisation is
over channels alone: one frame never changes the scale of another.

The output is a masked sum of what is already there and a correction,

    net(x, y, t)(n) = m_x(n) x(n) + sum_k m_k(n) y(n + k) + r(n),      |k| <= K = (taps - 1) / 2

with m_x, m_k, r complex and of the shape of x, and zeros beyond the first frame and the last. With
several taps a bin is a linear combination of the frames around it, so that a voice keeps its fine
structure where frames overlap (deep filtering; Mack and Habets 2019, arXiv:1904.08369). Of several
observations each has a mask, and the last one the taps.

An untrained network is the identity on its last observation: the recording, or what a predictor has
made of it (`Regeneration`), which is where training begins.
"""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each position of a (batch, channel, ...) tensor."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # permute, not movedim, of which exports make negative axes that runtimes refuse
        last = x.permute(0, *range(2, x.ndim), 1)
        normed = functional.layer_norm(last, self.weight.shape, self.weight, self.bias)
        return normed.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


class TimeEmbedding(nn.Module):
    """Sines and cosines of t, then two linear layers: (batch,) to (batch, channels)."""

    frequencies: Tensor

    def __init__(self, channels: int, waves: int = 16) -> None:
        super().__init__()
        # From a third of a wave to about 40 waves over t in [0, 1].
        frequencies = 2.0 * torch.exp(torch.linspace(0, log(128.0), waves))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * waves, channels), nn.SiLU(), nn.Linear(channels, channels), nn.SiLU()
        )

    def forward(self, t: Tensor) -> Tensor:
        embedding: Tensor = self.layers[-1](self.before(t))
        return embedding

    def before(self, t: Tensor) -> Tensor:
        """What the second linear layer says."""
        phase = t[:, None] * self.frequencies
        said: Tensor = self.layers[:-1](torch.cat([phase.cos(), phase.sin()], dim=1))
        return said


class Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time)))."""

    def __init__(self, channels: int, embedding: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(
            channels, channels, 3, padding=(1, dilation), dilation=(1, dilation), bias=False
        )
        self.time = nn.Linear(embedding, channels)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.conv2.parameters():  # the block starts as the identity
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h: Tensor = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.time(embedding).to(h.dtype)[:, :, None, None]
        h = self.conv2(functional.silu(self.norm2(h)))
        return x + h


class Blocks(nn.ModuleList):
    """Residual blocks with dilations 1, 2, 4 ..., which widen what a level sees at no cost."""

    def __init__(self, channels: int, count: int, embedding: int) -> None:
        super().__init__(Residual(channels, embedding, 2**i) for i in range(count))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for block in self:
            x = block(x, embedding)
        return x


class DualPath(nn.Module):
    """A bidirectional LSTM along time in each band, then one along the bands in each frame."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm_time, self.norm_band = ChannelNorm(channels), ChannelNorm(channels)
        self.lstm_time = nn.LSTM(channels, hidden, bidirectional=True)
        self.lstm_band = nn.LSTM(channels, hidden, bidirectional=True)
        self.out_time = nn.Linear(2 * hidden, channels)
        self.out_band = nn.Linear(2 * hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, bands, frames = x.shape
        sequences = self.norm_time(x).permute(3, 0, 2, 1).reshape(frames, batch * bands, channels)
        h: Tensor = self.out_time(self.lstm_time(sequences)[0]).view(frames, batch, bands, channels)
        x = x + h.permute(1, 3, 2, 0)
        sequences = self.norm_band(x).permute(2, 0, 3, 1).reshape(bands, batch * frames, channels)
        h = self.out_band(self.lstm_band(sequences)[0]).view(bands, batch, frames, channels)
        return x + h.permute(1, 3, 0, 2)


class SlimUNet(Network):
    """net(x, y, t): x complex (batch, 1, frequency, frame), t (batch,), the output like x.

    Args:
        channels: one number a level, from the full resolution to the bottom; each level below the
            first halves the frequencies, the last one the frames as well.
        blocks: residual blocks on each level, on the way down and again on the way up; the first
            level has its own on the way up alone, the bottom on the way down alone.
        dual_paths: recurrent layers at the bottom.
        hidden: width of their LSTMs, in each of two directions; half the channels there if absent.
        embedding: width of the embedding of t.
        taps: frames of y in the sum, an odd number.
        observations: spectrograms in y, (batch, observations, frequency, frame); 0 for a prior,
            which sees the state alone, and whose new weights say 0.
        identity: whether the output of new weights is the last observation, the best guess that
            needs no training; 0 if not, the best one of what is added to an observation
            (`sgmse.estimates.EDM`, residual).
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 2, 2, 2),
        dual_paths: int = 2,
        embedding: int = 64,
        hidden: int | None = None,
        taps: int = 1,
        observations: int = 1,
        identity: bool = True,
    ) -> None:
        super().__init__()
        channels, blocks = tuple(channels), tuple(blocks)
        if len(channels) < 2 or len(channels) != len(blocks):
            raise ArgumentError(
                f"channels {channels} and blocks {blocks} must name the same levels, at least two"
            )
        hidden = channels[-1] // 2 if hidden is None else hidden
        if hidden < 1:
            raise ArgumentError(f"hidden must be at least 1, not {hidden}")
        if taps < 1 or taps % 2 == 0:
            raise ArgumentError(f"taps must be an odd number of frames, not {taps}")
        if observations < 0:
            raise ArgumentError(f"observations must not be negative: {observations}")
        if taps > 1 and not observations:
            raise ArgumentError(
                f"{taps} taps are of an observation, and there is none; leave taps at 1, or "
                "observations at 1"
            )
        self.divisor = (2 ** (len(channels) - 1), 2)
        self.config = self.arguments(locals())
        self.taps = taps
        self.observations = observations
        levels = range(1, len(channels))
        last = len(channels) - 1
        self.embed = TimeEmbedding(embedding)
        self.stem = nn.Conv2d(2 * (1 + observations), channels[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(channels[i - 1], channels[i], 4, stride=(2, 2), padding=1)
            if i == last
            else nn.Conv2d(channels[i - 1], channels[i], (4, 3), stride=(2, 1), padding=1)
            for i in levels
        )
        self.encoder = nn.ModuleList(Blocks(channels[i], blocks[i], embedding) for i in levels)
        self.bottom = nn.ModuleList(DualPath(channels[-1], hidden) for _ in range(dual_paths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(channels[i], channels[i - 1], 4, stride=(2, 2), padding=1)
            if i == last
            else nn.ConvTranspose2d(channels[i], channels[i - 1], (4, 3), stride=(2, 1), padding=1)
            for i in levels
        )
        self.decoder = nn.ModuleList(
            Blocks(channels[i - 1], blocks[i - 1], embedding) for i in levels
        )
        self.norm = ChannelNorm(channels[0])
        self.head = nn.Conv2d(channels[0], 2 * (2 + observations + taps - 1), 3, padding=1)
        nn.init.zeros_(self.head.weight)
        first = torch.zeros(self.head.out_channels)
        if observations:
            first[observations] = float(identity)
        self.head.bias = nn.Parameter(first)

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        e = self.embed(t)
        real = torch.cat([x[:, ::2], y[:, ::2]], dim=1)
        imag = torch.cat([x[:, 1::2], y[:, 1::2]], dim=1)
        h = torch.cat([real, imag], dim=1)
        h = self.stem(h.contiguous(memory_format=torch.channels_last))
        skips = []
        for down, encoder in zip(self.down, self.encoder, strict=True):
            skips.append(h)
            h = down(h)
            h = encoder(h, e)
        for dual_path in self.bottom:
            h = dual_path(h)
        for up, decoder in zip(reversed(self.up), reversed(self.decoder), strict=True):
            h = up(h) + skips.pop()
            h = decoder(h, e)
        # Masks and correction, the real parts before the imaginary ones, as in weights that were
        # saved before there were taps; then a pair for each other frame.
        answer = self.head(functional.silu(self.norm(h))).to(x.dtype)
        terms = 2 + self.observations
        p, q, others = answer[:, :terms], answer[:, terms : 2 * terms], 2 * terms
        out_real = (p[:, :-1] * real - q[:, :-1] * imag).sum(dim=1, keepdim=True) + p[:, -1:]
        out_imag = (p[:, :-1] * imag + q[:, :-1] * real).sum(dim=1, keepdim=True) + q[:, -1:]
        beyond, frames = self.taps // 2, y.shape[-1]
        around = functional.pad(y[:, -2:], (beyond, beyond)) if beyond else y
        for i, k in enumerate(k for k in range(self.taps) if k != beyond):
            p, q = torch.split(answer[:, others + 2 * i : others + 2 * i + 2], 1, dim=1)
            real, imag = torch.split(around[..., k : k + frames], 1, dim=1)
            out_real = out_real + p * real - q * imag
            out_imag = out_imag + p * imag + q * real
        return torch.cat([out_real, out_imag], dim=1)

    @override
    def inherit(self, other: Network) -> None:
        """Start with all but the head of a network of the same levels and dual paths.

        What the other one reads of its state and of its observation, this one reads of its state
        and of its first observation; of further ones it reads nothing yet.
        """
        own, given = self.state_dict(), other.state_dict()
        weights = {n: w for n, w in given.items() if n in own and not n.startswith("head.")}
        stem = torch.zeros_like(own["stem.weight"])
        read, size = 1 + other.observations, 1 + self.observations
        common = min(read, size)
        if "stem.weight" in given and given["stem.weight"].shape[::2] == stem.shape[::2]:
            for part in range(2):  # real and imaginary
                stem[:, part * size : part * size + common] = given["stem.weight"][
                    :, part * read : part * read + common
                ]
            weights["stem.weight"] = stem
        wrong = [n for n in own if n not in weights or own[n].shape != weights[n].shape]
        if lacking := [n for n in wrong if not n.startswith("head.")]:
            raise ArgumentError(
                f"{type(other).__name__} has no {lacking[0]} of this SlimUNet; give both networks "
                "the same channels, blocks, dual_paths, hidden and embedding"
            )
        self.load_state_dict(weights, strict=False)

    @override
    def imitate(self, other: Network, size: float = 1.0) -> None:
        """Start as what a network of the same shape says of the observation alone.

        That is exact: what reads the state and what multiplies it goes to the observation, and the
        embedding of the time to that of t = 1; it is sums of these that a training takes apart.
        """
        if not isinstance(other, SlimUNet) or other.config != self.config or other.observations > 1:
            raise ArgumentError(
                f"a SlimUNet starts as one of its own shape, {self.config}, with one observation, "
                f"not as another {type(other).__name__}"
            )
        weights = {name: value.clone() for name, value in other.state_dict().items()}
        stem = weights["stem.weight"]  # it reads Re x, Re y, Im x, Im y
        for x, y in ((0, 1), (2, 3)):
            stem[:, y] = size * (stem[:, x] + stem[:, y])
            stem[:, x] = 0.0
        for name in ("head.weight", "head.bias"):  # Re and Im of m_x, m_y, r, and further m_y
            head = weights[name]
            for x, y, r in ((0, 1, 2), (3, 4, 5)):
                head[y] += head[x]
                head[x] = 0.0
                head[r] /= size
        weights["embed.layers.2.bias"] = other.embed.before(stem.new_ones(1))[0].detach()
        weights["embed.layers.2.weight"].zero_()
        self.load_state_dict(weights)
