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

Parameters have names of their own here; `published_keys` gives those of NeMo.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import pi, sqrt
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad, silu

from sgmse.errors import ArgumentError
from sgmse.networks.base import Network

__all__ = ["NemoNCSNpp", "published_keys"]

PARTS = 4  # real and imaginary part of x, real and imaginary part of y
ALMOST_ZERO = 1e-5  # the published scale of what begins as nothing

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _initialised(layer: Layer, scale: float = 1.0) -> Layer:
    """Weights from Xavier's uniform distribution, scaled, and no bias."""
    nn.init.xavier_uniform_(layer.weight, gain=scale)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _conv(inputs: int, outputs: int, size: int, scale: float = 1.0) -> nn.Conv2d:
    return _initialised(nn.Conv2d(inputs, outputs, size, padding=size // 2), scale)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return _initialised(nn.Linear(inputs, outputs))


def _norm(channels: int) -> nn.GroupNorm:
    groups = min(channels // 4, 32)
    if groups == 0 or channels % groups:
        raise ArgumentError(
            f"{channels} channels cannot be normalised in min({channels} // 4, 32) = {groups} "
            "groups; take multiples of 4 up to 128, and of 32 above"
        )
    return nn.GroupNorm(groups, channels, eps=1e-6)


class TimeEmbedding(nn.Module):
    """[sin, cos](2 pi w log t), w ~ N(0, 16^2) not trained, and two layers: (batch,) to (batch, e).

    e is 4 times `channels`; the result is activated.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(16 * torch.randn(channels), requires_grad=False)
        self.first = _linear(2 * channels, 4 * channels)
        self.second = _linear(4 * channels, 4 * channels)

    def forward(self, t: Tensor) -> Tensor:
        # log t in the precision of the weights: at 300 rad and more each bit of it counts
        phase = 2 * pi * (t.to(self.frequencies).log()[:, None] * self.frequencies)
        waves = torch.cat((phase.sin(), phase.cos()), dim=1)
        return silu(self.second(silu(self.first(waves))))


class ResidualBlock(nn.Module):
    """(batch, inputs, f, n) and e (batch, embedding) to (batch, outputs, f, n)."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm_in = _norm(inputs)
        self.conv_in = _conv(inputs, outputs, 3)
        self.time = _linear(embedding, outputs)
        self.norm_out = _norm(outputs)
        self.conv_out = _conv(outputs, outputs, 3, ALMOST_ZERO)
        self.shortcut = _conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.conv_in(silu(self.norm_in(x))) + self.time(e)[:, :, None, None]
        h = self.conv_out(silu(self.norm_out(h)))
        return ((x if self.shortcut is None else self.shortcut(x)) + h).mul_(sqrt(0.5))


class Down(nn.Module):
    """One level of the way down; each result is appended to `skips`, the last one is returned.

    `frames` of the features are heard, the others are padding.
    """

    def __init__(self, above: int, width: int, blocks: int, embedding: int) -> None:
        super().__init__()
        self.enter = _conv(PARTS, above, 1)
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
        self.leave = _conv(above, PARTS, 1, ALMOST_ZERO)

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

    config: dict[str, Any]

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
        self.config = {
            "channels": list(channels),
            "blocks": blocks,
            "pad_frames": pad_frames,
            "pad_frequencies": pad_frequencies,
            "from_noise": from_noise,
        }
        embedding = 4 * channels[0]
        self.embedding = TimeEmbedding(channels[0])
        levels = list(pairwise(channels))
        self.down = nn.ModuleList(Down(above, width, blocks, embedding) for above, width in levels)
        self.up = nn.ModuleList(
            Up(width, above, blocks, embedding) for above, width in reversed(levels)
        )
        self.output = _conv(PARTS, 2, 1)

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """Return the output of the network for the state x, the observation y and the time t > 0.

        Shape: x and y complex (batch, 1, frequency, frame), t real (batch,); result as x.

        Raises:
            TypeError: when x or y is not complex.
            ValueError: for other shapes.
        """
        self._check(x, y, t)
        self._check_sizes(x)
        frequencies, frames = x.shape[2:]
        image = torch.cat((x.real, x.imag, y.real, y.imag), dim=1)
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

        out = self.output(total[..., : x.shape[2], : x.shape[3]])
        out = out.to(x.real.dtype)  # autocast may have computed it in another one
        return torch.view_as_complex(out.permute(0, 2, 3, 1).contiguous())[:, None]


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


def published_keys(net: NemoNCSNpp) -> dict[str, str]:
    """Return the key in NeMo's estimator of each of our keys; shapes agree.

    `net.load_state_dict({ours: published[theirs] for ours, theirs in keys.items()})` reads it.
    """
    theirs = {
        "embedding.frequencies": "time_embedding.0.W",
        "embedding.first": "time_embedding.1",
        "embedding.second": "time_embedding.3",
    }
    blocks, levels = net.config["blocks"], len(net.down)
    for n in range(levels):
        theirs[f"down.{n}.enter"] = f"input_pyramid.{n}"
        theirs[f"up.{n}.leave"] = f"projection_blocks.{levels - 1 - n}"
        for i in range(blocks):
            for ours, part in _BLOCK.items():
                theirs[f"down.{n}.blocks.{i}.{ours}"] = f"input_blocks.{n * blocks + i}.{part}"
                theirs[f"up.{n}.blocks.{i}.{ours}"] = f"output_blocks.{n * blocks + i}.{part}"
    keys = {}
    for name, _ in net.named_parameters():
        module, _, leaf = name.rpartition(".")
        if name in theirs:
            keys[name] = f"ncsnpp.{theirs[name]}"
        elif module == "output":
            keys[name] = f"output_projection.{leaf}"
        else:
            keys[name] = f"ncsnpp.{theirs[module]}.{leaf}"
    return keys
