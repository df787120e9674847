import json
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_models import seeded
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from sgmse.checkpoints.published._lightning import network_of
from sgmse.checkpoints.published._settings import Settings
from sgmse.errors import CheckpointError
from sgmse.networks import DCUNet
from sgmse.networks._dcunet_layers import (
    ComplexConvolution,
    ComplexLinear,
    ComplexTransposed,
    GaussianFourier,
    JointNorm,
    Level,
)

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}  # relative to the largest output
VARIANTS = Path(__file__).resolve().parents[1] / "data" / "parity" / "dcunet_variants.npz"
NAMES = [
    *("joint", "steps", "steps_complex", "fourier_complex", "no_time"),
    *("DCUNet-10", "DCUNet-16", "DCUNet-20", "DilDCUNet-v2"),
]
SMALL = [Level(3, (4, 4)), Level(4, (5, 3), (2, 1)), Level(5, (4, 4), (2, 2), (2, 1))]


def error(out: Tensor, expected: Tensor) -> float:
    return ((out - expected).abs().max() / expected.abs().max()).item()


def load(net: DCUNet, weights: dict[str, Tensor]) -> DCUNet:
    keys = net.published_keys()
    assert set(keys.values()) == set(weights)
    net.load_state_dict({ours: weights[theirs] for ours, theirs in keys.items()})
    return net.eval()


def small(**changes) -> DCUNet:
    torch.manual_seed(1)
    net = DCUNet(**{"levels": SMALL, "width": 8} | changes)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.3)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
    return net


