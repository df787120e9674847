"""The layers of `CausalUNet` for one frame at one time: few operations, and all of them matrices.

A frame is (band, channel), so that normalisation is along its last axis, and a convolution is a
product with what lies around each band:

    conv(x)_f = [x_(f-1), x_f, x_(f+1)] W + b

A convolution that looks back is that product with the weights of all its frames at once. What is of
now comes out; what is for the frames to come waits, added up, in the memory.

What depends on the time alone is in the biases. These matrices are copies: of weights that change
there are others. They are no modules, as each call of one takes as long as a small product.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.networks._causal_layers import BandMixing, CausalConv, CausalPath, CausalResidual
from sgmse.networks._slim import ChannelNorm


def around(x: Tensor, bands: int = 3, stride: int = 1) -> Tensor:
    """(band, channel) to (band, bands x channel): from the band below on, of each or every second.

    A view whose rows overlap, which products of torch copy as they need it; runtimes have no views.
    """
    padded, (rows, channels) = torch.constant_pad_nd(x, (0, 0, 1, 1)), x.shape
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        last = rows + 3 - bands
        return torch.cat([padded[k : k + last : stride] for k in range(bands)], dim=1)
    return padded.as_strided((rows // stride, bands * channels), (stride * channels, 1))


class Norm:
    """`ChannelNorm` of (band, channel)."""

    def __init__(self, norm: ChannelNorm) -> None:
        self.weight, self.bias = norm.weight.detach().clone(), norm.bias.detach().clone()
        self.shape = tuple(self.weight.shape)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.layer_norm(x, self.shape, self.weight, self.bias)


class Affine:
    """x W + b.

    Args:
        weight: W, (source, target).
        bias: b, (target,).
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight.detach().clone(memory_format=torch.contiguous_format)
        self.bias = bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


class Same(Affine):
    """A convolution of three bands, of a frame and those before it side by side, oldest first."""

    def __init__(self, conv: nn.Conv2d) -> None:
        weight = conv.weight.permute(2, 3, 1, 0).reshape(-1, conv.out_channels)
        assert conv.bias is not None
        super().__init__(weight, conv.bias)

    @override
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(around(x))


class LookingBack:
    """A convolution of three bands and some frames, of one frame.

    Its memory is (band, frames before x channel): what was heard adds to the next frame, to that
    after it, and so on.
    """

    def __init__(self, conv: CausalConv, more: Tensor) -> None:
        self.channels, frames = conv.out_channels, conv.kernel_size[1]
        weight = conv.weight.detach().flip(3).permute(2, 1, 3, 0)  # that of now comes first
        self.weight = weight.reshape(-1, frames * self.channels)
        assert conv.bias is not None
        none = conv.bias.new_zeros((frames - 1) * self.channels)
        self.bias = torch.cat([conv.bias + more, none]).detach()

    def __call__(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        waiting = torch.constant_pad_nd(before, (0, self.channels)) + self.bias
        out = torch.addmm(waiting, around(x), self.weight)
        return out[:, : self.channels], out[:, self.channels :]


class Halved(Affine):
    """A convolution of four bands to every second one."""

    def __init__(self, conv: nn.Conv2d) -> None:
        weight = conv.weight[..., 0].permute(2, 1, 0).reshape(-1, conv.out_channels)
        assert conv.bias is not None
        super().__init__(weight, conv.bias)

    @override
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(around(x, bands=4, stride=2))


class Doubled(Affine):
    """A transposed convolution of four bands: two for each one, of it and its neighbours.

    Of the weights W_0 to W_3 band 2 m has W_3 x_(m-1) + W_1 x_m, and 2 m + 1 W_2 x_m + W_0 x_(m+1).
    """

    def __init__(self, conv: nn.ConvTranspose2d) -> None:
        w = conv.weight[..., 0]
        weight = w.new_zeros(3, w.shape[0], 2, w.shape[1])
        weight[0, :, 0], weight[1, :, 0] = w[..., 3], w[..., 1]
        weight[1, :, 1], weight[2, :, 1] = w[..., 2], w[..., 0]
        assert conv.bias is not None
        super().__init__(weight.reshape(3 * w.shape[0], -1), conv.bias.repeat(2))

    @override
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(around(x)).reshape(2 * x.shape[0], -1)


class ResidualStep:
    """`CausalResidual` at one time; its memory is that of the convolution that looks back."""

    def __init__(self, layer: CausalResidual, embedding: Tensor) -> None:
        self.norm1, self.norm2 = Norm(layer.norm1), Norm(layer.norm2)
        self.conv1 = LookingBack(layer.conv1, layer.time(embedding))
        self.conv2 = Same(layer.conv2)

    def __call__(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        h, after = self.conv1(functional.silu(self.norm1(x)), before)
        return x + self.conv2(functional.silu(self.norm2(h))), after


class MixingStep:
    """`BandMixing` of one frame: matrices (group, band, band) from the left."""

    def __init__(self, layer: BandMixing, bands: int) -> None:
        self.norm, self.groups = Norm(layer.norm), layer.groups
        self.first = layer.first.detach().view(-1, 2 * bands, bands).clone()
        self.second = layer.second.detach().view(-1, bands, 2 * bands).clone()

    def __call__(self, x: Tensor) -> Tensor:
        bands, channels = x.shape
        h = self.norm(x).view(bands, self.groups, -1).transpose(0, 1)
        h = torch.bmm(self.second, functional.silu(torch.bmm(self.first, h)))
        return x + h.transpose(0, 1).reshape(bands, channels)


class PathStep:
    """`CausalPath` of one frame: the four gates of its LSTM are one product.

    Its memory are the outputs and the cells, (band, hidden) both.
    """

    def __init__(self, layer: CausalPath, bands: int) -> None:
        lstm, self.hidden = layer.lstm, layer.lstm.hidden_size
        # Input, forget, cell and output gates become those with a sigmoid, then the cell.
        order = torch.arange(4 * self.hidden).view(4, -1)[[0, 1, 3, 2]].flatten()
        seen, carried, *biases = lstm.all_weights[0]
        weight, bias = torch.cat([seen, carried], dim=1), biases[0] + biases[1]
        self.norm = Norm(layer.norm)
        self.gates = Affine(weight[order].T, bias[order])
        self.out = Affine(layer.out.weight.T, layer.out.bias)
        self.mixing = MixingStep(layer.mixing, bands)

    def __call__(self, x: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates = self.gates(torch.cat([self.norm(x), h], dim=1))
        i, f, o = torch.chunk(gates[:, : 3 * self.hidden].sigmoid(), 3, dim=1)
        cell = torch.addcmul(f * cell, i, gates[:, 3 * self.hidden :].tanh())
        h = o * cell.tanh()
        out: Tensor = self.mixing(x + self.out(h))
        return out, h, cell
