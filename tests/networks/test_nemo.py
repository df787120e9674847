"""NeMo's NCSN++, against vectors made with its own code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import noise

from sgmse.checkpoints.published import _archives as archives
from sgmse.networks._nemo import NemoNCSNpp

HERE = Path(__file__).parents[1] / "data" / "parity"
SIZES = {"channels": [4, 4, 8, 8], "blocks": 2, "pad_frames": 16, "pad_frequencies": 8}


def network(**changes) -> NemoNCSNpp:
    """That of the vectors."""
    net = NemoNCSNpp(**SIZES | changes)
    state = archives.unpack(HERE / "nemo_tiny.nemo")["state_dict"]
    keys = net.published_keys()
    net.load_state_dict({ours: state[f"estimator.{theirs}"] for ours, theirs in keys.items()})
    return net.double().eval().requires_grad_(False)


def vectors():
    with np.load(HERE / "nemo.npz") as file:
        return [torch.from_numpy(file[f"network_{key}"]) for key in ("x", "y", "t", "out")]


def test_parity():
    """15 frequencies and 35 frames, which the network pads to 16 and 48."""
    x, y, t, out = vectors()
    assert (network()(x, y, t) - out).abs().max() <= 1e-9 * out.abs().max()
    last = network().to(memory_format=torch.channels_last)(x, y, t)
    assert (last - out).abs().max() <= 1e-9 * out.abs().max()
    single = network().float()(x.to(torch.complex64), y.to(torch.complex64), t.float())
    assert (single - out).abs().max() <= 1e-5 * out.abs().max()


def test_the_published_size_and_keys():
    """Of the network of NeMo's recipes, as its own code builds it."""
    with np.load(HERE / "nemo.npz") as file:
        theirs = json.loads(str(file["settings_json"]))["full_size_shapes"]
    with torch.device("meta"):
        net = NemoNCSNpp()
    assert sum(p.numel() for p in net.parameters()) == 25_161_882
    keys = net.published_keys()
    assert list(keys) == [name for name, _ in net.named_parameters()]
    assert {keys[name]: list(p.shape) for name, p in net.named_parameters()} == theirs


def test_what_is_padded_is_not_heard():
    """Padding changes the statistics of the normalisation alone: without it, nothing."""
    x, y = (noise(1, 1, 16, 16, seed=i) for i in range(2))
    t = torch.tensor([0.5], dtype=torch.float64)
    whole = network(pad_frames=8)(x, y, t)
    assert torch.equal(network(pad_frames=4)(x, y, t), whole)
    assert (network(pad_frames=32)(x, y, t) - whole).abs().max() > 1e-3


def test_a_flow_from_noise():
    x, y, t, out = vectors()
    net = network(from_noise=2**-20)
    assert (net(x, y, 1 - t) - out).abs().max() <= 1e-9
    first = torch.full_like(t, 2**-20)
    assert torch.equal(net(x, y, torch.ones_like(t)), network()(x, y, first))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": [4]}, "two or more positive widths"),
        ({"channels": [4, 0]}, "two or more positive widths"),
        ({"blocks": 0}, "at least 1"),
        ({"channels": [4, 9]}, "9 channels cannot be normalised"),
        ({"channels": [2, 4]}, "2 channels cannot be normalised"),
        ({"pad_frames": 6}, r"multiples of 4 \(2\^\(levels - 1\)\); got 6 and 8"),
        ({"pad_frequencies": 0}, "got 16 and 0"),
        ({"from_noise": 0.0}, "from_noise must be None or lie between 0 and 1, not 0.0"),
    ],
)
def test_refused_sizes(changes, says):
    with pytest.raises(ValueError, match=says):
        NemoNCSNpp(**SIZES | changes)
