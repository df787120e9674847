"""The magnitude-preserving U-Net of `edm2se`: no layer changes the size of what it is given.

Karras et al. 2024 (EDM2, arXiv:2312.02696, configuration G) for images, Richter et al. 2026
(arXiv:2505.05216) for speech. Activations that have a mean square of 1 keep it:

    A x                     weights A whose rows are normalised to length 1, without a bias
    f x = silu(x) / 0.596
    a +_t b                 ((1 - t) a + t b) / sqrt((1 - t)^2 + t^2)
    [a, b]                  both weighted so that each makes half of the mean square
    N x                     x over its root mean square along the channels of a point

With e = f A [sqrt 2 cos(w log t + phase)] the embedding of the time, R nothing or the resampling by
two, s a 1x1 convolution where the width changes, else the identity, and g, c learned numbers,

    r x           =   C f((1 + g A e) C f x),                           C a 3x3 convolution
    on the way down   h -> x +_0.3 r x +_c N A R y,                     x = N s R h
    on the way up     h -> s x +_0.3 r x,                               x = R h, or [h, skip]
    attention         h -> h +_0.3 A v softmax(k^T q / sqrt d),         q, k, v = N A h

where y is the observation and R makes means of 2 x 2 points, or copies each to 2 x 2. The input is
[Re x, Im x, 1]: the 1 stands in for the biases. The output is that of C times a learned number,
zero at first.

While it is trained, the weights themselves are normalised before each use: gradients are
perpendicular to them, so that they would grow for ever, and the rate of learning would fall.

Parameters have names of their own here; `published_keys` of the network gives those of the
published code.
"""

from collections.abc import Iterator, Sequence
from math import hypot, pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, linear, scaled_dot_product_attention, silu
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network
from sgmse.networks._winograd import convolved

__all__ = ["MagnitudePreservingUNet"]

PARTS = 2  # real and imaginary part
SILU = 1 / 0.596  # over the root mean square of silu of a normal number
BRANCH = 0.3  # share of a residual branch and of attention in the sum with the main path
LARGEST = 256.0  # activations are clipped there: half precision has no far larger numbers


