"""What every network refuses before it computes."""

import pytest
import torch
from problems import noise

from sgmse.networks import (
    DCUNet,
    MagnitudePreservingUNet,
    NCSNpp,
    NemoNCSNpp,
    SlimUNet,
)
from sgmse.networks.base import Network

NCSNPP = {"channels": 8, "multipliers": (1, 2, 2), "blocks": 1, "bins": 16}
#: (network, observations, divisor); those without a divisor pad within.
NETWORKS = {
    "ncsnpp": (NCSNpp(**NCSNPP), 1, (4, 4)),
    "ncsnpp of two observations": (NCSNpp(**NCSNPP, observations=2), 2, (4, 4)),
    "dcunet": (DCUNet(levels=[[4, [3, 3], [2, 1]]], width=8), 1, None),
    "magnitude preserving": (
        MagnitudePreservingUNet(channels=8, multipliers=(1, 2), blocks=1, bins=16, head_channels=4),
        1,
        (2, 4),
    ),
    "nemo": (NemoNCSNpp(channels=[4, 4], blocks=1, pad_frames=4, pad_frequencies=4), 1, None),
    "slim": (SlimUNet(channels=(4, 8), blocks=(1, 1), dual_paths=1, embedding=8), 1, (2, 2)),
}


@pytest.fixture(params=NETWORKS.values(), ids=list(NETWORKS))
def case(request):
    return request.param


def inputs(observations, bins=16, frames=16):
    x, y = noise(2, 1, bins, frames, seed=0), noise(2, observations, bins, frames, seed=1)
    return x.to(torch.complex64), y.to(torch.complex64), torch.tensor([0.3, 1.0])


def test_what_is_asked_for_is_enough(case):
    net, observations, _ = case
    x, y, t = inputs(observations)
    assert net.observations == observations
    assert net(x, y, t).shape == x.shape


def test_refused_types(case):
    net, observations, _ = case
    x, y, t = inputs(observations)
    for given in ((x.real, y), (x, y.real)):
        with pytest.raises(TypeError, match=r"must be complex .*float32"):
            net(*given, t)


def test_refused_shapes(case):
    net, observations, _ = case
    x, y, t = inputs(observations)
    wrong = {
        "another batch": (x, y[:1]),
        "other frames": (x, y[..., :8]),
        "no channel": (x[:, 0], y[:, 0]),
        "channels": (x.expand(2, 2, -1, -1), y.repeat(1, 2, 1, 1)),
        "other observations": (x, torch.cat((y, x), dim=1)),
    }
    for given in wrong.values():
        with pytest.raises(ValueError, match=rf"must have the shape .* {observations} .* batch ax"):
            net(*given, t)
    for other in (t[:1], t[:, None], t[0]):
        with pytest.raises(ValueError, match=r"t must have shape \(batch,\) = \(2,\); got .*expan"):
            net(x, y, other)


def test_refused_sizes(case):
    net, observations, divisor = case
    with pytest.raises(ValueError, match="0 frames"):
        net(*inputs(observations, frames=0))
    if divisor is None:
        return
    assert net.divisor == divisor
    bins, frames = divisor
    with pytest.raises(
        ValueError, match=rf"17 frequencies .* multiple of {bins}; pad them to {16 + bins}"
    ):
        net(*inputs(observations, bins=17))
    with pytest.raises(
        ValueError, match=rf"15 frames are not a multiple of {frames}; pad them to 16"
    ):
        net(*inputs(observations, frames=15))


def test_a_network_must_say_what_it_computes():
    with pytest.raises(TypeError, match="Network must define forward"):
        Network()(*inputs(1))
