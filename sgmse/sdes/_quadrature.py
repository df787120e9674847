"""Integrals over smooth functions, by Gauss and Legendre."""

from functools import cache

import numpy as np
from torch import Tensor

from sgmse._device import constants


def gauss(points: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1], each (points,), in the precision and on the device of `like`."""
    nodes, weights = _gauss(points)
    return constants(nodes, like), constants(weights, like)


@cache
def _gauss(points: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return tuple(((1 + nodes) / 2).tolist()), tuple((weights / 2).tolist())
