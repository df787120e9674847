"""What the two kinds of NCSN++ share: layers as they are initialised, and the Fourier features."""

from math import pi
from typing import TypeVar

import torch
from torch import Tensor, nn

from sgmse.errors import ArgumentError

#: The published scale of the weights of what begins as nothing.
ALMOST_ZERO = 1e-5

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def initialised(layer: Layer, scale: float = 1.0) -> Layer:
    """A layer with scaled weights from Xavier's uniform distribution, and no bias."""
    nn.init.xavier_uniform_(layer.weight, gain=scale)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def convolution(inputs: int, outputs: int, size: int, scale: float = 1.0) -> nn.Conv2d:
    """A convolution with a square kernel of that odd size, which keeps the shape."""
    return initialised(nn.Conv2d(inputs, outputs, size, padding=size // 2), scale)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """An affine map."""
    return initialised(nn.Linear(inputs, outputs))


def groups(channels: int) -> int:
    """How many groups so many channels are normalised in."""
    count = min(channels // 4, 32)
    if count == 0 or channels % count:
        raise ArgumentError(
            f"{channels} channels cannot be normalised in min({channels} // 4, 32) = {count} "
            "groups; choose `channels` and `multipliers` so that each width, and each sum of two "
            "that a skip joins, is a multiple of 4, or of 32 above 128"
        )
    return count


class GaussianFourier(nn.Module):
    """[sin, cos](2 pi w log t), w ~ N(0, 16^2) not trained: (batch,) to (batch, 2 channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(16 * torch.randn(channels), requires_grad=False)

    def forward(self, t: Tensor) -> Tensor:
        """The features of the times t."""
        # log t in the precision of the weights: at 300 rad and more each bit of it counts
        return self.waves(t.to(self.frequencies).log())

    def waves(self, logarithm: Tensor) -> Tensor:
        """The features of the times with that logarithm, (batch,)."""
        phase = 2 * pi * (logarithm[:, None] * self.frequencies)
        return torch.cat((phase.sin(), phase.cos()), dim=1)
