"""A small network that hears no frame of what is to come, and carries what it has heard.

A U-Net along frequency alone, whose convolutions along time reach back and never ahead; at its
bottom recurrent layers along time in each band, and between them what mixes the bands of a frame.
Normalisation is over channels alone, as in `SlimUNet`. So the output in a frame needs the frames up
to it, and a recording may come in pieces of any number of frames, down to one,

    out_k, memory_k = net.advance(frames_k, memory_(k-1))

which give what all frames at once give. The output is a masked sum of what is there and was there,

    net(x, y, t)(n) = m_x(n) x(n) + sum_k m_k(n) y(n - k) + r(n),      0 <= k < taps

with zeros before the first frame (deep filtering; Mack and Habets 2019, arXiv:1904.08369). All of
it is for x and y over a level that is followed, and what comes of it is multiplied by that level,

    e(n) = max(mean over f of |y(n)|, 2^(-1 / halving) e(n - 1)),

so that a louder recording gives what is louder by as much, and nobody has to know a peak that is
still to come. Bands are mixed by two linear maps along them (the token mixing of Tolstikhin et al.
2021, arXiv:2105.01601), not by a recurrence, which would take a step for each band.

An untrained network is the identity on its last observation.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Memory, Network
from sgmse.networks._slim import ChannelNorm, TimeEmbedding

QUIETEST = 1e-6  # of the level: that of digital silence


class Carried:
    """The memories of the layers, read in their order and written in the same one.

    Args:
        before: of the frames before; none at the start of a recording.
    """

    def __init__(self, before: Memory | None) -> None:
        self._before = None if before is None else iter(before)
        self.after: Memory = []

    def frames(self, x: Tensor, count: int) -> Tensor:
        """x (..., frame) with the `count` frames before it, zeros at the start."""
        if count == 0:
            return x
        none = x.new_zeros((*x.shape[:-1], count))
        past = none if self._before is None else next(self._before)
        x = torch.cat([past, x], dim=-1)
        self.after.append(x[..., -count:])
        return x

    def highest(self, x: Tensor, fall: float) -> Tensor:
        """e(n) = max(x(n), e(n - 1) - fall) along the last axis."""
        if self._before is not None:
            before = next(self._before)
            x = torch.cat([torch.maximum(x[..., :1], before - fall), x[..., 1:]], dim=-1)
        lifted = fall * torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
        e = (x + lifted).cummax(dim=-1).values - lifted
        self.after.append(e[..., -1:])
        return e

    def recurrent(self, layer: nn.LSTM, x: Tensor) -> Tensor:
        """The layer along the first axis of x, from where it was."""
        state = None if self._before is None else (next(self._before), next(self._before))
        out: Tensor
        out, state = layer(x, state)
        self.after.extend(state)
        return out


class CausalConv(nn.Conv2d):
    """A convolution that looks `kernel - 1` frames back."""

    def __init__(
        self, source: int, target: int, bands: int = 3, frames: int = 2, *, stride: int = 1
    ) -> None:
        super().__init__(source, target, (bands, frames), stride=(stride, 1), padding=(1, 0))

    def heard(self, x: Tensor, carried: Carried) -> Tensor:
        out: Tensor = self(carried.frames(x, self.kernel_size[1] - 1))
        return out


class CausalResidual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time))); the first convolution looks back."""

    def __init__(self, channels: int, embedding: int, frames: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = CausalConv(channels, channels, frames=frames)
        self.time = nn.Linear(embedding, channels)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        for parameter in self.conv2.parameters():  # the block starts as the identity
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor, carried: Carried) -> Tensor:
        h = self.conv1.heard(functional.silu(self.norm1(x)), carried)
        h = h + self.time(embedding).to(h.dtype)[:, :, None, None]
        made: Tensor = self.conv2(functional.silu(self.norm2(h)))
        return x + made


