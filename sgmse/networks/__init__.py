"""Networks net(x, y, t): complex (batch, channel, frequency, frame) in and out, t (batch,)."""

from sgmse.networks.base import Network
from sgmse.networks.ncsnpp import NCSNpp
from sgmse.networks.slim import SlimUNet

__all__ = ["NCSNpp", "Network", "SlimUNet"]
