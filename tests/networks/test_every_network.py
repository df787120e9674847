"""What every network is held to: whoever adds one adds a line to `NETWORKS`."""

import inspect
import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from problems import noise
from torch.nn.attention import SDPBackend, sdpa_kernel

from sgmse.checkpoints import CLASSES
from sgmse.config import from_plain, to_plain
from sgmse.networks import (
    CausalUNet,
    DCUNet,
    MagnitudePreservingUNet,
    NCSNpp,
    NemoNCSNpp,
    Network,
    SlimUNet,
    WaveNet,
)

NCSNPP = {"channels": 8, "multipliers": (1, 2, 2), "blocks": 1, "bins": 16}
LEVELS = [[3, [4, 4]], [4, [5, 3], [2, 1]], [5, [4, 4], [2, 2], [2, 1]]]
WAVENET = {"channels": 8, "layers": 4, "cycle": 2}
PRESERVING = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "bins": 16, "head_channels": 4}


class Case(NamedTuple):
    """A network and what is known of it."""

    make: Callable[[], Network]
    divisor: tuple[int, int] | None = None  # of one that pads within
    observations: int = 1
    inputs: str = "xyt"  # that it depends on
    smooth: bool = True  # its derivative along t is continuous
    bins: int = 16  # of its inputs


def dcunet(**changes) -> Case:
    smooth = changes.get("activation", "relu") == "silu"
    # The joint norm takes away what the time adds to a channel.
    timeless = changes.get("waves", "fourier") is None or changes.get("norm") == "joint"
    inputs = "xy" if timeless else "xyt"
    return Case(lambda: DCUNet(**{"levels": LEVELS, "width": 8} | changes), None, 1, inputs, smooth)


def ncsnpp(**changes) -> Case:
    inputs = "y" if changes.get("predictive") else "xyt"
    return Case(lambda: NCSNpp(**NCSNPP | changes), (4, 4), changes.get("observations", 1), inputs)


NETWORKS = {
    "ncsnpp": ncsnpp(divide_by_t="features"),
    "ncsnpp 48k": ncsnpp(input_skip=False, output_skip=False, divide_by_t="output"),
    "ncsnpp without one skip": ncsnpp(input_skip=False),
    "ncsnpp without the other": ncsnpp(output_skip=False),
    "ncsnpp of two observations": ncsnpp(observations=2),
    "ncsnpp that predicts": ncsnpp(predictive=True, centred=False),
    "dcunet": dcunet(),
    "dcunet, joint norm": dcunet(norm="joint", activation="silu"),
    "dcunet, steps": dcunet(waves="steps", block_layers=2),
    "dcunet, complex waves": dcunet(waves="fourier", complex_waves=True, activation="silu"),
    "dcunet without time": dcunet(waves=None),
    "dcunet, few layers": dcunet(time_layers=0, time_activation="leaky_relu"),
    "dcunet, one level": dcunet(levels=LEVELS[:1], width=4),
    "magnitude preserving": Case(lambda: MagnitudePreservingUNet(**PRESERVING), (2, 4)),
    "nemo": Case(lambda: NemoNCSNpp(channels=[4, 4, 8], pad_frames=4, pad_frequencies=4)),
    "causal": Case(
        lambda: CausalUNet(16, (4, 8), paths=1, hidden=8, groups=2, embedding=8),
        (16, 1),
    ),
    "slim": Case(
        lambda: SlimUNet(channels=(4, 8), blocks=(1, 1), dual_paths=1, embedding=8, taps=3), (2, 2)
    ),
    "wavenet": Case(lambda: WaveNet(**WAVENET), None, smooth=False, bins=1),
    "wavenet of groups": Case(lambda: WaveNet(**WAVENET, group=4), (1, 2), smooth=False, bins=1),
    "wavenet of two observations": Case(
        lambda: WaveNet(**WAVENET, observations=2), None, 2, smooth=False, bins=1
    ),
    "wavenet, a vocoder": Case(
        lambda: WaveNet(**WAVENET, mels=4, n_fft=16, strides=(2, 2)), None, smooth=False, bins=1
    ),
}


@pytest.fixture(params=NETWORKS.values(), ids=list(NETWORKS))
def case(request):
    return request.param


def awake(case: Case) -> Network:
    """The network in double precision, with weights with which every layer matters."""
    torch.manual_seed(1)
    network = case.make()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.normal_(std=0.3)
    return network.double().eval()


def inputs(case: Case, size: int = 2, bins: int | None = None, frames: int = 16):
    bins = bins or case.bins
    x, y = (
        noise(size, 1, bins, frames, seed=0),
        noise(size, case.observations, bins, frames, seed=1),
    )
    return x, y, torch.linspace(0.3, 0.9, size, dtype=torch.float64)


def distance(ours, theirs) -> float:
    return float(((ours - theirs).abs().max() / theirs.abs().max()).detach())


def test_what_is_asked_for_is_enough(case):
    network, (x, y, t) = case.make(), inputs(case)
    assert network.observations == case.observations
    out = network(x.to(torch.complex64), y.to(torch.complex64), t.float())
    assert out.shape == x.shape
    assert out.dtype == torch.complex64


def test_single_precision_agrees(case):
    network, (x, y, t) = awake(case), inputs(case)
    with torch.no_grad():
        exact = network(x, y, t)
        single = network.float()(x.to(torch.complex64), y.to(torch.complex64), t.float())
    assert distance(single, exact) < 1e-4


