"""Convolutions of three by three points with a quarter of the products (Winograd's algorithm).

Four results in a row of a correlation with three taps are the values of a product of polynomials,
which six products determine: those at five points and at infinity (Toom-Cook). Along both axes

    Y = A^T [ sum over channels of (G g G^T) (B^T d B) ] A

of tiles d of 6 x 6 points, whose results are Y of 4 x 4: 36 products a channel in place of 144
(Lavin and Gray 2016, arXiv:1509.09308, eq. 8*). The points 0, 1, -1, 1/2, -2 are powers of two, so
that B^T and A^T are exact, near 1, so that they are small (what errs little is studied by Barabasz
et al. 2020, arXiv:1803.10986): the error is 2e-6 to 5e-6 of the largest result in single precision,
a few times that of the plain sum.

It pays where channels and points are many, and on a CPU alone, whose libraries do not have it.
"""

from functools import cache
from itertools import product
from math import prod

import numpy as np
import torch
from numpy.polynomial.polynomial import polyfromroots
from torch import Tensor, nn
from torch.nn.functional import conv2d

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
TAPS = 3
STEP = len(POINTS) + 2 - TAPS  # results of a tile along an axis: 4
TILE = STEP + TAPS - 1  # 6
#: Tiles at a time, whose 36 numbers for each channel a cache holds.
TILES = 128
#: From so many channels and points on it is quicker than the plain sum
#: (benchmarks/results/convolutions.md); with fewer points the weights cost as much as they bring.
CHANNELS, AREA = 128, 64 * 64


@cache
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """A^T (4, 6), G (6, 3), B^T (6, 6) in double precision.

    The rows of B^T have powers of two taken out, which G has, so that no product is far from one.
    """
    powers = np.vander(POINTS, STEP, increasing=True)
    outer = np.vstack([powers, np.eye(STEP)[-1]]).T
    others = [[q for q in POINTS if q != p] for p in POINTS]
    inner = np.zeros((TILE, TILE))
    for row, roots in zip(inner, [*others, POINTS], strict=True):
        row[: len(roots) + 1] = polyfromroots(roots)
    norms = [np.prod(np.subtract(p, roots)) for p, roots in zip(POINTS, others, strict=True)]
    taps = np.vstack([np.vander(POINTS, TAPS, increasing=True), np.eye(TAPS)[-1]])
    taps /= np.array([*norms, 1.0])[:, None]
    scale = np.exp2(np.round(np.log2(np.abs(inner).max(1))))[:, None]
    return tuple(map(torch.from_numpy, (outer, taps * scale, inner / scale)))  # type: ignore[return-value]


def _both(matrix: Tensor, x: Tensor, between: Tensor, out: Tensor) -> Tensor:
    """A matrix along the first two axes of x, (n, n, any) by way of (m, n, any) to (m, m, any)."""
    m, n = matrix.shape
    torch.mm(matrix, x.view(n, -1), out=between.view(m, -1))
    return torch.bmm(matrix.expand(m, m, n), between, out=out)


class _Memory:
    """What is written again and again: fresh pages cost more than what is computed in them."""

    def __init__(self, like: Tensor, size: int) -> None:
        self.numbers = like.new_empty(size)

    def __call__(self, *shape: int) -> Tensor:
        return self.numbers[: prod(shape)].view(shape)


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`conv2d(x, weight, bias, padding=1)`, to rounding, for kernels of three by three.

    Args:
        x: (batch, inputs, h, w), best in channels-last order.
        weight: (outputs, inputs, 3, 3).
        bias: (outputs,).

    Returns:
        (batch, outputs, h, w) in channels-last order. It has no gradient.
    """
    outer, taps, inner = (z.to(weight) for z in _matrices())
    batch, inputs, height, width = x.shape
    outputs = weight.shape[0]
    g = weight.permute(2, 3, 0, 1).contiguous().flatten(2)
    u = _both(taps, g, g.new_empty(TILE, TAPS, g.shape[2]), g.new_empty(TILE, TILE, g.shape[2]))
    u = u.view(TILE * TILE, outputs, inputs).mT
    y = x.new_empty(batch, height, width, outputs)
    down, across = -(-height // STEP), -(-width // STEP)
    columns = min(across, TILES)
    rows = min(down, max(1, TILES // columns))
    size = rows * columns * max(inputs, outputs) * TILE * TILE
    one, two, three = (_Memory(x, size) for _ in range(3))
    for item, row, column in product(range(batch), range(0, down, rows), range(0, across, columns)):
        m, n = min(rows, down - row), min(columns, across - column)
        top, left, high, wide = row * STEP, column * STEP, m * STEP, n * STEP
        part = three(high + TAPS - 1, wide + TAPS - 1, inputs)
        _around(x[item], top, left, part)
        tiles = part.unfold(0, TILE, STEP).unfold(1, TILE, STEP).permute(3, 4, 0, 1, 2)
        d = one(TILE, TILE, m, n, inputs).copy_(tiles).flatten(2)
        v = _both(inner, d, two(*d.shape), one(*d.shape)).view(TILE * TILE, m * n, inputs)
        z = torch.bmm(v, u, out=two(TILE * TILE, m * n, outputs)).view(TILE, TILE, -1)
        some = z.shape[2]
        z = _both(outer, z, one(STEP, TILE, some), three(STEP, STEP, some))
        z = z.view(STEP, STEP, m, n, outputs).permute(2, 0, 3, 1, 4)
        place = y[item, top : top + high, left : left + wide]
        whole = place.shape[:2] == (high, wide)
        made = place if whole else one(high, wide, outputs)
        # A view of what is to be written, whose rows need not lie one behind the other.
        tiled = torch.unflatten(torch.unflatten(made, 1, (n, STEP)), 0, (m, STEP))
        torch.add(z, 0 if bias is None else bias, out=tiled)
        if not whole:
            place.copy_(made[: place.shape[0], : place.shape[1]])
    return y.permute(0, 3, 1, 2)


def _around(x: Tensor, top: int, left: int, part: Tensor) -> None:
    """Copy what begins a point above and left of there, zero outside.

    Args:
        x: (channels, h, w).
        top, left: of the points in the middle of the first taps.
        part: (height, width, channels), written.
    """
    above, before = max(0, 1 - top), max(0, 1 - left)
    inside = x[:, top - 1 + above : top - 1 + part.shape[0], left - 1 + before :]
    inside = inside[..., : part.shape[1] - before].permute(1, 2, 0)
    high, wide = inside.shape[:2]
    part[above : above + high, before : before + wide] = inside
    part[:above], part[above + high :] = 0, 0
    part[:, :before], part[:, before + wide :] = 0, 0


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`conv2d(x, weight, bias, padding=1)` by the quicker way, for kernels of three by three.

    That is `winograd` in `torch.inference_mode` on a CPU, in single precision and channels-last
    order. All else, and what is traced or compiled, is that of PyTorch.
    """
    quicker = (
        torch.is_inference_mode_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and min(weight.shape[:2]) >= CHANNELS
        and x.shape[2] * x.shape[3] >= AREA
        and x.is_contiguous(memory_format=torch.channels_last)
    )
    return winograd(x, weight, bias) if quicker else conv2d(x, weight, bias, padding=1)


class Convolution(nn.Conv2d):
    """Of three by three points, which keeps the shape: `convolved`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, TAPS, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, h, w) to (batch, outputs, h, w)."""
        return convolved(x, self.weight, self.bias)