def size(x: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """The root mean square along `dim`, which is kept, and the published 1e-4."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return norm * sqrt(norm.numel() / x.numel()) + 1e-4


def normalise(x: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Divide by the root mean square along `dim`."""
    return x / size(x, dim)


def mp_sum(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """((1 - t) a + t b) / sqrt((1 - t)^2 + t^2) for independent a and b of one size."""
    if isinstance(t, Tensor):
        length = ((1 - t) ** 2 + t**2).sqrt()
        return torch.addcmul((1 - t) / length * a, t / length, b)
    return torch.add((1 - t) / hypot(1 - t, t) * a, b, alpha=t / hypot(1 - t, t))


def mp_cat(a: Tensor, b: Tensor) -> Tensor:
    """The channels of a and b, each weighted by sqrt((A + B) / 2) over the root of its number."""
    both = (a.shape[1] + b.shape[1]) / 2
    return torch.cat((sqrt(both / a.shape[1]) * a, sqrt(both / b.shape[1]) * b), dim=1)


def halve(x: Tensor) -> Tensor:
    """Means of 2 x 2 points: (batch, channel, 2 h, 2 w) to (..., h, w)."""
    return avg_pool2d(x, 2)


def double(x: Tensor) -> Tensor:
    """Each point as 2 x 2 points: (batch, channel, h, w) to (..., 2 h, 2 w)."""
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")


class Weight(nn.Module):
    """A convolution, with a kernel, or a linear map, without one: rows of length 1, times `gain`.

    (batch, inputs, ...) to (batch, outputs, ...).
    """

    def __init__(self, inputs: int, outputs: int, *kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *kernel))
        self.row = tuple(range(1, 2 + len(kernel)))

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.weight.copy_(normalise(self.weight, self.row))
        w = self.weight * (gain / sqrt(self.weight[0].numel()) / size(self.weight, self.row))
        if w.ndim == 2:
            return linear(x, w)
        return convolved(x, w) if w.shape[-1] == 3 else conv2d(x, w, padding=w.shape[-1] // 2)


class Fourier(nn.Module):
    """sqrt 2 cos(w log t + phase), w ~ 2 pi N(0, 1), not trained: (batch,) to (batch, channels)."""

    frequencies: Tensor
    phases: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2 * pi * torch.randn(channels))
        self.register_buffer("phases", 2 * pi * torch.rand(channels))

    def forward(self, t: Tensor) -> Tensor:
        log_t = t.to(self.frequencies).log()[:, None]
        return sqrt(2) * (log_t * self.frequencies + self.phases).cos()


class Branch(nn.Module):
    """The residual r: (batch, inputs, f, n) to (batch, outputs, f, n)."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros([]))
        self.time = Weight(embedding, outputs)
        self.first = Weight(inputs, outputs, 3, 3)
        self.second = Weight(outputs, outputs, 3, 3)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        scale = 1 + self.time(e, self.gain)
        h = self.first(silu(x), SILU) * scale[:, :, None, None]
        r: Tensor = self.second(silu(h), SILU)
        return r


class Attention(nn.Module):
    """Self-attention over all points of (batch, channels, f, n), whose q, k, v are normalised."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ArgumentError(
                f"{channels} channels cannot be divided among {heads} heads; choose head_channels "
                "that divides the width of each level with attention"
            )
        self.heads = heads
        self.qkv = Weight(channels, 3 * channels, 1, 1)
        self.project = Weight(channels, channels, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        # q, k and v alternate along the channels of a head, as published
        qkv = self.qkv(h).flatten(2).unflatten(1, (self.heads, -1, 3))
        # the fused kernels take (batch, head, point, channel) with the channels side by side
        q, k, v = normalise(qkv, 2).permute(3, 0, 1, 4, 2).contiguous().unbind()
        values = scaled_dot_product_attention(q, k, v).transpose(2, 3)
        return mp_sum(h, self.project(values.reshape(h.shape)), BRANCH)


class Down(nn.Module):
    """A block of the way down; one that halves takes an observation that is halved already."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int, *, heads: int | None, halves: bool = False
    ) -> None:
        super().__init__()
        self.halves = halves
        self.shortcut = Weight(inputs, outputs, 1, 1) if inputs != outputs else None
        self.branch = Branch(outputs, outputs, embedding)
        self.observe = Weight(PARTS, outputs, 1, 1)
        self.balance = nn.Parameter(torch.full([], 0.5))
        self.attention = Attention(outputs, heads) if heads is not None else None

    def forward(self, x: Tensor, y: Tensor, e: Tensor) -> Tensor:
        if self.halves:
            x = halve(x)
        if self.shortcut is not None:
            x = self.shortcut(x)
        x = normalise(x, 1)
        x = mp_sum(x, self.branch(x, e), BRANCH)
        x = mp_sum(x, normalise(self.observe(y), 1), self.balance)
        if self.attention is not None:
            x = self.attention(x)
        return x.clamp_(-LARGEST, LARGEST)


class Up(nn.Module):
    """A block of the way up."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int, *, heads: int | None, doubles: bool = False
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.shortcut = Weight(inputs, outputs, 1, 1) if inputs != outputs else None
        self.branch = Branch(inputs, outputs, embedding)
        self.attention = Attention(outputs, heads) if heads is not None else None

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        if self.doubles:
            x = double(x)
        h = self.branch(x, e)
        x = mp_sum(x if self.shortcut is None else self.shortcut(x), h, BRANCH)
        if self.attention is not None:
            x = self.attention(x)
        return x.clamp_(-LARGEST, LARGEST)


class UpLevel(nn.Module):
    """One level of the way up: what leads into it, and blocks that each take a skip."""

    def __init__(self, entry: Sequence[Up], blocks: Sequence[Up]) -> None:
        super().__init__()
        self.entry = nn.ModuleList(entry)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, skips: list[Tensor], e: Tensor) -> Tensor:
        for block in self.entry:
            x = block(x, e)
        for block in self.blocks:
            x = block(mp_cat(x, skips.pop()), e)
        return x


