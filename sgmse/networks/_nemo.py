"""NCSN++ as NVIDIA NeMo builds it, the network of the published Schroedinger bridges of speech.

Jukic et al. 2024 (arXiv:2407.16074) and the audio models of NeMo. With e = MLP([sin, cos](2 pi w
log t)) the embedding of the time, and s a 1x1 convolution where the width changes, else the
identity,

    residual block   B(x) = (s(x) + C silu(N(C silu(N x) + A e))) / sqrt 2
    way down         h_l = B...B((h + P_l D^l input) / sqrt 2),       h = D h_(l-1), at first 0
    way up           g_l = B((B((g + h_l) / sqrt 2) + h_l') / sqrt 2),   g = U g_(l+1), at first h
    output           O sum_l R^l Q_l g_l

where C is a 3x3 convolution, A an affine map of the channels, N a group normalisation, P, Q and O
1x1 convolutions; D halves both axes by the mean of 2x2 points, U doubles them linearly, R repeats
each point. Each result of a block on the way down is added before a block on the way up, the last
one first. Against `NCSNpp`: no attention, no filters, and sums where that joins channels.

Frames and frequencies are padded with zeros inside, and what the added frames have become is set to
zero after every block.

Parameters have names of their own here; `NemoNCSNpp.published_keys` gives those of NeMo.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad, silu
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network
from sgmse.networks._layers import ALMOST_ZERO, GaussianFourier, convolution, groups, linear

__all__ = ["NemoNCSNpp"]

PARTS = 4  # real and imaginary part of x, real and imaginary part of y


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups(channels), channels, eps=1e-6)


class TimeEmbedding(GaussianFourier):
    """Fourier features of log t and two layers: (batch,) to (batch, 4 channels), activated."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.first = linear(2 * channels, 4 * channels)
        self.second = linear(4 * channels, 4 * channels)

    @override
    def forward(self, t: Tensor) -> Tensor:
        return silu(self.second(silu(self.first(super().forward(t)))))


