from math import pi, prod

import edm2se
import pytest
import torch
from problems import vectors
from torch import Tensor
from torch.nn.functional import silu

from sgmse.checkpoints.published._edm2se import UNUSED
from sgmse.networks._magnitude_preserving import (
    SILU,
    Attention,
    Down,
    Fourier,
    MagnitudePreservingUNet,
    Up,
    Weight,
    double,
    halve,
    mp_cat,
    mp_sum,
    normalise,
)

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}  # relative to the largest output
SMALL = {
    "channels": 8,
    "multipliers": (1, 2, 2),
    "blocks": 1,
    "bins": 32,
    "attention_resolutions": (16,),
    "head_channels": 4,
}


def awake(**config) -> MagnitudePreservingUNet:
    """A small network whose gains, zero at first, are not."""
    torch.manual_seed(1)
    net = MagnitudePreservingUNet(**SMALL | config)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(0.7)
    return net.eval()


def batch(size: int = 2, frames: int = 16, bins: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Unit mean square in each part."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, 1, bins, frames)
    x, y = (2**0.5 * torch.randn(shape, dtype=torch.complex64, generator=generator) for _ in "xy")
    return x, y, torch.linspace(0.1, 0.9, size)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def power(x: Tensor) -> float:
    return float(x.detach().square().mean())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_parity(dtype, channels_last):
    state, v = edm2se.weights_and_arrays()
    net = edm2se.network(state).to(dtype)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
    with torch.no_grad():
        out = net(v["x"].to(complex_dtype), v["y"].to(complex_dtype), v["t"].to(dtype))
    assert out.shape == v["network"].shape
    assert (out - v["network"]).abs().max() <= TOLERANCES[dtype] * v["network"].abs().max()


def test_full_size_layout():
    """Published weights that have no place here are those that nothing depends on."""
    with torch.device("meta"):
        net = MagnitudePreservingUNet()
    file = vectors(edm2se.FILE)[0]["full_size"]
    state, keys = net.state_dict(), net.published_keys()
    shapes = {theirs: list(state[ours].shape) for ours, theirs in keys.items()}
    assert set(keys) == set(state)
    assert len(shapes) == len(keys)
    assert shapes.items() <= file["state_dict"].items()
    rest = {key: shape for key, shape in file["state_dict"].items() if key not in shapes}
    assert all(UNUSED.fullmatch(key) for key in rest)
    count = sum(p.numel() for p in net.parameters())
    unused = sum(prod(shape) for key, shape in rest.items() if "fourier" not in key)
    assert count + unused == file["n_parameters"] == 71_209_059
    assert count == 63_781_062


def test_activation_and_sums_preserve_magnitude():
    a, b = normal(2, 30, 40, 40), normal(2, 10, 40, 40, seed=1)
    assert power(SILU * silu(a)) == pytest.approx(1, abs=0.01)
    for t in (0.0, 0.3, torch.tensor(0.5), 1.0):
        assert power(mp_sum(a[:, :10], b, t)) == pytest.approx(1, abs=0.02)
    joined = mp_cat(a, b)
    assert joined.shape == (2, 40, 40, 40)
    assert power(joined) == pytest.approx(1, abs=0.02)
    shares = joined[:, :30].square().sum() / joined[:, 30:].square().sum()
    assert float(shares) == pytest.approx(1, abs=0.04)  # three times the channels, half the sum


def test_sums_keep_their_proportion():
    a, b = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    torch.testing.assert_close(mp_sum(a, b, 0.3), (0.7 * a + 0.3 * b) / 0.58**0.5)
    t = torch.tensor(0.3).double()
    torch.testing.assert_close(mp_sum(a, b, t), mp_sum(a, b, 0.3))


@pytest.mark.parametrize("kernel", [(), (1, 1), (3, 3)])
def test_weights_preserve_magnitude_whatever_their_size(kernel):
    torch.manual_seed(0)
    weight = Weight(48, 64, *kernel).double().eval()
    x = normal(4000, 48) if not kernel else normal(2, 48, 40, 40)
    before = weight(x)
    inside = before if not kernel else before[:, :, 1:-1, 1:-1]  # zeros are beyond the edges
    # each row for itself: an average over 3000 points that have some neighbours in common
    rows = inside.square().mean(dim=0 if not kernel else (0, 2, 3))
    torch.testing.assert_close(rows, torch.ones_like(rows), rtol=0, atol=0.2)
    assert power(inside) == pytest.approx(1, abs=0.02)
    with torch.no_grad():
        weight.weight.mul_(normal(64, *[1] * (weight.weight.ndim - 1)).abs() + 0.5)
    torch.testing.assert_close(weight(x), before, rtol=0, atol=2e-3)  # 1e-4 for each row
    torch.testing.assert_close(weight(x, torch.tensor(0.3).double()), 0.3 * weight(x))


def test_normalise():
    x = 7 * normal(2, 8, 5, 5)
    points = normalise(x, 1).square().mean(dim=1)
    torch.testing.assert_close(points, torch.ones_like(points), rtol=0, atol=1e-3)
    assert (normalise(0 * x, 1) == 0).all()
    ones = torch.ones(1, 4)
    torch.testing.assert_close(normalise(ones, 1), ones / (1 + 1e-4), rtol=0, atol=1e-7)


def test_every_activation_of_the_network_is_of_unit_size():
    net = awake(channels=32, multipliers=(1, 2, 3), head_channels=16).double()
    powers = {}
    for name, module in net.named_modules():
        if isinstance(module, Down | Up | Attention):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: powers.update({name: power(output)})
            )
    x, y, t = batch()
    with torch.no_grad():
        out = net(x.to(torch.complex128), y.to(torch.complex128), t.double())
    assert len(powers) >= 14
    assert all(0.6 < value < 1.6 for value in powers.values()), powers
    assert 0.6 < power(torch.view_as_real(out)) / 0.7**2 < 1.6


