"""Models that answer in milliseconds: for tests of all that is around a model."""

from dataclasses import replace

import torch

from sgmse.checkpoints import Checkpoint
from sgmse.enhancer import Enhancer
from sgmse.estimates import Data
from sgmse.front import FrontEnd
from sgmse.latent import Latent
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import BandAutoencoder, CausalUNet, NCSNpp, Network, SlimUNet
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import Exponential, Sampler, SamplerRange, Uniform
from sgmse.transforms import Power, Spectrogram

RATE = 16000
TRANSFORM = Spectrogram(62, 16)
FRONT = FrontEnd(TRANSFORM, RATE)


class Identity(Network):
    """The estimate of clean audio is the input."""

    def forward(self, x, y, t):
        return y


class Gain(Network):
    """What comes in, so many times as loud; the spectrum is a root of the samples."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.config = {"gain": gain}
        self.gain = gain

    def forward(self, x, y, t):
        return self.gain**0.5 * y


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
        for parameter in net.head.parameters():
            parameter.mul_(0.3)  # and the result is quieter than the input, as results are
    return net.eval().requires_grad_(False)


def checkpoint(net: Network | None = None) -> Checkpoint:
    model = ScoreModel(network() if net is None else net, SBVE(), Data())
    one_step = Sampler(Exponential(start=0.0), Uniform(steps=1, end=0.0))
    any_other = (SamplerRange(),)
    return Checkpoint(model, FRONT, one_step, licence="CC0-1.0", samplers=any_other)


def causal_checkpoint(frequencies: int = 16, **changes) -> Checkpoint:
    """A random network that hears nothing ahead, in frames of 30 samples."""
    torch.manual_seed(0)
    sizes = {"frequencies": frequencies, "channels": (4, 8), "paths": 1, "hidden": 8, "groups": 2}
    net = CausalUNet(**sizes, halving=50)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    made = checkpoint(net.eval().requires_grad_(False))
    transform = Spectrogram(2 * (frequencies - 1), frequencies - 1, Power(0.3, 0.3))
    front = FrontEnd(transform, RATE, level="published")
    return replace(made, **{"front": front} | changes)


class Predictive(Network):
    """An estimate of its own of each bin, from the observation alone."""

    def __init__(self, gain: float = 0.7) -> None:
        super().__init__()
        self.config = {"gain": gain}
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, x, y, t):
        return self.gain * y * y.abs() ** 0.1


def regeneration(conditioning: str = "both", moved: float = 0.0) -> Regeneration:
    """A random NCSN++ that refines what a pointwise predictor makes of the input."""
    torch.manual_seed(0)
    seen = 2 if conditioning == "both" else 1
    net = NCSNpp(channels=4, multipliers=(1, 2), blocks=1, bins=32, observations=seen)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.copy_(0.2 * torch.randn_like(parameter))
        for parameter in net.output.parameters():
            parameter.mul_(0.1)  # the result is quieter than the input
    model = Regeneration(Predictive(), ScoreModel(net, OUVE(), Data()), conditioning, moved)
    return model.eval().requires_grad_(False)


def enhancer(net: Network | None = None) -> Enhancer:
    return Enhancer.of(checkpoint(net))


def causal_network(observations: int = 1) -> CausalUNet:
    """A random network that hears nothing ahead, for windows of 30 samples."""
    torch.manual_seed(0)
    sizes = {"frequencies": 16, "channels": (4, 8), "paths": 1, "hidden": 8, "groups": 2}
    made = CausalUNet(**sizes, halving=50, observations=observations)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval().requires_grad_(False)


def causal() -> Enhancer:
    """Of that network: a stream of it goes frame by frame."""
    transform = Spectrogram(30, 15, Power(0.3, 0.3))
    made = with_front(enhancer(causal_network()), transform=transform, level="published")
    return replace(made, force=True)  # random weights


def with_sampler(owner, **changes):
    """A checkpoint or an enhancer that is sampled otherwise, be it made for that or not."""
    return replace(owner, sampler=replace(owner.sampler, **changes), samplers=())


def with_front(owner, **changes):
    """A checkpoint or an enhancer that hears otherwise."""
    return replace(owner, front=replace(owner.front, **changes))


def latent(factor: float = 0.5) -> Latent:
    """That of a random autoencoder."""
    torch.manual_seed(0)
    made = BandAutoencoder(32, 4, channels=4, blocks=1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name != "log_noise":
                parameter.add_(0.2 * torch.randn_like(parameter))
        for parameter in made.out.parameters():
            parameter.mul_(0.1)
    spectrogram = Spectrogram(62, 16, Power(0.5, 0.3))  # 32 frequencies
    return Latent(spectrogram, made.eval().requires_grad_(False), factor)


def latent_checkpoint(transform: Latent | None = None) -> Checkpoint:
    model = ScoreModel(network(), SBVE(), Data())
    front = FrontEnd(latent() if transform is None else transform, RATE)
    sampler = Sampler(Exponential(), Uniform(steps=1))
    return Checkpoint(model, front, sampler, "CC0-1.0", samplers=(SamplerRange(),))
