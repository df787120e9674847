"""A network, a process and a parametrization make a model: (x_t, y, t) to an `Estimate`."""

from torch import Tensor, nn

from sgmse.estimates import Estimate, Parametrization
from sgmse.networks import Network
from sgmse.sdes import SDE, expand


class ScoreModel(nn.Module):
    """The estimate of (x0, noise) at a state of a process.

    Args:
        network: net(x, y, t), complex (batch, channel, frequency, frame) in and out, t (batch,).
        sde: the process.
        parametrization: what the output of the network means.
    """

    def __init__(self, network: Network, sde: SDE, parametrization: Parametrization) -> None:
        super().__init__()
        if sde.pinned and parametrization.divides_by_a:
            raise ValueError(
                f"{parametrization} divides by a(t), and {sde} has a(1) = 0; "
                "use a parametrization that estimates the data, such as Data()"
            )
        self.network = network
        self.sde = sde
        self.parametrization = parametrization

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Estimate:
        """The estimate at x (batch, ...) with the observation y (like x) and times t (batch,)."""
        output = self.network(*self.parametrization.inputs(x, y, t, self.sde))
        return self.parametrization.estimate(output, x, y, t, self.sde)

    def score(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """grad log p_t(x | y) = -noise / sigma, in the complex (Wirtinger) convention, like x."""
        return -self(x, y, t).noise / expand(self.sde.scales(t).sigma, x)
