"""The layers of `DCUNet`.

A complex layer is a real one with tied weights on the channels [Re, Im],

    (P + i Q)(u + i v) = [P, -Q; Q, P] [u; v],

and that is how it is computed: one real layer, where there were four of half the size.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import pi
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    conv2d,
    conv_transpose2d,
    leaky_relu,
    linear,
    relu,
    silu,
)

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
