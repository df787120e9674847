"""What a recording says of clean audio: m = A(x0) + n, and n of a known law."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.inference._operators import Operator


@dataclass(frozen=True, eq=False)
class Measurement:
    """m = A(x0) + n, n ~ CN(0, noise^2), or N(0, noise^2) where m is real.

    Noise of a known spectrum is white after a filter: whiten the recording, and put the same
    `Filter` behind A in a `Chain`.

    Args:
        operator: A.
        value: m, (batch, ...), or (1, ...) for all items alike.
        noise: its standard deviation, sqrt(E|n|^2), positive: one, or one for each element of m.

    Raises:
        ValueError: noise that is not positive.
    """

    operator: Operator
    value: Tensor
    noise: float | Tensor

    def __post_init__(self) -> None:
        kinds(self)
        deviation = torch.as_tensor(self.noise)
        if deviation.is_complex() or not bool((deviation > 0).all()):
            raise ArgumentError(
                "Measurement: noise must be positive and real; what is known without noise has a "
                "small one, such as 1e-3 of its size"
            )

    def residual(self, x0: Tensor) -> Tensor:
        """m - A(x0), (batch, ...)."""
        return self.value - self.operator(x0)

    def variance(self, like: Tensor) -> Tensor:
        """noise^2 as a state like this counts it: () or of the shape of an item of m, and real.

        With real and complex together, that of a real part is what they share: a complex element of
        variance 1 has 1/2 in each of its two parts.
        """
        squared = torch.as_tensor(self.noise, dtype=like.real.dtype, device=like.device) ** 2
        return squared * (1 + like.is_complex()) / (1 + self.value.is_complex())

    def log_likelihood(self, x0: Tensor) -> Tensor:
        """ln p(m | x0) but for a constant, (batch,) in nats: a reward for `steer`, too."""
        squares = (self.residual(x0) / torch.as_tensor(self.noise)).abs().square()
        return -squares.flatten(1).sum(dim=1) * (1.0 if self.value.is_complex() else 0.5)

    def score(self, x0: Tensor) -> Tensor:
        """Its gradient in x0, in the complex (Wirtinger) convention, like x0."""
        w = self.residual(x0) / self.variance(x0)
        return self.operator.adjoint(w, x0)