def batch(size: int = 2, frames: int = 9, bins: int = 17) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (size, 1, bins, frames)
    x, y = (torch.randn(shape, dtype=torch.complex128, generator=generator) for _ in range(2))
    return x, y, torch.linspace(0.1, 0.9, size, dtype=torch.float64)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_parity(parity, dtype, channels_last):
    with np.load(parity / "dcunet_a.npz") as file:
        x, y, t, expected = (torch.from_numpy(file[key]) for key in ("x", "y", "t", "out_float64"))
        settings = json.loads(str(file["settings_json"]))
    levels = [
        [channels, kernel, stride, dilation]
        for _, channels, kernel, stride, padding, dilation in settings[
            "encoders_in_out_kernel_stride_padding_dilation"
        ]
        if padding == "auto"
    ]
    net = DCUNet(levels=levels, width=16, time_layers=1, activation="leaky_relu")
    assert sum(p.numel() for p in net.parameters()) == settings["n_parameters"]
    net = load(net, load_file(parity / "dcunet_a.safetensors")).to(dtype)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    with torch.no_grad():
        out = net(x.to(dtype.to_complex()), y.to(dtype.to_complex()), t.to(dtype))
    assert out.shape == expected.shape
    assert error(out, expected) <= TOLERANCES[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_parity_of_the_variants(name):
    with np.load(VARIANTS) as file:
        expected = torch.from_numpy(file[name])
        settings = json.loads(str(file["settings_json"]))[name]
    arguments = settings["kwargs"]
    if settings["levels"]:
        arguments |= {"dcunet_architecture": "DCUNet-10"}
    net = network_of(Settings(arguments), "dcunet")
    if settings["levels"]:
        net = DCUNet(**net.config | {"levels": settings["levels"]})
    keys, state = net.published_keys(), net.state_dict()
    shapes = {theirs: list(state[ours].shape) for ours, theirs in keys.items()}
    if settings["state_dict"]:
        assert shapes == settings["state_dict"]
        assert list(shapes) == list(settings["state_dict"])
    assert sum(p.numel() for p in net.parameters()) == settings["n_parameters"]
    net = load(net, seeded(shapes, settings["seed"])).double()

    items, bins, frames = settings["size"]
    random = np.random.RandomState(settings["seed"])
    parts = torch.from_numpy(random.standard_normal((2, items, 1, bins, frames, 2)))
    x, y = torch.view_as_complex(parts.float().double())
    t = torch.from_numpy(np.linspace(0.2, 0.9, items).astype(np.float32)).double()
    with torch.no_grad():
        out = net(x, y, t)
    assert out.shape == x.shape
    assert error(out[:, :, :: settings["every"]], expected) <= 1e-9


def test_published_arguments():
    assert network_of(Settings({}), "dcunet").config == DCUNet().config
    for change in (
        {"dcunet_architecture": "DCUNet-12"},
        {"dcunet_time_embedding": "fourier"},
        {"dcunet_norm_type": "gN"},
        {"dcunet_mask_bound": "tanh"},
        {"dcunet_fix_length": "cut"},
    ):
        ((name, value),) = change.items()
        with pytest.raises(CheckpointError, match=f"{name} is '{value}'; known are"):
            network_of(Settings(change), "dcunet")


def test_full_size_layout(parity):
    with torch.device("meta"):
        net = DCUNet()
    file = json.loads((parity / "full_size_state_dict_shapes.json").read_text())["dcunet"]
    keys, state = net.published_keys(), net.state_dict()
    shapes = {theirs: list(state[ours].shape) for ours, theirs in keys.items()}
    assert shapes == file["state_dict"]
    # EMA weights are a list without names: the order is the file's, and that of parameters().
    assert list(shapes) == list(file["state_dict"])
    assert list(keys) == list(state)
    named = dict(net.named_parameters())
    assert [key for key in state if key in named] == list(named)
    assert sum(p.numel() for p in named.values()) == 3_564_994 == file["n_parameters"]
    assert sum(p.numel() for p in named.values() if p.requires_grad) == file["n_trainable"]


def test_tied_layers_are_complex_layers():
    level = Level(5, (4, 3), (2, 1), (3, 1))
    x = torch.randn(2, 3, 16, 9, dtype=torch.complex128)
    split = torch.cat((x.real, x.imag), 1)

    def joined(h: Tensor) -> Tensor:
        return torch.complex(*h.chunk(2, dim=1))

    def weight(layer) -> Tensor:
        return torch.complex(layer.real.weight, layer.imag.weight)

    def bias(layer) -> Tensor:
        p, q = layer.real.bias, layer.imag.bias
        return torch.complex(p - q, p + q)

    down = ComplexConvolution(3, level).double()
    expected = conv2d(x, weight(down), None, level.stride, level.padding, level.dilation)
    torch.testing.assert_close(joined(down(split)), expected)

    flat = ComplexLinear(3, 5).double()
    expected = linear(x[:, :, 0, 0], weight(flat)) + bias(flat)
    torch.testing.assert_close(joined(flat(split[:, :, 0, 0])), expected)

    up = ComplexTransposed(3, 5, level, bias=True).double()
    for sizes in ((36, 9), (37, 9)):
        assert level.after(sizes) == x.shape[2:]
        expected = conv_transpose2d(
            x, weight(up), bias(up), level.stride, level.padding, (sizes[0] - 36, 0), 1, (3, 1)
        )
        torch.testing.assert_close(joined(up(split, sizes)), expected)


def test_joint_norm_whitens():
    norm = JointNorm(2, eps=0.0).double().eval()
    with torch.no_grad():
        norm.weight_uv.zero_()
    u = torch.randn(2, 2, 40, 50, dtype=torch.float64)
    x = torch.cat((3 * u + 2, u + 0.1 * torch.randn_like(u) - 1), dim=1)
    white = norm(x).unflatten(1, (2, 2)).flatten(3).movedim(1, 2)  # (item, channel, part, point)
    eye = torch.eye(2, dtype=torch.float64).expand(2, 2, 2, 2)
    torch.testing.assert_close(white @ white.mT / white.shape[-1], eye)
    torch.testing.assert_close(white.mean(-1), torch.zeros(2, 2, 2, dtype=torch.float64))
    # Moments in the precision of the weights: in bf16 the determinant would be rounding noise.
    x = x.bfloat16()
    torch.testing.assert_close(norm.float()(x), norm(x.float()))


def test_time_waves():
    torch.manual_seed(0)
    spread = GaussianFourier(20_000, complex_valued=False).frequencies.std()
    torch.testing.assert_close(spread, torch.tensor(16.0), rtol=0.02, atol=0)
    x, y, t = batch()
    x, y = x.to(torch.complex64), y.to(torch.complex64)
    for waves in ("fourier", "steps"):  # times may come in another precision
        net = small(waves=waves).eval()
        torch.testing.assert_close(net(x, y, t), net(x, y, t.float()), rtol=0, atol=1e-2)


@pytest.mark.parametrize("bins", [13, 16, 17, 18])
@pytest.mark.parametrize("frames", [1, 2, 8, 9])
def test_any_size(bins, frames):
    net = small().double().eval()
    x, y, t = batch(1, frames, bins)
    out = net(x, y, t)
    assert out.shape == x.shape
    missing = (1 - frames) % 2
    x, y = (nn.functional.pad(z, (0, missing)) for z in (x, y))
    assert torch.equal(net(x, y, t)[..., :frames], out)


def test_refused_inputs():
    net = small().double()
    assert net(*batch(bins=4)).shape == (2, 1, 4, 9)
    with pytest.raises(ValueError, match=r"3 frequencies x 9 frames .* nothing .* level 3 of 3"):
        net(*batch(bins=3))
    with pytest.raises(ValueError, match="0 frames leave nothing for level 1"):
        net(*batch(frames=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": []}, "levels is empty"),
        ({"levels": [[3]]}, r"\[3\] is no level"),
        ({"levels": [[3, [4]]]}, r"\[3, \[4\]\] is no level"),
        ({"levels": [[0, [4, 4]]]}, "is no level"),
        ({"levels": [[3, [4, 4], [2, 0]]]}, "is no level"),
        ({"levels": [3]}, "3 is no level"),
        ({"width": 7}, "width .* 7"),
        ({"width": 2}, "width .* 2"),
        ({"block_layers": 0}, "block_layers=0"),
        ({"time_layers": -1}, "time_layers=-1"),
        ({"waves": "gfp"}, "waves is 'gfp'; use one of 'fourier', 'steps', None"),
        ({"norm": "bN"}, "norm is 'bN'"),
        ({"activation": "swish"}, "activation is 'swish'"),
        ({"time_activation": "swish"}, "time_activation is 'swish'"),
    ],
)
def test_refused_arguments(change, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        DCUNet(**{"levels": SMALL} | change)
