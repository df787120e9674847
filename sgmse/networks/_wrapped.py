"""A causal network in other clothes: all but what a subclass changes is that of the network."""

from torch import Tensor
from typing_extensions import override

from sgmse.networks._base import Memory, Network


class Wrapped(Network):
    """The same network; subclasses change how it goes on frame by frame (`advancing`)."""

    causal = True

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.config = network, network.config
        self.divisor, self.observations = network.divisor, network.observations

    @override
    def forward(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        out: Tensor = self.network(x, y, t)
        return out

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        return self.network.real_valued(x, y, t)

    @override
    def advance(
        self, x: Tensor, y: Tensor, t: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Memory]:
        return self.network.advance(x, y, t, memory)
