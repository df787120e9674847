"""The layers of `NCSNpp`, whose docstring has what they compute.

What is new in a forward pass and not needed again is overwritten: at full size the pages of a fresh
tensor cost a CPU several times what is computed in them. Autograd keeps what it needs.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import conv2d, conv_transpose2d, scaled_dot_product_attention, silu

from sgmse.networks._layers import (
    ALMOST_ZERO,
    GaussianFourier,
    convolution,
    groups,
    initialised,
    linear,
)
from sgmse.networks._winograd import Convolution

CHUNK = 2**19  # numbers that a cache holds


def _fir(x: Tensor) -> Tensor:
    """Return the separable low-pass [1, 3, 3, 1] / 8, one copy a channel: (channel, 1, 4, 4).

    Computed where it is used: a buffer would be lost on the meta device, and a cached tensor made
    in inference mode would later break a gradient.
    """
    taps = (4 - (2 * torch.arange(4, dtype=x.dtype, device=x.device) - 3).abs()) / 8
    return torch.outer(taps, taps).expand(int(x.shape[1]), 1, 4, 4)


def fir_down(x: Tensor) -> Tensor:
    """Filter, keep every second point of both axes: (batch, channel, 2 h, 2 w) to (..., h, w)."""
    return conv2d(x, _fir(x), stride=2, padding=1, groups=int(x.shape[1]))


def fir_up(x: Tensor) -> Tensor:
    """Insert zeros and filter, keeping the mean: (batch, channel, h, w) to (..., 2 h, 2 w)."""
    return conv_transpose2d(x, 4 * _fir(x), stride=2, padding=1, groups=int(x.shape[1]))


def mean_down(x: Tensor) -> Tensor:
    """The mean of two by two points: (batch, channel, 2 h, 2 w) to (..., h, w)."""
    return functional.avg_pool2d(x, 2)


def copy_up(x: Tensor) -> Tensor:
    """Every point two by two times: (batch, channel, h, w) to (..., 2 h, 2 w)."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class Resampling(NamedTuple):
    """By two along both axes."""

    down: Callable[[Tensor], Tensor]
    up: Callable[[Tensor], Tensor]


FILTERED = Resampling(fir_down, fir_up)
PLAIN = Resampling(mean_down, copy_up)


