"""Networks net(x, y, t): complex (batch, channel, frequency, frame) in and out, t (batch,)."""

from sgmse.networks.base import Network
from sgmse.networks.dcunet import DCUNet
from sgmse.networks.magnitude_preserving import MagnitudePreservingUNet
from sgmse.networks.ncsnpp import NCSNpp
from sgmse.networks.nemo import NemoNCSNpp
from sgmse.networks.slim import SlimUNet

__all__ = ["DCUNet", "MagnitudePreservingUNet", "NCSNpp", "NemoNCSNpp", "Network", "SlimUNet"]