def test_training_normalises_the_weights_themselves():
    net = awake()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(3.0)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    evaluated = net(*batch())
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())
    trained = net.train()(*batch())
    assert (trained - evaluated).abs().max() <= 1e-2 * evaluated.abs().max()
    trained.abs().square().mean().backward()
    for name, p in net.named_parameters():
        if not name.endswith("weight"):
            assert torch.equal(p, before[name])
            continue
        rows, slopes = p.detach().flatten(1), p.grad.flatten(1)
        size = rows.square().mean(dim=1).sqrt()
        torch.testing.assert_close(size, torch.ones_like(size), rtol=0, atol=3e-4)
        # and what is left of the gradient turns them
        along = (rows * slopes).sum(dim=1).abs()
        assert along.max() <= 1e-2 * (rows.norm(dim=1) * slopes.norm(dim=1)).max(), name


def test_resampling():
    x = normal(2, 3, 6, 4)
    means = x.unflatten(3, (2, 2)).unflatten(2, (3, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(halve(x), means)
    assert torch.equal(double(x)[:, :, 1::2, ::2], x)
    torch.testing.assert_close(halve(double(x)), x)


def test_attention_is_its_formula():
    torch.manual_seed(0)
    attention = Attention(6, 2).double().eval()
    h = normal(1, 6, 2, 2)
    qkv = attention.qkv(h)[0].reshape(2, 3, 3, 4)  # head, channel, of q, k, v, point
    values = []
    for head in qkv:
        q, k, v = (part / (part.square().mean(dim=0).sqrt() + 1e-4) for part in head.unbind(1))
        values.append(v @ (k.T @ q / 3**0.5).softmax(dim=0))
    y = attention.project(torch.cat(values).reshape(1, 6, 2, 2))
    torch.testing.assert_close(attention(h), mp_sum(h, y, 0.3))


def test_a_fresh_network_gives_zero_and_learns():
    net = MagnitudePreservingUNet(**SMALL)
    x, y, t = batch()
    out = net(x, y, t)
    assert (out == 0).all()
    (out - x).abs().square().mean().backward()
    assert net.gain.grad.abs() > 0
    assert {p.item() for name, p in net.named_parameters() if name.endswith("balance")} == {0.5}
    fourier = Fourier(2000)  # spread over some octaves and all phases
    assert float(fourier.frequencies.std()) == pytest.approx(2 * pi, rel=0.1)
    assert float(fourier.phases.max()) == pytest.approx(2 * pi, rel=0.1)
    assert power(fourier(torch.tensor([0.3]))) == pytest.approx(1, abs=0.1)


def test_channels_last_throughout():
    net = awake().to(memory_format=torch.channels_last)
    formats = {}
    for name, module in net.named_modules():
        if isinstance(module, Down | Up):

            def hook(module, inputs, output, name=name):
                formats[name] = output.is_contiguous(memory_format=torch.channels_last)

            module.register_forward_hook(hook)
    out, plain = net(*batch()), awake()(*batch())
    assert len(formats) >= 14
    assert all(formats.values()), [name for name, last in formats.items() if not last]
    assert (out - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_other_sizes_and_depths():
    net = awake(multipliers=(1,))
    assert net.divisor == (1, 2)
    assert net(*batch(1, frames=6, bins=7)).shape == (1, 1, 7, 6)
    net = awake(multipliers=(1, 1, 3, 2), blocks=2, attention_resolutions=(4, 16))
    assert net.divisor == (8, 16)
    assert net(*batch(1, frames=16, bins=40)).shape == (1, 1, 40, 16)


@pytest.mark.parametrize("part", ["down.1.1", "up.1.blocks.0"])
def test_activations_are_clipped(part):
    net, seen = awake(), {}
    block = net.get_submodule(part)
    with torch.no_grad():
        block.branch.gain.fill_(1e6)
    block.register_forward_hook(lambda block, inputs, output: seen.update(most=output.abs().max()))
    assert net(*batch()).isfinite().all()
    assert seen["most"] == 256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multipliers": ()}, "one or more multipliers"),
        ({"blocks": 0}, "blocks=0"),
        ({"multipliers": (1, 0)}, r"multipliers=\[1, 0\]"),
        ({"head_channels": 0}, "head_channels=0"),
        ({"head_channels": 32}, "16 channels cannot be divided among 0 heads; choose"),
        ({"head_channels": 5}, "16 channels cannot be divided among 3 heads"),
    ],
)
def test_refused_arguments(change, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        MagnitudePreservingUNet(**SMALL | change)