class GroupNorm(nn.GroupNorm):
    """Group normalisation, into the memory of x where that is `spent`.

    On a CPU, and where no gradient is asked for, the moments are sums of sums over a few rows each:
    PyTorch adds the points of channels-last tensors one after the other, which costs 256 x 256 of
    them six bits of single precision.
    """

    def forward(self, x: Tensor, spent: bool = False) -> Tensor:
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != self.weight.dtype:
            return super().forward(x)
        rows = torch.split(x, max(1, CHUNK * x.shape[2] // x.numel()), dim=2)
        squares = torch.stack([part.square().sum((2, 3)) for part in rows]).sum(0)
        sums = torch.stack((x.sum((2, 3)), squares)).double()
        sums = torch.unflatten(sums, 2, (self.num_groups, -1))
        mean, power = sums.mean(3, keepdim=True) / x[0, 0].numel()
        variance = (power - mean * mean).clamp(min=0)
        scale = (variance + self.eps).rsqrt() * self.weight.view(self.num_groups, -1)
        shift = self.bias.view(self.num_groups, -1) - mean * scale
        scale, shift = (z.flatten(1).to(x.dtype)[:, :, None, None] for z in (scale, shift))
        return x.mul_(scale).add_(shift) if spent else torch.addcmul(shift, x, scale)


def _norm(channels: int) -> GroupNorm:
    return GroupNorm(groups(channels), channels, eps=1e-6)


class TimeEmbedding(nn.Module):
    """Fourier features of log t and two layers: (batch,) to (batch, 4 channels), activated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fourier = GaussianFourier(channels)
        self.first = linear(2 * channels, 4 * channels)
        self.second = linear(4 * channels, 4 * channels)

    def forward(self, t: Tensor, end: "EndEmbedding | None", s: Tensor) -> Tensor:
        e: Tensor = self.second(silu(self.first(self.fourier(t))))
        return silu(e if end is None else end(e, t, s))


End = Literal["length", "end", "joined"]


class EndEmbedding(nn.Module):
    """Fourier features and two layers of where a step from t ends, at s <= t: with the time's e,

        length    e + layers(log(1 + t - s))
        end       e + layers(log s)
        joined    silu(A [e, layers(log s)])

    of which s is told as `floor` where it is less.
    """

    def __init__(self, channels: int, kind: End, floor: float) -> None:
        super().__init__()
        self.kind, self.floor = kind, floor
        self.fourier = GaussianFourier(channels)
        self.first = linear(2 * channels, 4 * channels)
        self.second = linear(4 * channels, 4 * channels)
        self.join = linear(8 * channels, 4 * channels) if kind == "joined" else None

    def forward(self, e: Tensor, t: Tensor, s: Tensor) -> Tensor:
        s = s.clamp(min=self.floor)
        t, s = t.to(self.fourier.frequencies), s.to(self.fourier.frequencies)
        told = (t - s).clamp(min=0).log1p() if self.kind == "length" else s.log()
        end: Tensor = self.second(silu(self.first(self.fourier.waves(told))))
        return e + end if self.join is None else silu(self.join(torch.cat((e, end), dim=1)))


class ResidualBlock(nn.Module):
    """(batch, inputs, f, n) to (batch, outputs, f', n'); `resample` may halve or double f and n.

    Without an embedding (None, and e None) it does not know the time.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int | None,
        resample: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm_in = _norm(inputs)
        self.conv_in = initialised(Convolution(inputs, outputs))
        self.time = None if embedding is None else linear(embedding, outputs)
        self.norm_out = _norm(outputs)
        self.conv_out = initialised(Convolution(outputs, outputs), ALMOST_ZERO)
        self.shortcut = convolution(inputs, outputs, 1) if resample or inputs != outputs else None

    def forward(self, x: Tensor, e: Tensor | None) -> Tensor:
        h: Tensor = silu(self.norm_in(x), inplace=True)
        h = self.conv_in(h if self.resample is None else self.resample(h))
        if self.time is not None:
            h.add_(self.time(e)[:, :, None, None])
        h = self.conv_out(silu(self.norm_out(h, spent=True), inplace=True))
        return h.add_(self._side(x)).mul_(sqrt(0.5))

    def _side(self, x: Tensor) -> Tensor:
        """Return s(R x); on the way up s comes first, where it has a quarter of the points."""
        if self.shortcut is None:
            return x
        if self.resample is not fir_up:
            side: Tensor = self.shortcut(x if self.resample is None else self.resample(x))
            return side
        assert self.shortcut.bias is not None  # R would change a constant at the edges
        return fir_up(conv2d(x, self.shortcut.weight)).add_(self.shortcut.bias[:, None, None])


class ChannelMap(nn.Module):
    """An affine map of the last axis; the weight is (inputs, outputs), as published."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.xavier_uniform_(self.weight, gain=scale)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.T, self.bias)


class Attention(nn.Module):
    """Self-attention with one head over all points of (batch, channels, f, n).

    The fused kernels keep memory linear in the points, but have neither forward-mode nor second
    derivatives; where those are needed (`torch.func.jvp`), call the network within
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.query = ChannelMap(channels, sqrt(0.1))
        self.key = ChannelMap(channels, sqrt(0.1))
        self.value = ChannelMap(channels, sqrt(0.1))
        self.project = ChannelMap(channels, ALMOST_ZERO)

    def forward(self, x: Tensor) -> Tensor:
        points = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2)  # (batch, f n, channels)
        q, k, v = (to(points)[:, None] for to in (self.query, self.key, self.value))
        h = self.project(scaled_dot_product_attention(q, k, v)[:, 0])
        h = torch.unflatten(h, 1, x.shape[2:]).permute(0, 3, 1, 2)
        return (x + h).mul_(sqrt(0.5))


class Combine(nn.Module):
    """The input skip: add a 1x1 convolution of the resampled input, or join it before."""

    def __init__(self, parts: int, channels: int, *, joined: bool) -> None:
        super().__init__()
        self.conv = convolution(parts, channels, 1)
        self.joined = joined

    def forward(self, h: Tensor, pyramid: Tensor) -> Tensor:
        features: Tensor = self.conv(pyramid)
        return torch.cat((features, h), dim=1) if self.joined else features.add_(h)


class Stage(nn.Module):
    """A residual block and, where the level has it, attention."""

    def __init__(self, inputs: int, outputs: int, embedding: int | None, attention: bool) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, embedding)
        self.attention = Attention(outputs) if attention else None

    def forward(self, h: Tensor, e: Tensor | None) -> Tensor:
        h = self.block(h, e)
        return h if self.attention is None else self.attention(h)


