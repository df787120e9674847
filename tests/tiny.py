"""Models that answer in milliseconds: for tests of all that is around a model."""

import torch

from sgmse.checkpoints import Checkpoint
from sgmse.enhancer import Enhancer
from sgmse.estimates import Data
from sgmse.model import ScoreModel
from sgmse.networks import Network, SlimUNet
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Uniform
from sgmse.transforms import Spectrogram

RATE = 16000
TRANSFORM = Spectrogram(62, 16)


class Identity(Network):
    """The estimate of clean audio is the input."""

    def forward(self, x, y, t):
        return y


class Pointwise(Network):
    """Each bin for itself, and the state matters: so does its noise."""

    def forward(self, x, y, t):
        return 0.6 * y + 0.3 * x


def network() -> SlimUNet:
    """A random network whose output depends on all of its inputs."""
    torch.manual_seed(0)
    net = SlimUNet(channels=(4, 8), blocks=(1, 1), dual_paths=1, embedding=8)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
        net.head.bias[1] += 0.5  # some of the input comes through
    return net.eval().requires_grad_(False)


def checkpoint(net: Network | None = None) -> Checkpoint:
    model = ScoreModel(network() if net is None else net, SBVE(), Data())
    one_step = Uniform(steps=1, end=0.0)
    return Checkpoint(model, TRANSFORM, RATE, Exponential(start=0.0), one_step, licence="CC0-1.0")


def enhancer(net: Network | None = None) -> Enhancer:
    return Enhancer.of(checkpoint(net))
