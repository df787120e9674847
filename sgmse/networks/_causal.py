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
from math import exp, log
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Advance, Memory, Network
from sgmse.networks._causal_layers import (
    QUIETEST,
    Carried,
    CausalConv,
    CausalPath,
    CausalResidual,
)
from sgmse.networks._causal_step import (
    Doubled,
    Halved,
    Norm,
    PathStep,
    ResidualStep,
    Same,
)
from sgmse.networks._slim import ChannelNorm, TimeEmbedding

M = TypeVar("M", bound=nn.Module)


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

    @override
    def advancing(self, t: float) -> Advance:
        return CausalStep(self, t)


class CausalStep(Advance):
    """`CausalUNet.advance` at one time, a frame and a recording after the other.

    The level is kept as such and not as its logarithm, so that a memory of zeros is that of the
    start. The output is one sum: the answer of the network gives a row for its real part and one
    for its imaginary part, and these are multiplied with all that is there and was there,

        [Re, Im] = [[p, -q, Re r], [q, p, Im r]] [u, v, level],      u + i v: x, y and the past of y

    Args:
        network: of which the weights are copied.
        t: the time.
    """

    def __init__(self, network: CausalUNet, t: float) -> None:
        super().__init__(t)
        self.rows, self.taps, self.fall = network.divisor[0], network.taps, exp(-network.fall)
        e = network.embed(network.stem.weight.new_tensor([t]))[0]
        paths = _each(CausalPath, network.bottom)
        bands, hidden = self.rows // 2 ** len(network.down), paths[0].lstm.hidden_size
        stem, head = Same(network.stem), Same(network.head)
        self.stem, self.head, self.norm = stem, head, Norm(network.norm)
        encoder, decoder = (_each(CausalResidual, x) for x in (network.encoder, network.decoder))
        down, up = _each(CausalConv, network.down), _each(nn.ConvTranspose2d, network.up)
        self.down = [Halved(conv) for conv in down]
        self.encoder = [ResidualStep(layer, e) for layer in encoder]
        self.bottom = [PathStep(layer, bands) for layer in paths]
        self.up = [Doubled(conv) for conv in reversed(up)]
        self.decoder = [ResidualStep(layer, e) for layer in reversed(decoder)]
        # Sources have real and imaginary parts side by side, in place of all real parts first.
        seen, frames = 1 + network.observations, network.stem.kernel_size[1]
        parts = torch.arange(2 * seen).view(2, seen).T.flatten()
        stem.weight = stem.weight.view(3, frames, 2 * seen, -1)[:, :, parts].flatten(0, 2)
        answers, signs = (
            z.to(head.weight.device) for z in _answers(network.observations, network.taps)
        )
        head.weight, head.bias = head.weight[:, answers] * signs, head.bias[answers] * signs
        shapes = [(1, 1), (self.rows, 2 * seen * (frames - 1))]
        for i, layer in enumerate(encoder, start=1):
            shapes.append((self.rows >> i, (frames - 1) * layer.conv1.out_channels))
        shapes += 2 * len(paths) * [(bands, hidden)]
        for i, layer in enumerate(reversed(decoder), start=1):
            shapes.append((bands << i, (frames - 1) * layer.conv1.out_channels))
        self.shapes = [*shapes, (self.rows, 2 * (self.taps - 1))]

    @override
    def forward(self, x: Tensor, y: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        count, rows, after = len(self.shapes), [], []
        before = self.start(x) * len(x) if memory is None else memory
        for i in range(len(x)):
            own, frames = before[i * count : (i + 1) * count], []
            for n in range(x.shape[-1]):
                made, own = self.frame(x[i, ..., n].T, y[i, ..., n].T, own)
                frames.append(made.T)
            rows.append(_stacked(frames, dim=-1))
            after += own
        return _stacked(rows, dim=0), after

    def start(self, like: Tensor) -> Memory:
        """The memory of one recording before its first frame."""
        return [like.new_zeros(shape) for shape in self.shapes]

    def frame(self, x: Tensor, y: Tensor, before: Memory) -> tuple[Tensor, Memory]:
        """One frame of one recording: x (frequency, 2), y (frequency, 2 observations)."""
        memory, after = iter(before), []
        loudness = y[:, -2:].square().sum(dim=1).sqrt().mean().clamp(min=QUIETEST)
        level = torch.maximum(loudness, self.fall * next(memory))
        after.append(level)
        h = torch.cat([next(memory), torch.cat([x, y], dim=1) / level], dim=1)
        after.append(h[:, 2 + y.shape[1] :])
        h = self.stem(h)
        skips = []
        for down, encoder in zip(self.down, self.encoder, strict=True):
            skips.append(h)
            h, own = encoder(down(h), next(memory))
            after.append(own)
        for path in self.bottom:
            h, *both = path(h, next(memory), next(memory))
            after += both
        for up, decoder in zip(self.up, self.decoder, strict=True):
            h, own = decoder(up(h) + skips.pop(), next(memory))
            after.append(own)
        h = self.head(functional.silu(self.norm(h)))
        heard = [next(memory), y[:, -2:], x, y[:, :-2], level.expand(self.rows, 1)]
        u = torch.cat(heard, dim=1)
        after.append(u[:, 2 : 2 * self.taps])
        return torch.bmm(h.view(self.rows, 2, -1), u[:, :, None])[..., 0], after


def _answers(observations: int, taps: int) -> tuple[Tensor, Tensor]:
    """Where the network answers with the rows of `CausalStep`, and their signs.

    In the order of what is heard: the past of y, y, x, and other observations.
    """
    terms, other = 2 + observations, torch.arange(1, observations)
    first, last = torch.tensor([0]), torch.tensor([observations])
    past = 2 * (terms + torch.arange(taps - 1))
    p = torch.cat([past, last, first, other])
    q = torch.cat([past + 1, terms + last, terms + first, terms + other])
    real = [*torch.stack([p, q], dim=1).flatten(), terms - 1]
    imag = [*torch.stack([q, p], dim=1).flatten(), 2 * terms - 1]
    signs = torch.ones(len(real) + len(imag))
    signs[1 : len(real) - 1 : 2] = -1
    return torch.tensor([*real, *imag]), signs


def _stacked(tensors: list[Tensor], dim: int) -> Tensor:
    """`torch.stack`, which would copy one alone, too."""
    return torch.stack(tensors, dim) if len(tensors) > 1 else tensors[0].unsqueeze(dim)


def _each(kind: type[M], modules: nn.ModuleList) -> list[M]:
    """The modules of a list, which are of that kind."""
    return [module for module in modules if isinstance(module, kind)]
