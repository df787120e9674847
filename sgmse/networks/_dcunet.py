"""DCUNet, the complex U-Net of the first score-based speech enhancer on complex spectrograms.

Choi et al. 2019 (arXiv:1903.03107) for masks, Welker et al. 2022 (arXiv:2203.17004) for scores, who
dilate the convolutions along frequency and add the time to every layer. With e the embedding of the
time, one encoder or decoder block is

    x -> f(N(C x + f_e(A e)))

where C is a complex convolution, transposed on the way up, A a complex affine map, N a batch
normalisation, and f, f_e act on real and imaginary parts. Each result of the way down but the last
is joined to the features of its size on the way up.

A complex layer is a real one with tied weights on the channels [Re, Im],

    (P + i Q)(u + i v) = [P, -Q; Q, P] [u; v],

and that is how it is computed: one real layer, where there were four of half the size.

Parameters have names of their own here; `DCUNet.published_keys` gives those of the published code.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import pi, prod
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    conv2d,
    conv_transpose2d,
    leaky_relu,
    linear,
    pad,
    relu,
    silu,
)
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network

__all__ = ["DCUNET_LEVELS", "DCUNet", "Level"]

Activation = Literal["relu", "leaky_relu", "silu"]
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "silu": silu,
}


class Level(NamedTuple):
    """A convolution on the way down; each pair is (along frequency, along frames)."""

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    @property
    def padding(self) -> tuple[int, int]:
        """Half of the kernel, whatever the dilation, as published."""
        return self.kernel[0] // 2, self.kernel[1] // 2

    def after(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Frequencies and frames of the result for those of the input, below 1 if too few."""
        axes = zip(sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)

    def dropped(self, sizes: Sequence[int]) -> list[int]:
        """What the strides leave over at the end of the input, without a place in the result."""
        axes = zip(sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return [(n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in axes]


# The encoders that the published code knows by name; the decoder is the mirror image.
DCUNET_LEVELS: Mapping[str, tuple[Level, ...]] = {
    "DCUNet-10": (
        Level(32, (7, 5), (2, 2)),
        Level(64, (7, 5), (2, 2)),
        *[Level(64, (5, 3), (2, 2))] * 2,
        Level(64, (5, 3), (2, 1)),
    ),
    "DCUNet-16": (
        Level(32, (7, 5), (2, 2)),
        Level(32, (7, 5), (2, 1)),
        Level(64, (7, 5), (2, 2)),
        Level(64, (5, 3), (2, 1)),
        *[Level(64, (5, 3), (2, 2)), Level(64, (5, 3), (2, 1))] * 2,
    ),
    "DCUNet-20": (
        Level(32, (7, 1)),
        Level(32, (1, 7)),
        Level(64, (7, 5), (2, 2)),
        Level(64, (7, 5), (2, 1)),
        *[Level(64, (5, 3), (2, 2)), Level(64, (5, 3), (2, 1))] * 2,
        Level(64, (5, 3), (2, 2)),
        Level(90, (5, 3), (2, 1)),
    ),
    "DilDCUNet-v2": (
        *[Level(32, (4, 4))] * 3,
        Level(64, (4, 4), (2, 1), (2, 1)),
        Level(128, (4, 4), (2, 2), (4, 1)),
        Level(256, (4, 4), (2, 2), (8, 1)),
    ),
}


class Complex(nn.Module):
    """P + i Q: the biases of both parts act on both, as published."""

    real: nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    imag: nn.Linear | nn.Conv2d | nn.ConvTranspose2d

    input_axis = 1  # of the weights of both parts

    def tied(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight [P, -Q; Q, P] and the bias of the real layer."""
        p, q, inputs = self.real.weight, self.imag.weight, self.input_axis
        rows = torch.cat((p, -q), inputs), torch.cat((q, p), inputs)
        weight = torch.cat(rows, 1 - inputs)
        if self.real.bias is None or self.imag.bias is None:
            return weight, None
        return weight, torch.cat((self.real.bias - self.imag.bias, self.real.bias + self.imag.bias))


class ComplexLinear(Complex):
    """(batch, 2 inputs) to (batch, 2 outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.real, self.imag = (nn.Linear(inputs, outputs) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, *self.tied())


class ComplexConvolution(Complex):
    """(batch, 2 inputs, f, n) to (batch, 2 channels of the level, f', n')."""

    def __init__(self, inputs: int, level: Level) -> None:
        super().__init__()
        self.level = level
        self.real, self.imag = (
            nn.Conv2d(inputs, level.channels, level.kernel, bias=False) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        level = self.level
        return conv2d(x, *self.tied(), level.stride, level.padding, level.dilation)


class ComplexTransposed(Complex):
    """The way back through a level: (batch, 2 inputs, f', n') to (batch, 2 outputs, f, n)."""

    input_axis = 0

    def __init__(self, inputs: int, outputs: int, level: Level, *, bias: bool = False) -> None:
        super().__init__()
        self.level = level
        self.real, self.imag = (
            nn.ConvTranspose2d(inputs, outputs, level.kernel, bias=bias) for _ in range(2)
        )

    def forward(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        level, (weight, bias) = self.level, self.tied()
        return conv_transpose2d(
            x,
            weight,
            bias,
            stride=level.stride,
            padding=level.padding,
            output_padding=level.dropped(sizes),
            dilation=level.dilation,
        )


class SeparateNorm(nn.Module):
    """Batch normalisation of the real and of the imaginary parts."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.real, self.imag = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        u, v = x.chunk(2, dim=1)
        return torch.cat((self.real(u), self.imag(v)), dim=1)


class JointNorm(nn.Module):
    """Whitening of (u, v), then a symmetric 2 x 2 matrix (Trabelsi et al. 2018, arXiv:1705.09792).

        V = cov(u, v) + eps,    s = sqrt(det V),    V^(-1/2) = (s + adj V) / (s sqrt(tr V + 2 s))

    Moments are those of the input itself, there are no running ones: of the batch in training, of
    each item in evaluation, so that an item never depends on its batch.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight_uu = nn.Parameter(torch.ones(channels))
        self.weight_uv = nn.Parameter(torch.empty(channels).uniform_(-0.9, 0.9))  # definite
        self.weight_vv = nn.Parameter(torch.ones(channels))
        self.bias_u = nn.Parameter(torch.zeros(channels))
        self.bias_v = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        axes = (0, 2, 3) if self.training else (2, 3)
        u, v = x.to(self.bias_u.dtype).chunk(2, dim=1)  # autocast may have made it another one
        u = u - u.mean(axes, keepdim=True)
        v = v - v.mean(axes, keepdim=True)
        uu = (u * u).mean(axes, keepdim=True) + self.eps
        uv = (u * v).mean(axes, keepdim=True)
        vv = (v * v).mean(axes, keepdim=True) + self.eps
        s = (uu * vv - uv * uv).sqrt()
        scale = 1 / (s * (uu + vv + 2 * s).sqrt())
        uu, uv, vv = (s + vv) * scale, -uv * scale, (s + uu) * scale
        a, b, c, p, q = (
            weight[:, None, None]
            for weight in (self.weight_uu, self.weight_uv, self.weight_vv, self.bias_u, self.bias_v)
        )
        whole = (a * uu + b * uv) * u + (a * uv + b * vv) * v + p
        return torch.cat((whole, (b * uu + c * uv) * u + (b * uv + c * vv) * v + q), dim=1)


NORMS: Mapping[str, type[SeparateNorm] | type[JointNorm]] = {
    "separate": SeparateNorm,
    "joint": JointNorm,
}


class Waves(nn.Module, ABC):
    """exp(i phase), or real [sin, cos](phase) of half as many: (batch,) to (batch, 2 width)."""

    def __init__(self, width: int, complex_valued: bool) -> None:
        super().__init__()
        self.complex_valued = complex_valued
        self.count = width if complex_valued else width // 2

    @abstractmethod
    def phase(self, t: Tensor) -> Tensor:
        """(batch,) to (batch, count), in rad."""

    def forward(self, t: Tensor) -> Tensor:
        phase = self.phase(t)
        sin, cos = phase.sin(), phase.cos()
        if self.complex_valued:
            return torch.cat((cos, sin), dim=1)
        return torch.cat((sin, cos, torch.zeros_like(sin), torch.zeros_like(cos)), dim=1)


class GaussianFourier(Waves):
    """phase = 2 pi w t, w ~ N(0, 16^2) and not trained."""

    def __init__(self, width: int, complex_valued: bool) -> None:
        super().__init__(width, complex_valued)
        self.frequencies = nn.Parameter(16 * torch.randn(self.count), requires_grad=False)

    def phase(self, t: Tensor) -> Tensor:
        return 2 * pi * (t.to(self.frequencies)[:, None] * self.frequencies)


class DiffusionSteps(Waves):
    """phase = 10^(4 k / (count - 1)) t for k = 0, ..., count - 1."""

    def phase(self, t: Tensor) -> Tensor:
        # In single precision whatever t has: the published frequencies, rounded as they are.
        k = torch.arange(self.count, dtype=torch.float32, device=t.device)
        return t[:, None] * 10 ** (4 * k / (self.count - 1))


WAVES: Mapping[str, type[Waves]] = {"fourier": GaussianFourier, "steps": DiffusionSteps}


class TimeEmbedding(nn.Module):
    """Waves and layers f(A e): (batch,) to (batch, 2 width)."""

    def __init__(self, waves: Waves, width: int, layers: int, activation: Activation) -> None:
        super().__init__()
        self.waves = waves
        self.layers = nn.ModuleList(ComplexLinear(width, width) for _ in range(layers))
        self.activation = ACTIVATIONS[activation]

    def forward(self, t: Tensor) -> Tensor:
        e: Tensor = self.waves(t)
        for layer in self.layers:
            e = self.activation(layer(e))
        return e


class TimeLayers(nn.ModuleList):
    """What a block adds to its features: (batch, 2 width) to (batch, 2 channels, 1, 1)."""

    def __init__(self, width: int, channels: int, layers: int, activation: Activation) -> None:
        super().__init__(ComplexLinear(width, width) for _ in range(layers - 1))
        self.append(ComplexLinear(width, channels))
        self.activation = ACTIVATIONS[activation]

    def forward(self, e: Tensor) -> Tensor:
        for layer in self:
            e = self.activation(layer(e))
        return e[:, :, None, None]


class Block(nn.Module):
    """x -> f(N(C x + f_e(A e))), with C either way; `sizes` are those that the way back meets."""

    def __init__(
        self,
        conv: ComplexConvolution | ComplexTransposed,
        norm: SeparateNorm | JointNorm,
        time: TimeLayers | None,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.time = time
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor, e: Tensor | None, *sizes: Sequence[int]) -> Tensor:
        h = self.conv(x, *sizes)
        if self.time is not None:
            h = h + self.time(e)
        return self.activation(self.norm(h))


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
