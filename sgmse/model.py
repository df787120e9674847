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

    Raises:
        ValueError: the parametrization does not serve the process (`Parametrization.refusal`).
    """

    def __init__(self, network: Network, sde: SDE, parametrization: Parametrization) -> None:
        super().__init__()
        if why := parametrization.refusal(sde):
            raise ValueError(why)
        self.network = network
        self.sde = sde
        self.parametrization = parametrization

    def forward(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x (batch, ...) with the observation y (like x) and times t (batch,).

        Where there is no observation, y is None: the network is given None, and b y is 0.
        """
        seen = x.new_zeros(()).expand_as(x) if y is None else y
        state, observation, time = self.parametrization.inputs(x, seen, t, self.sde)
        output = self.network(state, None if y is None else observation, time)
        return self.parametrization.estimate(output, x, seen, t, self.sde)

    def score(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        """grad log p_t(x | y) = -noise / sigma, in the complex (Wirtinger) convention, like x."""
        return -self(x, y, t).noise / expand(self.sde.scales(t).sigma, x)