class MagnitudePreservingUNet(Network):
    """The magnitude-preserving U-Net for complex spectrograms.

    Inputs are to have a mean square of about 1 in each part, real and imaginary. The time may be
    any positive number; its logarithm is embedded.

    Args:
        channels: width that `multipliers` refer to.
        multipliers: width of each level in units of `channels`, the highest level first; every
            further one halves both axes.
        blocks: blocks a level on the way down; the way up has one more.
        attention_resolutions: levels with so many frequencies get attention, numbers that do not
            occur have no effect; the lowest point always has it.
        bins: frequencies of the highest level, which `attention_resolutions` refers to. The network
            takes other sizes (see `divisor`); attention stays at the same levels.
        head_channels: width of an attention head; a narrower level has no attention to offer.

    `type(net)(**net.config)` builds the same network, and `config` survives JSON. The defaults are
    those with which the published model is run.

    Raises:
        ValueError: for sizes that no network can have.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 2, 2, 2),
        blocks: int = 2,
        attention_resolutions: Sequence[int] = (16, 8),
        bins: int = 256,
        head_channels: int = 64,
    ) -> None:
        super().__init__()
        if not multipliers or min(channels, blocks, bins, head_channels, *multipliers) < 1:
            raise ArgumentError(
                "channels, blocks, bins, head_channels and each of one or more multipliers must be "
                f"1 or more; got {channels=}, {blocks=}, {bins=}, {head_channels=}, "
                f"multipliers={list(multipliers)}"
            )
        # The levels need 2^(levels - 1); the published model has its frames padded to twice that.
        self.divisor = (2 ** (len(multipliers) - 1), 2 ** len(multipliers))
        self.config = self.arguments(locals())
        widths = [channels * multiplier for multiplier in multipliers]
        embedding = max(widths)
        heads = [
            width // head_channels if bins >> level in attention_resolutions else None
            for level, width in enumerate(widths)
        ]

        self.gain = nn.Parameter(torch.zeros([]))
        self.fourier = Fourier(widths[0])
        self.embed = Weight(widths[0], embedding)
        self.input = Weight(PARTS + 1, widths[0], 3, 3)

        self.down = nn.ModuleList()
        skips = [widths[0]]
        for level, width in enumerate(widths):
            down = nn.ModuleList()
            if level:
                down.append(Down(skips[-1], skips[-1], embedding, heads=None, halves=True))
                skips.append(skips[-1])
            for _ in range(blocks):
                down.append(Down(skips[-1], width, embedding, heads=heads[level]))
                skips.append(width)
            self.down.append(down)

        self.up = nn.ModuleList()
        before = widths[-1]
        for level in reversed(range(len(widths))):
            if level == len(widths) - 1:
                lowest = Up(before, before, embedding, heads=before // head_channels)
                entry = [lowest, Up(before, before, embedding, heads=None)]
            else:
                entry = [Up(before, before, embedding, heads=None, doubles=True)]
            up = []
            for _ in range(blocks + 1):
                up.append(Up(before + skips.pop(), widths[level], embedding, heads=heads[level]))
                before = widths[level]
            self.up.append(UpLevel(entry, up))
        self.output = Weight(widths[0], PARTS, 3, 3)

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        e = SILU * silu(self.embed(self.fourier(t)))
        seen = y

        skips = [self.input(torch.cat((x, torch.ones_like(x[:, :1])), dim=1))]
        for level, path in enumerate(self.down):
            if level:
                seen = halve(seen)
            for block in path.children():
                skips.append(block(skips[-1], seen, e))
        h = skips[-1]
        for up in self.up:
            h = up(h, skips, e)
        out: Tensor = self.output(h, self.gain)
        return out

    @override
    def published_keys(self) -> dict[str, str]:
        """See `Network`. The published code has further weights that its output does not depend on:

        `conv_cond` and `cond_balance` in `dec`, `attn_qkv` and `attn_proj` in blocks without
        attention, and the `logvar` of training.
        """
        keys = {
            "gain": "unet.out_gain",
            "fourier.frequencies": "unet.emb_fourier.freqs",
            "fourier.phases": "unet.emb_fourier.phases",
            "embed.weight": "unet.emb_noise.weight",
            "input.weight": f"unet.enc.{self.config['bins']}_conv.weight",
            "output.weight": "unet.out_conv.weight",
        }
        for ours, block, theirs in _blocks(self):
            for key in block.state_dict():
                keys[f"{ours}.{key}"] = f"unet.{theirs}.{_PARTS[key]}"
        return keys


# The published names of the parts of a block; those that are absent there are not in the table.
_PARTS = {
    "branch.gain": "emb_gain",
    "branch.time.weight": "emb_linear.weight",
    "branch.first.weight": "conv_res0.weight",
    "branch.second.weight": "conv_res1.weight",
    "shortcut.weight": "conv_skip.weight",
    "observe.weight": "conv_cond.weight",
    "balance": "cond_balance",
    "attention.qkv.weight": "attn_qkv.weight",
    "attention.project.weight": "attn_proj.weight",
}


def _blocks(net: MagnitudePreservingUNet) -> Iterator[tuple[str, nn.Module, str]]:
    """Our name, the block and its published name."""
    bins, top = net.config["bins"], len(net.down) - 1
    for level, path in enumerate(net.down):
        names = ["down"] * (level > 0) + [f"block{i}" for i in range(net.config["blocks"])]
        for i, (block, name) in enumerate(zip(path.children(), names, strict=True)):
            yield f"down.{level}.{i}", block, f"enc.{bins >> level}_{name}"
    for i, up in enumerate(net.up):
        where = f"dec.{bins >> (top - i)}_"
        for j, block in enumerate(up.get_submodule("entry").children()):
            yield f"up.{i}.entry.{j}", block, where + ("up" if i else f"in{j}")
        for j, block in enumerate(up.get_submodule("blocks").children()):
            yield f"up.{i}.blocks.{j}", block, f"{where}block{j}"