def test_its_config_rebuilds_it(case):
    network = awake(case)
    assert set(network.config) == set(inspect.signature(type(network)).parameters)
    plain = json.loads(json.dumps(to_plain(network, CLASSES)))
    again = from_plain(Network, plain, CLASSES).double().eval()
    assert type(again) is type(network)
    assert again.config == network.config
    again.load_state_dict(network.state_dict())
    assert torch.equal(network(*inputs(case)), again(*inputs(case)))


def test_it_can_be_built_without_memory(case):
    network = awake(case)
    if set(dict(network.named_buffers())) - set(network.state_dict()):
        pytest.skip("has numbers of its own")
    with torch.device("meta"):
        empty = case.make().eval()
    empty.load_state_dict(network.state_dict(), assign=True)
    assert torch.equal(empty(*inputs(case)), network(*inputs(case)))


def test_published_keys_are_one_for_each_of_ours(case):
    network = case.make()
    keys = network.published_keys()
    assert set(keys) == set(network.state_dict())
    assert len(set(keys.values())) == len(keys)


def test_items_of_a_batch_do_not_meet(case):
    network, (x, y, t) = awake(case), inputs(case, 3)
    with torch.no_grad():
        together = network(x, y, t)
        alone = [network(x[i : i + 1], y[i : i + 1], t[i : i + 1]) for i in range(3)]
    assert distance(torch.cat(alone), together) < 1e-12


def test_inputs_are_left_alone(case):
    given = inputs(case)
    before = [tensor.clone() for tensor in given]
    awake(case)(*given)
    with torch.no_grad():
        awake(case)(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_it_is_conditioned_on_what_it_is_told(case):
    network, (x, y, t) = awake(case), inputs(case)
    out = network(x, y, t)
    others = {"x": (y[:, :1], y, t), "y": (x, 2 * y.conj(), t), "t": (x, y, t / 2)}
    for name, other in others.items():
        if name in case.inputs:
            assert distance(network(*other), out) > 1e-3, name
        else:
            assert distance(network(*other), out) < 1e-9, name


@pytest.mark.parametrize("training", [False, True])
def test_gradients_reach_every_parameter(case, training):
    network = awake(case).train(training)
    network(*inputs(case)).abs().square().mean().backward()
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
        elif name.endswith("key.bias"):  # adds the same to every logit of a softmax
            assert parameter.grad.abs().max() < 1e-6
        else:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


def test_forward_derivative(case):
    if not case.smooth or "t" not in case.inputs:
        pytest.skip("its activations have kinks, or it does not know the time")
    network, (x, y, t) = awake(case), inputs(case)
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        _, slope = torch.func.jvp(lambda t: network(x, y, t), (t,), (torch.ones_like(t),))
        step = 1e-6  # truncation and rounding of the difference quotient meet near 1e-7
        quotient = (network(x, y, t + step) - network(x, y, t - step)) / (2 * step)
    assert distance(slope, quotient) <= 1e-5


def test_autocast(case):
    network, (x, y, t) = awake(case).float(), inputs(case)
    given = x.to(torch.complex64), y.to(torch.complex64), t.float()
    exact = network(*given)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(*given)
    assert out.dtype == torch.complex64
    # bf16 has 8 bits of precision; errors of a few bits add up over some thirty layers
    assert distance(out, exact) <= 5e-2


def test_refused_types(case):
    network, (x, y, t) = case.make(), inputs(case)
    for given in ((x.real, y), (x, y.real)):
        with pytest.raises(TypeError, match=r"must be complex .*float64"):
            network(*given, t)


def test_refused_shapes(case):
    network, (x, y, t) = case.make(), inputs(case)
    wrong = {
        "another batch": (x, y[:1]),
        "other frames": (x, y[..., :8]),
        "no channel": (x[:, 0], y[:, 0]),
        "channels": (x.expand(2, 2, -1, -1), y.repeat(1, 2, 1, 1)),
        "other observations": (x, torch.cat((y, x), dim=1)),
    }
    says = rf"must have the shape .* {case.observations}, .* batch ax"
    for given in wrong.values():
        with pytest.raises(ValueError, match=says):
            network(*given, t)
    for other in (t[:1], t[:, None], t[0]):
        with pytest.raises(ValueError, match=r"t must have shape \(batch,\) = \(2,\); got .*expan"):
            network(x, y, other)


def test_refused_sizes(case):
    network = case.make()
    with pytest.raises(ValueError, match="0 frames"):
        network(*inputs(case, frames=0))
    if case.divisor is None:
        return
    assert network.divisor == case.divisor
    bins, frames = case.divisor
    if bins > 1:
        says = rf"17 frequencies .* multiple of {bins}; pad them to {16 + bins}"
        with pytest.raises(ValueError, match=says):
            network(*inputs(case, bins=17))
    if frames == 1:
        return
    with pytest.raises(
        ValueError, match=rf"15 frames are not a multiple of {frames}; pad them to 16"
    ):
        network(*inputs(case, frames=15))


def test_it_is_the_same_on_real_and_imaginary_parts(case):
    network, (x, y, t) = awake(case), inputs(case)
    parts = [torch.stack([w.real, w.imag], dim=2).flatten(1, 2) for w in (x, y)]
    real, imag = network.real_valued(*parts, t).unbind(1)
    torch.testing.assert_close(torch.complex(real, imag)[:, None], network(x, y, t))


def test_a_network_must_say_what_it_computes():
    with pytest.raises(TypeError, match=r"Network has no real_valued\(x, y, t\)"):
        Network()(*inputs(NETWORKS["ncsnpp"]))