class ResidualBlock(nn.Module):
    """(batch, inputs, f, n) and e (batch, embedding) to (batch, outputs, f, n)."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm_in = _norm(inputs)
        self.conv_in = convolution(inputs, outputs, 3)
        self.time = linear(embedding, outputs)
        self.norm_out = _norm(outputs)
        self.conv_out = convolution(outputs, outputs, 3, ALMOST_ZERO)
        self.shortcut = convolution(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h: Tensor = self.conv_in(silu(self.norm_in(x))) + self.time(e)[:, :, None, None]
        h = self.conv_out(silu(self.norm_out(h)))
        side: Tensor = x if self.shortcut is None else self.shortcut(x)
        return (side + h).mul_(sqrt(0.5))


class Down(nn.Module):
    """One level of the way down; each result is appended to `skips`, the last one is returned.

    `frames` of the features are heard, the others are padding.
    """

    def __init__(self, above: int, width: int, blocks: int, embedding: int) -> None:
        super().__init__()
        self.enter = convolution(PARTS, above, 1)
        widths = [above] + [width] * blocks
        self.blocks = nn.ModuleList(ResidualBlock(a, b, embedding) for a, b in pairwise(widths))

    def forward(
        self, h: Tensor, pyramid: Tensor, e: Tensor, frames: int, skips: list[Tensor]
    ) -> Tensor:
        h = silenced((h + self.enter(pyramid)) * sqrt(0.5), frames)
        for block in self.blocks:
            h = silenced(block(h, e), frames)
            skips.append(h)
        return h


class Up(nn.Module):
    """One level of the way up, which takes from `skips`: the features and an image of them."""

    def __init__(self, width: int, above: int, blocks: int, embedding: int) -> None:
        super().__init__()
        widths = [width] * blocks + [above]
        self.blocks = nn.ModuleList(ResidualBlock(a, b, embedding) for a, b in pairwise(widths))
        self.leave = convolution(above, PARTS, 1, ALMOST_ZERO)

    def forward(
        self, h: Tensor, e: Tensor, frames: int, skips: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            h = silenced(block((h + skips.pop()) * sqrt(0.5), e), frames)
        return h, self.leave(h)


class NemoNCSNpp(Network):
    """NCSN++ with sums for skips, 25.2 M parameters by default.

    Args:
        channels: width of the input of the highest level, and of each level, the highest first;
            every further level halves both axes.
        blocks: residual blocks a level on the way down, and as many on the way up.
        pad_frames: frames are padded to a multiple of it, a multiple of 2^(levels - 1).
        pad_frequencies: the same for frequencies.
        from_noise: the first time of a flow that runs from noise at 0 to data at 1, whose network
            is told 1 - t, or that time where it is later; None for a network that is told t.

    `type(net)(**net.config)` builds the same network, and `config` survives JSON.

    Raises:
        ValueError: for sizes that no network can have.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (128, 128, 256, 256, 256),
        blocks: int = 3,
        pad_frames: int = 64,
        pad_frequencies: int = 16,
        from_noise: float | None = None,
    ) -> None:
        super().__init__()
        if len(channels) < 2 or min(blocks, *channels) < 1:
            raise ArgumentError(
                "channels must be two or more positive widths, and blocks at least 1; got "
                f"channels={list(channels)}, {blocks=}"
            )
        shrink = 2 ** (len(channels) - 2)
        if min(pad_frames, pad_frequencies) < 1 or pad_frames % shrink or pad_frequencies % shrink:
            raise ArgumentError(
                f"pad_frames and pad_frequencies must be multiples of {shrink} (2^(levels - 1)); "
                f"got {pad_frames} and {pad_frequencies}"
            )
        if from_noise is not None and not 0 < from_noise < 1:
            raise ArgumentError(f"from_noise must be None or lie between 0 and 1, not {from_noise}")
        self.pad_frames, self.pad_frequencies = pad_frames, pad_frequencies
        self.from_noise = from_noise
        self.config = self.arguments(locals())
        embedding = 4 * channels[0]
        self.embedding = TimeEmbedding(channels[0])
        levels = list(pairwise(channels))
        self.down = nn.ModuleList(Down(above, width, blocks, embedding) for above, width in levels)
        self.up = nn.ModuleList(
            Up(width, above, blocks, embedding) for above, width in reversed(levels)
        )
        self.output = convolution(PARTS, 2, 1)

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        frequencies, frames = x.shape[2:]
        image = torch.cat([x, y], dim=1)
        image = pad(image, (0, -frames % self.pad_frames, 0, -frequencies % self.pad_frequencies))
        e = self.embedding(t if self.from_noise is None else (1 - t).clamp(min=self.from_noise))

        skips: list[Tensor] = []
        h = image.new_zeros(())
        for number, down in enumerate(self.down):
            if number:
                h, image, frames = avg_pool2d(h, 2), avg_pool2d(image, 2), -(-frames // 2)
            h = down(h, image, e, frames, skips)
        total = image.new_zeros(())
        for number, up in enumerate(self.up):
            if number:
                # Twice the frames of the lower level, which may be one more than came down.
                h, total, frames = doubled(h), repeated(total), 2 * frames
            h, part = up(h, e, frames, skips)
            total = total + part

        out: Tensor = self.output(total[..., : x.shape[2], : x.shape[3]])
        return out

    @override
    def published_keys(self) -> dict[str, str]:
        theirs = {
            "embedding.frequencies": "ncsnpp.time_embedding.0.W",
            "embedding.first": "ncsnpp.time_embedding.1",
            "embedding.second": "ncsnpp.time_embedding.3",
            "output": "output_projection",
        }
        blocks, levels = self.config["blocks"], len(self.down)
        for n in range(levels):
            theirs[f"down.{n}.enter"] = f"ncsnpp.input_pyramid.{n}"
            theirs[f"up.{n}.leave"] = f"ncsnpp.projection_blocks.{levels - 1 - n}"
            for i in range(blocks):
                block = n * blocks + i
                for ours, part in _BLOCK.items():
                    theirs[f"down.{n}.blocks.{i}.{ours}"] = f"ncsnpp.input_blocks.{block}.{part}"
                    theirs[f"up.{n}.blocks.{i}.{ours}"] = f"ncsnpp.output_blocks.{block}.{part}"
        keys = {}
        for name, _ in self.named_parameters():
            module, _, leaf = name.rpartition(".")
            keys[name] = theirs.get(name) or f"{theirs[module]}.{leaf}"
        return keys


def silenced(h: Tensor, frames: int) -> Tensor:
    """h (..., frame) with zeros from that frame on."""
    return h if frames >= h.shape[-1] else pad(h[..., :frames], (0, h.shape[-1] - frames))


def doubled(x: Tensor) -> Tensor:
    """Linear between the points of both axes: (batch, channel, h, w) to (..., 2 h, 2 w)."""
    return interpolate(x, scale_factor=2, mode="bilinear")


def repeated(x: Tensor) -> Tensor:
    """Each point of both axes twice: (batch, channel, h, w) to (..., 2 h, 2 w)."""
    return interpolate(x, scale_factor=2, mode="nearest")


_BLOCK = {
    "norm_in": "input_block.0",
    "conv_in": "middle_conv",
    "time": "diffusion_step_projection.1",
    "norm_out": "output_block.0",
    "conv_out": "output_block.3",
    "shortcut": "residual_projection",
}
