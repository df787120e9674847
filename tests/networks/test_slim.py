import pytest
import torch
from tiny import Identity

from sgmse.networks import NCSNpp, SlimUNet

SMALL = {"channels": [8, 12, 16], "blocks": [1, 2, 2], "dual_paths": 1, "embedding": 16}


def inputs(batch: int = 2, frequencies: int = 16, frames: int = 10, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 1, frequencies, frames)
    x, y = (torch.randn(shape, dtype=torch.complex64, generator=generator) for _ in range(2))
    return x, y, torch.linspace(0.2, 0.9, batch)


def awake(**config) -> SlimUNet:
    """A small network whose zero layers are given weights that matter."""
    torch.manual_seed(1)
    network = SlimUNet(**SMALL | config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    return network.eval()


@pytest.mark.parametrize(("frequencies", "frames"), [(4, 2), (16, 10), (64, 34), (20, 6)])
def test_output_is_like_the_state(frequencies, frames):
    x, y, t = inputs(3, frequencies, frames)
    out = awake()(x, y, t)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert out.isfinite().all()


def test_a_fresh_network_answers_with_the_observation():
    x, y, t = inputs()
    assert torch.equal(SlimUNet(**SMALL)(x, y, t), y)
    default = SlimUNet()
    assert default.divisor == (16, 2)
    x, y, t = inputs(1, 256, 4)
    assert torch.equal(default(x, y, t), y)


def test_taps_are_a_filter_along_the_frames():
    network = awake(taps=5)
    m = torch.randn(7, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        network.head.weight.zero_()
        # x, y, the correction; then the frames of y before and after, the earliest first.
        network.head.bias[:6] = torch.view_as_real(m[:3]).T.flatten()
        network.head.bias[6:] = torch.view_as_real(m[3:]).flatten()
    x, y, t = inputs()
    zeros = torch.zeros(2, 1, 16, 2, dtype=y.dtype)
    early, before, after, late = (
        torch.cat([zeros, y, zeros], dim=-1)[..., k : k + 10] for k in (0, 1, 3, 4)
    )
    expected = m[0] * x + m[1] * y + m[2]
    expected = expected + m[3] * early + m[4] * before + m[5] * after + m[6] * late
    torch.testing.assert_close(network(x, y, t), expected)


def test_a_fresh_filter_answers_with_the_observation_and_learns():
    x, y, t = inputs()
    network = SlimUNet(**SMALL, taps=3)
    out = network(x, y, t)
    assert torch.equal(out, y)
    (out - x).abs().square().sum().backward()
    assert (network.head.weight.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("taps", [1, 3])
def test_of_two_observations_each_has_a_mask_and_the_last_is_the_first_answer(taps):
    x, y, t = inputs()
    seen = torch.cat([y, 2 * x], dim=1)
    assert torch.equal(SlimUNet(**SMALL, taps=taps, observations=2)(x, seen, t), 2 * x)
    network = awake(taps=taps, observations=2)
    m = torch.randn(4, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        network.head.bias[:8] = torch.view_as_real(m).T.flatten()
    expected = m[0] * x + m[1] * y + m[2] * 2 * x + m[3]
    torch.testing.assert_close(network(x, seen, t), expected)
    out = awake(taps=taps, observations=2)
    whole = out(x, seen, t)
    for i in range(2):  # and it reads both
        changed = seen.clone()
        changed[:, i] = 0
        assert (out(x, changed, t) - whole).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"and y \(batch, 2, frequency"):
        network(x, y, t)
    with pytest.raises(ValueError, match="observations must not be negative: -1"):
        SlimUNet(**SMALL, observations=-1)


def test_a_prior_sees_the_state_alone():
    x, y, t = inputs()
    fresh = SlimUNet(**SMALL, observations=0)
    assert not fresh(x, None, t).any()  # of what is nowhere observed, 0 is the best guess
    network = awake(observations=0)
    out = network(x, None, t)
    assert torch.equal(network(x, y, t), out)
    assert (network(2 * x, None, t) - out).abs().max() > 1e-3
    m = torch.randn(2, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():  # a mask of the state and a correction
        network.head.weight.zero_()
        network.head.bias[:] = torch.view_as_real(m).T.flatten()
    torch.testing.assert_close(network(x, None, t), m[0] * x + m[1])
    again = SlimUNet(**network.config).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x, None, t), network(x, None, t))
    nothing = x[:, :0].real  # as runtimes without complex numbers have it
    real, imag = network.real_valued(torch.cat([x.real, x.imag], dim=1), nothing, t).unbind(1)
    assert torch.equal(torch.complex(real, imag)[:, None], network(x, None, t))
    with pytest.raises(ValueError, match="3 taps are of an observation, and there is none"):
        SlimUNet(**SMALL, observations=0, taps=3)


def test_a_prior_inherits_from_a_network_that_hears():
    parent, heir = awake(taps=3), SlimUNet(**SMALL, observations=0)
    heir.inherit(parent)
    x, _, t = inputs()
    assert not heir(x, None, t).any()
    with torch.no_grad():  # what it sees is what the parent sees of x with a silent recording
        for network in (parent, heir):
            network.head = torch.nn.Conv2d(8, 4, 3, padding=1, bias=False)
    parent.taps = heir.taps = 1
    features = []
    for network in (parent, heir):
        network.norm.register_forward_hook(lambda *a: features.append(a[-1]))
    heir(x, None, t)
    with pytest.raises(RuntimeError):  # whose answer this head is not
        parent(x, 0 * x, t)
    torch.testing.assert_close(*features)
    with pytest.raises(ValueError, match="a SlimUNet starts as one of its own shape"):
        heir.imitate(parent)


def test_a_network_inherits_all_but_the_answer():
    parent, heir = awake(taps=3), SlimUNet(**SMALL, observations=2)
    heir.inherit(parent)
    x, y, t = inputs()
    seen = torch.cat([y, x], dim=1)
    assert torch.equal(heir(x, seen, t), x)  # the answer is that of a fresh one
    with torch.no_grad():  # what it has seen is what the parent saw of x and y
        for network in (parent, heir):
            network.head = torch.nn.Conv2d(8, 8, 3, padding=1, bias=False)
            torch.nn.init.dirac_(network.head.weight)
    parent.taps, heir.taps = 2, 1
    features = []
    for network in (parent, heir):
        network.norm.register_forward_hook(lambda *a: features.append(a[-1]))
    parent(x, y, t), heir(x, seen, t)
    assert torch.equal(*features)
    for other in (awake(channels=[8, 12, 20]), awake(dual_paths=2), awake(embedding=8)):
        fresh = SlimUNet(**SMALL | {"dual_paths": 3}) if other.bottom[1:] else SlimUNet(**SMALL)
        with pytest.raises(ValueError, match="give both networks the same channels"):
            fresh.inherit(other)
    with pytest.raises(ValueError, match="NCSNpp does not start from another network"):
        NCSNpp(channels=8, multipliers=[1], blocks=1, attention_resolutions=[]).inherit(parent)


@pytest.mark.parametrize("size", [1.0, 0.3])
def test_a_network_imitates_what_another_says_of_the_observation(size):
    other, own = awake(taps=3), awake(taps=3)
    x, y, t = inputs()
    expected = other(y, y, torch.ones_like(t)) / size
    assert (own(x, y / size, t) - expected).abs().max() > 0.1
    own.imitate(other, size)
    torch.testing.assert_close(own(x, y / size, t), expected, rtol=0, atol=1e-5)  # float32
    # From there it learns from the state and the time, too.
    weights = other.state_dict()
    own(x, y / size, t).abs().square().sum().backward()
    assert own.stem.weight.grad[:, 0].abs().max() > 0
    assert own.embed.layers[2].weight.grad.abs().max() > 0
    assert all(torch.equal(weights[n], w) for n, w in other.state_dict().items())
    for wrong in (awake(), awake(taps=3, observations=2), Identity()):
        with pytest.raises(ValueError, match="a SlimUNet starts as one of its own shape"):
            own.imitate(wrong)
    with pytest.raises(ValueError, match="NCSNpp does not start as another network"):
        NCSNpp(channels=8, multipliers=[1], blocks=1, attention_resolutions=[]).imitate(other)


@pytest.mark.parametrize("taps", [0, 2, -1])
def test_refused_taps(taps):
    with pytest.raises(ValueError, match=f"taps must be an odd number of frames, not {taps}"):
        SlimUNet(**SMALL, taps=taps)


@pytest.mark.parametrize(
    ("channels", "divisor"), [([8, 8], (2, 2)), ([8, 8, 8], (4, 2)), ([4] * 5, (16, 2))]
)
def test_divisor(channels, divisor):
    network = awake(channels=channels, blocks=[1] * len(channels))
    assert network.divisor == divisor
    x, y, t = inputs(1, *divisor)
    assert network(x, y, t).shape == x.shape


@pytest.mark.parametrize(
    ("channels", "blocks"), [((8,), (1,)), ((8, 8), (1,)), ((8, 8), (1, 1, 1)), ((), ())]
)
def test_refused_levels(channels, blocks):
    with pytest.raises(ValueError, match="same levels, at least two"):
        SlimUNet(channels, blocks)


def test_a_fresh_network_learns():
    """The zero layers do not hold each other at zero."""
    torch.manual_seed(0)
    network = SlimUNet(**SMALL)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    x, y, t = inputs()
    losses = []
    for _ in range(6):
        loss = (network(x, y, t) - x).abs().pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all((p != start[name]).any() for name, p in network.named_parameters())


def test_frames_hear_each_other_along_all_of_time():
    """The recurrent bottom carries from the first frame to the last and back."""
    network = awake().double()  # 32 random LSTM cells leave little of it
    x, y, t = inputs(1, 16, 64)
    x, y, t = x.to(torch.complex128), y.to(torch.complex128), t.double()
    out = network(x, y, t)
    for changed, seen in ((0, -1), (-1, 0)):
        other = y.clone()
        other[..., changed] += 1
        assert (network(x, other, t) - out)[..., seen].abs().max() > 0


def test_state_dict_keys_are_those_of_the_checkpoints():
    """Weights are stored under these names: they may be added to, not changed."""
    keys = SlimUNet(**SMALL).state_dict().keys()
    assert {
        "embed.layers.0.weight",
        "stem.weight",
        "down.1.bias",
        "encoder.1.1.conv1.weight",
        "encoder.0.0.time.bias",
        "bottom.0.lstm_time.weight_hh_l0_reverse",
        "bottom.0.norm_band.weight",
        "up.0.weight",
        "decoder.1.0.norm2.bias",
        "norm.weight",
        "head.bias",
    } <= keys
    assert "embed.frequencies" not in keys


def test_weights_keep_their_meaning():
    """The output of the first release for weights 0.3 sin(0), 0.3 sin(1) ...

    Whoever changes these numbers makes every stored checkpoint of this network useless.
    """
    network = SlimUNet(**SMALL).double()
    grid = torch.arange(160, dtype=torch.float64).view(1, 1, 16, 10)
    x, y = torch.polar(torch.ones_like(grid), 0.7 * grid), torch.exp(1j * grid.sqrt())
    with torch.no_grad():
        for parameter in network.parameters():
            values = 0.3 * torch.arange(parameter.numel(), dtype=parameter.dtype).sin()
            parameter.copy_(values.view(parameter.shape))
        out = network(x, y, torch.tensor([0.4], dtype=torch.float64))
    expected = torch.tensor(
        [
            0.224908279062 - 0.294663384599j,
            0.632872567945 + 0.211546011239j,
            0.468200613167 - 0.491902831718j,
        ],
        dtype=torch.complex128,
    )
    # The frequencies of the time embedding, up to 256, are float32 and its rounding may differ.
    torch.testing.assert_close(out[0, 0, [0, 7, 15], [0, 4, 9]], expected, rtol=1e-4, atol=1e-4)


def test_the_width_of_the_recurrent_layers_is_a_choice():
    """Half the channels each way if absent, so that older checkpoints load; as given otherwise."""
    assert SlimUNet(**SMALL).config["hidden"] == 8
    wide = SlimUNet(**SMALL, hidden=20)
    assert SlimUNet(**wide.config).state_dict().keys() == wide.state_dict().keys()
    assert wide.bottom[0].lstm_time.weight_hh_l0.shape == (4 * 20, 20)
    x = torch.randn(2, 1, 8, 6, dtype=torch.complex64)
    assert wide(x, x, torch.ones(2)).shape == x.shape
    with pytest.raises(ValueError, match="hidden must be at least 1, not 0"):
        SlimUNet(**SMALL, hidden=0)
