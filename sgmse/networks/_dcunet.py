"""DCUNet, the complex U-Net of the first score-based speech enhancer on complex spectrograms.

Choi et al. 2019 (arXiv:1903.03107) for masks, Welker et al. 2022 (arXiv:2203.17004) for scores, who
dilate the convolutions along frequency and add the time to every layer. With e the embedding of the
time, one encoder or decoder block is

    x -> f(N(C x + f_e(A e)))

where C is a complex convolution, transposed on the way up, A a complex affine map, N a batch
normalisation, and f, f_e act on real and imaginary parts. Each result of the way down but the last
is joined to the features of its size on the way up.

Parameters have names of their own here; `DCUNet.published_keys` gives those of the published code.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network
from sgmse.networks._dcunet_layers import (
    ACTIVATIONS,
    DCUNET_LEVELS,
    NORMS,
    WAVES,
    Activation,
    Block,
    ComplexConvolution,
    ComplexLinear,
    ComplexTransposed,
    Level,
    TimeEmbedding,
    TimeLayers,
)

__all__ = ["DCUNET_LEVELS", "DCUNet", "Level"]


def _join(x: Tensor, skip: Tensor) -> Tensor:
    """Concatenate complex channels: [Re x, Im x] and [Re s, Im s] to [Re x, Re s, Im x, Im s]."""
    (a, b), (p, q) = x.chunk(2, dim=1), skip.chunk(2, dim=1)
    return torch.cat((a, p, b, q), dim=1)


class DCUNet(Network):
    """Time-conditioned deep complex U-Net; 3.56 M parameters by default, those of "DilDCUNet-v2".

    Args:
        levels: the way down, a `Level` or its numbers [channels, kernel, stride, dilation] each;
            the way up is the mirror image. `DCUNET_LEVELS` holds the published ones.
        width: of the time embedding.
        waves: the time embedding starts from `"fourier"` or `"steps"` (see `GaussianFourier`,
            `DiffusionSteps`); None conditions on no time.
        complex_waves: complex waves instead of real ones.
        time_layers, block_layers: layers of the time embedding, common and of each block.
        time_activation: after each of them.
        norm: `"separate"` for real and imaginary part, or `"joint"`.
        activation: of the blocks.
        fit: what is done with frames that are not 1 + a multiple of the strides' product: `"pad"`
            fills them up with zeros, `"trim"` cuts the last ones off, and the output is 0 there.

    The network takes any number of frequencies that the levels leave something of, 257 for one.
    The 64 of `divisor` are those that the published code pads to before any network.

    `type(net)(**net.config)` builds the same network, and `config` survives JSON. The order of
    `parameters()` is that of the published code.

    Raises:
        ValueError: for sizes that no network can have, and unknown names.
    """

    divisor = (1, 64)

    def __init__(
        self,
        *,
        levels: Sequence[Level | Sequence[Any]] = DCUNET_LEVELS["DilDCUNet-v2"],
        width: int = 128,
        waves: Literal["fourier", "steps"] | None = "fourier",
        complex_waves: bool = False,
        time_layers: int = 2,
        block_layers: int = 1,
        time_activation: Activation = "silu",
        norm: Literal["separate", "joint"] = "separate",
        activation: Activation = "relu",
        fit: Literal["pad", "trim"] = "pad",
    ) -> None:
        super().__init__()
        levels = self.levels = [_level(entry) for entry in levels]
        if not levels:
            raise ArgumentError("levels is empty; DCUNet needs one or more")
        if width < 4 or width % 2:
            raise ArgumentError(f"width must be an even number of at least 4, not {width}")
        if time_layers < 0 or block_layers < 1:
            raise ArgumentError(f"{time_layers=} and {block_layers=} must be at least 0 and 1")
        for what, name, known in (
            ("waves", waves, (*WAVES, None)),
            ("norm", norm, NORMS),
            ("activation", activation, ACTIVATIONS),
            ("time_activation", time_activation, ACTIVATIONS),
            ("fit", fit, ("pad", "trim")),
        ):
            if name not in known:
                raise ArgumentError(f"{what} is {name!r}; use one of {', '.join(map(repr, known))}")
        self.config = self.arguments(locals())
        self.fit = fit
        self.frame_stride = prod(level.stride[1] for level in self.levels)

        def block(conv: ComplexConvolution | ComplexTransposed, channels: int) -> Block:
            time = TimeLayers(width, channels, block_layers, time_activation) if waves else None
            return Block(conv, NORMS[norm](channels), time, activation)

        # Registered in the published order of the parameters: positional EMA weights depend on it.
        self.embedding = None
        if waves is not None:
            start = WAVES[waves](width, complex_waves)
            self.embedding = TimeEmbedding(start, width, time_layers, time_activation)
        first, *others = self.levels
        inputs = [2, *(level.channels for level in self.levels)]  # x and y, complex
        self.encoder = nn.ModuleList(
            block(ComplexConvolution(before, level), level.channels)
            for before, level in zip(inputs, self.levels, strict=False)
        )
        self.decoder = nn.ModuleList()
        before = inputs[-1]
        for level, channels in zip(reversed(others), reversed(inputs[1:-1]), strict=True):
            self.decoder.append(block(ComplexTransposed(before, channels, level), channels))
            before = 2 * channels
        self.output = ComplexTransposed(before, 1, first, bias=True)

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        frames = x.shape[3]
        h = torch.cat((x[:, :1], y[:, :1], x[:, 1:], y[:, 1:]), dim=1)
        h = pad(h, (0, self._added(frames)))  # a negative number of zeros cuts frames off
        e = None if self.embedding is None else self.embedding(t.to(h.dtype))

        skips: list[Tensor] = []
        for block in self.encoder:
            skips.append(h)
            h = block(h, e)
        for block in self.decoder:
            skip = skips.pop()
            h = _join(block(h, e, skip.shape[2:]), skip)
        h = self.output(h, skips.pop().shape[2:])
        return pad(h, (0, frames - h.shape[3]))

    def _added(self, frames: int) -> int:
        """Frames of zeros to add to so many, or minus those to cut off."""
        if self.fit == "trim":
            return -((frames - 1) % self.frame_stride)
        return (1 - frames) % self.frame_stride

    @override
    def _check_sizes(self, x: Tensor) -> None:
        """Refuse sizes of which a level is left nothing; all others are made to fit in here."""
        sizes: Sequence[int] = (x.shape[2], x.shape[3] + min(self._added(x.shape[3]), 0))
        for number, level in enumerate(self.levels, start=1):
            sizes = level.after(sizes) if min(sizes) > 0 else sizes
            if min(sizes) < 1:
                raise ArgumentError(
                    f"{x.shape[2]} frequencies x {x.shape[3]} frames leave nothing for level "
                    f"{number} of {len(self.levels)}; take a larger n_fft or a longer input"
                )

    @override
    def published_keys(self) -> dict[str, str]:
        """See `Network`; both in the order of the state dict.

        A list of weights without names (torch_ema) belongs to `parameters()` one by one, or in
        older files to those with `requires_grad`; the running moments of the normalisation are in
        the state dict alone.
        """
        keys: dict[str, str] = {}
        for ours, theirs in _modules(self):
            module = self.get_submodule(ours)
            parts = _LINEAR if isinstance(module, ComplexLinear) else _CONVOLUTION | _JOINT
            for key in module.state_dict():
                part, dot, leaf = key.partition(".")
                keys[f"{ours}.{key}"] = f"{theirs}.{parts.get(part, 'W')}{dot}{leaf}"
        return keys


def _level(entry: Level | Sequence[Any]) -> Level:
    """The level that a list of its numbers, from JSON, describes."""
    try:
        channels, kernel, stride, dilation = Level(*entry)
        pairs = [(int(along_f), int(along_n)) for along_f, along_n in (kernel, stride, dilation)]
        level = Level(int(channels), *pairs)
        if min(level.channels, *map(min, pairs)) >= 1:
            return level
    except (TypeError, ValueError):
        pass
    raise ArgumentError(
        f"{entry!r} is no level; give channels, then pairs of positive numbers for kernel and, "
        "optionally, stride and dilation"
    )


_CONVOLUTION = {"real": "re_module", "imag": "im_module"}
_LINEAR = {"real": "re", "imag": "im"}
_JOINT = dict(
    zip(
        ("weight_uu", "weight_uv", "weight_vv", "bias_u", "bias_v"),
        ("Wrr", "Wri", "Wii", "Br", "Bi"),
        strict=True,
    )
)


def _modules(net: DCUNet) -> Iterator[tuple[str, str]]:
    """Our and the published name of each module with keys, in the order of registration."""
    if net.embedding is not None:
        yield "embedding.waves", "embed.0"
        for i in range(len(net.embedding.layers)):
            yield f"embedding.layers.{i}", f"embed.{2 * i + 1}"
    for way, conv in (("encoder", "conv"), ("decoder", "deconv")):
        for i in range(len(net.levels) - (way == "decoder")):
            ours, theirs = f"{way}.{i}", f"{way}s.{i}"
            yield f"{ours}.conv", f"{theirs}.{conv}"
            yield f"{ours}.norm", f"{theirs}.norm"
            layers = net.config["block_layers"] if net.embedding else 0
            for j in range(layers):
                last = ".dense" if j == layers - 1 else ""
                yield f"{ours}.time.{j}", f"{theirs}.embed_layer.{2 * j}{last}"
    yield "output", "output_layer"
