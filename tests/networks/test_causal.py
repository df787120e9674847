"""A causal network hears nothing ahead, and goes on from where it was."""

import pytest
import torch
from problems import noise

from sgmse.errors import ArgumentError
from sgmse.networks import CausalUNet

SMALL = {"frequencies": 32, "channels": (4, 8), "paths": 2, "hidden": 8, "groups": 2}


@pytest.fixture(scope="module")
def network() -> CausalUNet:
    torch.manual_seed(0)
    made = CausalUNet(**SMALL, halving=5).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def heard() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a level that falls, and rises at once."""
    torch.manual_seed(1)
    x, y = torch.randn(2, 2, 2, 32, 30, dtype=torch.float64)
    level = torch.ones(30, dtype=torch.float64)
    level[10:20] = 0.01
    return x, level * y, torch.tensor([0.3, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("sizes", [[1] * 30, [3, 7, 1, 19], [29, 1]], ids=str)
def test_pieces_give_what_the_whole_gives(network, heard, sizes):
    x, y, t = heard
    memory, made = None, []
    for own_x, own_y in zip(x.split(sizes, -1), y.split(sizes, -1), strict=True):
        out, memory = network.advance(own_x, own_y, t, memory)
        made.append(out)
    torch.testing.assert_close(torch.cat(made, -1), network.real_valued(x, y, t))


def test_what_comes_later_changes_nothing(network, heard):
    x, y, t = heard
    later = torch.arange(30) >= 17
    before = network.real_valued(x, y, t)
    after = network.real_valued(x + later, y - 5 * later, t)
    assert torch.equal(before[..., :17], after[..., :17])
    assert (before - after)[..., 17].abs().max() > 0.1


def test_what_is_louder_gives_what_is_louder(network, heard):
    x, y, t = heard
    expected = 50 * network.real_valued(x, y, t)
    torch.testing.assert_close(network.real_valued(50 * x, 50 * y, t), expected)


def test_the_level_is_the_formula(network):
    y = torch.zeros(1, 2, 32, 12, dtype=torch.float64)
    y[:, 0, :, 2], y[:, 1, :, 4] = 8.0, 2.0
    untrained = CausalUNet(**SMALL, halving=2).double()
    seen = []
    untrained.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    untrained.real_valued(y, y, torch.ones(1, dtype=torch.float64))
    frames = seen[0][0, :, 0, 2:].abs().amax(dim=0)  # after those of before the start
    levels = [1, 1, 8, 8 / 2**0.5, 4, 8 / 2**1.5, 2]
    assert frames[2] == pytest.approx(8 / levels[2])
    assert frames[4] == pytest.approx(2 / levels[4])


def test_new_weights_are_the_identity_on_the_last_observation():
    net = CausalUNet(**SMALL, observations=2)
    x, y = noise(1, 1, 32, 7).to(torch.complex64), noise(1, 2, 32, 7).to(torch.complex64)
    torch.testing.assert_close(net(x, y, torch.ones(1)), y[:, 1:])


def test_other_frequencies_are_refused():
    x = noise(1, 1, 64, 3).to(torch.complex64)
    with pytest.raises(ArgumentError, match="64 frequencies, and the network is made for 32"):
        CausalUNet(**SMALL)(x, x, torch.ones(1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"frequencies": 33}, "frequencies must be a multiple of 2, not 33"),
        ({"channels": (4,)}, "at least two levels"),
        ({"groups": 3}, "a multiple of groups, 3"),
        ({"taps": 0}, "taps must be at least 1, not 0"),
    ],
)
def test_what_has_no_network(wrong, says):
    with pytest.raises(ArgumentError, match=says):
        CausalUNet(**SMALL | wrong)


@pytest.mark.parametrize("changes", [{}, {"observations": 2}, {"taps": 1, "frames": 1}], ids=str)
def test_at_one_time_it_advances_as_at_any(changes, heard):
    """With two recordings at once, frame after frame, from silence on."""
    torch.manual_seed(2)
    network = CausalUNet(**SMALL | {"channels": (4, 6, 8)}, halving=5, **changes).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    x, y, _ = heard
    y = torch.cat([y, x.flip(-1)], dim=1) if network.observations == 2 else y
    y = y * (torch.arange(30) >= 3)
    advance, memory, made = network.advancing(0.7), None, []
    with torch.inference_mode():
        for frames in torch.arange(30).split([1] * 26 + [4]):
            out, memory = advance(x[..., frames], y[..., frames], memory)
            made.append(out)
        expected = network.real_valued(x, y, torch.full((2,), 0.7, dtype=torch.float64))
    torch.testing.assert_close(torch.cat(made, -1), expected)
    assert advance.t == 0.7