class Down(nn.Module):
    """One level of the way down; every result that the way up will need is appended to `skips`."""

    def __init__(
        self,
        widths: Sequence[int],
        embedding: int | None,
        parts: int,
        *,
        attention: bool,
        lowest: bool,
        input_skip: bool,
        joined: bool,
        resampling: Resampling,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            Stage(inputs, outputs, embedding, attention) for inputs, outputs in pairwise(widths)
        )
        width = widths[-1]
        self.shrink = resampling.down
        self.resample = None if lowest else ResidualBlock(width, width, embedding, self.shrink)
        skip = input_skip and not lowest
        self.combine = Combine(parts, width, joined=joined) if skip else None

    def forward(self, skips: list[Tensor], e: Tensor | None, pyramid: Tensor) -> Tensor:
        """Return the pyramid (the resampled input) of the next level."""
        for stage in self.stages:
            skips.append(stage(skips[-1], e))
        if self.resample is not None:
            h = self.resample(skips[-1], e)
            if self.combine is not None:
                pyramid = self.shrink(pyramid)
                h = self.combine(h, pyramid)
            skips.append(h)
        return pyramid


class Head(nn.Module):
    """From features to an image of as many channels as the input has."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.conv = convolution(channels, parts, 3, ALMOST_ZERO)

    def forward(self, h: Tensor) -> Tensor:
        image: Tensor = self.conv(silu(self.norm(h), inplace=True))
        return image


class Up(nn.Module):
    """One level of the way up; takes from `skips` what the way down has left there."""

    def __init__(
        self,
        inputs: int,
        skips: Sequence[int],
        width: int,
        embedding: int | None,
        parts: int,
        *,
        attention: bool,
        highest: bool,
        output_skip: bool,
        resampling: Resampling,
    ) -> None:
        super().__init__()
        befores = [inputs] + [width] * (len(skips) - 1)
        self.blocks = nn.ModuleList(
            ResidualBlock(before + skip, width, embedding)
            for before, skip in zip(befores, skips, strict=True)
        )
        self.attention = Attention(width) if attention else None
        self.head = Head(width, parts) if output_skip or highest else None
        self.grow = resampling.up
        self.resample = None if highest else ResidualBlock(width, width, embedding, self.grow)

    def forward(
        self, h: Tensor, skips: list[Tensor], e: Tensor | None, pyramid: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features for the next level and the pyramid (the summed images) so far."""
        for block in self.blocks:
            h = block(torch.cat((h, skips.pop()), dim=1), e)
        if self.attention is not None:
            h = self.attention(h)
        if self.head is not None:
            image = self.head(h)
            pyramid = image if pyramid is None else self.grow(pyramid) + image
        if self.resample is not None:
            h = self.resample(h, e)
        return h, pyramid


class Middle(nn.Module):
    """The lowest point: residual block, attention, residual block."""

    def __init__(self, width: int, embedding: int | None) -> None:
        super().__init__()
        self.before = Stage(width, width, embedding, attention=True)
        self.after = ResidualBlock(width, width, embedding)

    def forward(self, h: Tensor, e: Tensor | None) -> Tensor:
        h = self.after(self.before(h, e), e)
        return h