class BandMixing(nn.Module):
    """x + W_2 silu(W_1 norm(x)) along the bands, with maps of their own for groups of channels."""

    def __init__(self, channels: int, bands: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.norm = ChannelNorm(channels)
        # Matrices, one group below the other, which is what an optimiser for matrices takes.
        self.first = nn.Parameter(torch.randn(groups * 2 * bands, bands) * bands**-0.5)
        self.second = nn.Parameter(torch.zeros(groups * bands, 2 * bands))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, bands, frames = x.shape
        h = self.norm(x).reshape(batch, self.groups, -1, bands, frames)
        h = h.permute(1, 0, 4, 2, 3).reshape(self.groups, -1, bands)
        first = self.first.view(self.groups, 2 * bands, bands).mT
        second = self.second.view(self.groups, bands, 2 * bands).mT
        h = functional.silu(h @ first) @ second
        h = h.view(self.groups, batch, frames, -1, bands).permute(1, 0, 3, 4, 2)
        return x + h.reshape(batch, channels, bands, frames)


class CausalPath(nn.Module):
    """An LSTM along time in each band, then what mixes the bands of each frame."""

    def __init__(self, channels: int, bands: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.lstm = nn.LSTM(channels, hidden)
        self.out = nn.Linear(hidden, channels)
        self.mixing = BandMixing(channels, bands, groups)

    def forward(self, x: Tensor, carried: Carried) -> Tensor:
        batch, channels, bands, frames = x.shape
        h = self.norm(x).permute(3, 0, 2, 1).reshape(frames, batch * bands, channels)
        h = self.out(carried.recurrent(self.lstm, h)).view(frames, batch, bands, channels)
        mixed: Tensor = self.mixing(x + h.permute(1, 3, 2, 0))
        return mixed


class CausalUNet(Network):
    """net(x, y, t): x complex (batch, 1, frequency, frame), t (batch,), the output like x.

    Args:
        frequencies: of the spectrograms; others are refused.
        channels: one number a level, from the full resolution to the bottom; each level below the
            first halves the frequencies.
        paths: recurrent layers at the bottom.
        hidden: width of their LSTMs.
        groups: of channels, whose bands are mixed in a way of their own.
        frames: of the convolutions that look back.
        embedding: width of the embedding of t.
        taps: frames of y in the sum, that of the output and those before it.
        halving: frames in which the level halves at the fastest.
        observations: spectrograms in y, (batch, observations, frequency, frame).
    """

    causal = True

    def __init__(
        self,
        frequencies: int = 256,
        channels: Sequence[int] = (16, 32, 64),
        paths: int = 4,
        hidden: int = 96,
        groups: int = 4,
        frames: int = 3,
        embedding: int = 64,
        taps: int = 5,
        halving: int = 600,
        observations: int = 1,
    ) -> None:
        super().__init__()
        channels = tuple(channels)
        sizes = {"paths": paths, "hidden": hidden, "groups": groups, "frames": frames}
        sizes |= {"taps": taps, "halving": halving, "observations": observations}
        for name, size in sizes.items():
            if size < 1:
                raise ArgumentError(f"{name} must be at least 1, not {size}")
        if len(channels) < 2 or channels[-1] % groups:
            raise ArgumentError(
                f"channels {channels} must name at least two levels, the last one a multiple of "
                f"groups, {groups}"
            )
        halved = 2 ** (len(channels) - 1)
        if frequencies < 1 or frequencies % halved:
            raise ArgumentError(f"frequencies must be a multiple of {halved}, not {frequencies}")
        self.divisor = (frequencies, 1)
        self.config = self.arguments(locals())
        self.taps, self.observations = taps, observations
        self.fall = log(2) / halving
        pairs = list(pairwise(channels))
        self.embed = TimeEmbedding(embedding)
        self.stem = CausalConv(2 * (1 + observations), channels[0], frames=frames)
        self.down = nn.ModuleList(
            CausalConv(above, below, 4, 1, stride=2) for above, below in pairs
        )
        self.encoder = nn.ModuleList(CausalResidual(below, embedding, frames) for _, below in pairs)
        self.bottom = nn.ModuleList(
            CausalPath(channels[-1], frequencies // halved, hidden, groups) for _ in range(paths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, above, (4, 1), stride=(2, 1), padding=(1, 0))
            for above, below in pairs
        )
        self.decoder = nn.ModuleList(CausalResidual(above, embedding, frames) for above, _ in pairs)
        self.norm = ChannelNorm(channels[0])
        self.head = nn.Conv2d(
            channels[0], 2 * (2 + observations + taps - 1), (3, 1), padding=(1, 0)
        )
        nn.init.zeros_(self.head.weight)
        first = torch.zeros(self.head.out_channels)
        first[observations] = 1.0
        self.head.bias = nn.Parameter(first)

    @override
    def _check_sizes(self, x: Tensor) -> None:
        super()._check_sizes(x)
        if x.shape[2] != self.divisor[0]:
            raise ArgumentError(
                f"{x.shape[2]} frequencies, and the network is made for {self.divisor[0]}"
            )

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        return self.advance(x, y, t)[0]

    @override
    def advance(
        self, x: Tensor, y: Tensor, t: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Memory]:
        carried = Carried(memory)
        e = self.embed(t)
        loudness = torch.hypot(y[:, -2:-1], y[:, -1:]).mean(dim=2, keepdim=True)
        level = carried.highest(loudness.clamp(min=QUIETEST).log(), self.fall).exp()
        x, y = x / level, y / level
        real = torch.cat([x[:, ::2], y[:, ::2]], dim=1)
        imag = torch.cat([x[:, 1::2], y[:, 1::2]], dim=1)
        h = torch.cat([real, imag], dim=1).contiguous(memory_format=torch.channels_last)
        h = self.stem.heard(h, carried)
        skips = []
        for down, encoder in zip(self.down, self.encoder, strict=True):
            skips.append(h)
            h = encoder(down(h), e, carried)
        for path in self.bottom:
            h = path(h, carried)
        for up, decoder in zip(reversed(self.up), reversed(self.decoder), strict=True):
            h = decoder(up(h) + skips.pop(), e, carried)
        answer = self.head(functional.silu(self.norm(h))).to(x.dtype)
        terms = 2 + self.observations
        p, q = answer[:, :terms], answer[:, terms : 2 * terms]
        out_real = (p[:, :-1] * real - q[:, :-1] * imag).sum(dim=1, keepdim=True) + p[:, -1:]
        out_imag = (p[:, :-1] * imag + q[:, :-1] * real).sum(dim=1, keepdim=True) + q[:, -1:]
        out_real, out_imag = level * out_real, level * out_imag
        past = carried.frames(y[:, -2:] * level, self.taps - 1)
        frames = y.shape[-1]
        for k in range(self.taps - 1):  # the frame k of the past: taps - 1 - k before
            p, q = torch.split(answer[:, 2 * (terms + k) : 2 * (terms + k + 1)], 1, dim=1)
            real, imag = torch.split(past[..., k : k + frames], 1, dim=1)
            out_real = out_real + p * real - q * imag
            out_imag = out_imag + p * imag + q * real
        return torch.cat([out_real, out_imag], dim=1), carried.after
