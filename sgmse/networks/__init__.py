"""Networks net(x, y, t), which estimate what a process needs to be turned back.

Complex spectrograms (batch, channel, frequency, frame) of the state x and the observation y come
in, with times t (batch,); a spectrogram like x goes out. One adds a network by a file of its own
with a `Network` that defines `forward`. `BandGains` is another kind: it frees of noise what lies
above the band of a model; and so is an `Autoencoder`, in whose latent a process may run.
"""

from sgmse.networks._autoencoder import (
    Autoencoder,
    BandAutoencoder,
    LinearAutoencoder,
    Posterior,
)
from sgmse.networks._bands import BandGains
from sgmse.networks._base import Advance, Memory, Network
from sgmse.networks._causal import CausalUNet
from sgmse.networks._dcunet import DCUNET_LEVELS, DCUNet
from sgmse.networks._magnitude_preserving import MagnitudePreservingUNet
from sgmse.networks._ncsnpp import NCSNpp
from sgmse.networks._nemo import NemoNCSNpp
from sgmse.networks._slim import SlimUNet
from sgmse.networks._wavenet import WaveNet
from sgmse.networks._wrapped import Wrapped

__all__ = [
    "DCUNET_LEVELS",
    "Advance",
    "Autoencoder",
    "BandAutoencoder",
    "BandGains",
    "CausalUNet",
    "DCUNet",
    "LinearAutoencoder",
    "MagnitudePreservingUNet",
    "Memory",
    "NCSNpp",
    "NemoNCSNpp",
    "Network",
    "Posterior",
    "SlimUNet",
    "WaveNet",
    "Wrapped",
]
