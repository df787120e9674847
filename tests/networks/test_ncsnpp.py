import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_models import ncsnpp
from scipy.signal import upfirdn
from torch import Tensor, nn

from sgmse.networks import NCSNpp
from sgmse.networks._ncsnpp_layers import GroupNorm, fir_down, fir_up

LAYOUTS = {"ncsnpp": NCSNpp.v1, "ncsnpp_v2": NCSNpp.v2, "ncsnpp_48k": NCSNpp.v48k}
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}  # relative to the largest output
SMALL = {"channels": 8, "multipliers": (1, 2, 2), "blocks": 1, "bins": 32}


VECTORS = Path(__file__).parents[1] / "data" / "parity" / "storm.npz"
STORM = {
    "denoiser": {"predictive": True},
    "score_4": {},
    "score_6": {"observations": 2},
}


def published(folder: Path, name: str) -> tuple[NCSNpp, dict[str, Tensor]]:
    """The small network of the vectors `<name>_a` with its random weights, and the vectors."""
    with np.load(folder / f"{name}_a.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in ("x", "y", "t", "out_float64")}
        kwargs = json.loads(str(file["settings_json"]))["kwargs"]
    return ncsnpp(LAYOUTS[name], kwargs, folder / f"{name}_a.safetensors"), arrays


def run(net: NCSNpp, arrays: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
    with torch.no_grad():
        x, y = arrays["x"].to(complex_dtype), arrays["y"].to(complex_dtype)
        return net.to(dtype)(x, y, arrays["t"].to(dtype))


def awake(**config) -> NCSNpp:
    """A small network whose almost-zero layers are given weights that matter."""
    torch.manual_seed(1)
    net = NCSNpp(**SMALL | config)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    return net


def batch(size: int = 2, frames: int = 16, bins: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (size, 1, bins, frames)
    x, y = (torch.randn(shape, dtype=torch.complex64, generator=generator) for _ in range(2))
    return x, y, torch.linspace(0.1, 0.9, size)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", LAYOUTS)
def test_parity(parity, name, dtype, channels_last):
    net, arrays = published(parity, name)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    expected = arrays["out_float64"]
    out = run(net, arrays, dtype)
    assert out.shape == expected.shape
    assert (out - expected).abs().max() <= TOLERANCES[dtype] * expected.abs().max()


@pytest.mark.parametrize(
    ("name", "count"),
    [("ncsnpp", 65_590_822), ("ncsnpp_v2", 65_590_822), ("ncsnpp_48k", 64_739_854)],
)
def test_full_size_layout(parity, name, count):
    with torch.device("meta"):
        net = LAYOUTS[name]()
    file = json.loads((parity / "full_size_state_dict_shapes.json").read_text())[name]
    keys, ours = net.published_keys(), dict(net.named_parameters())
    shapes = {theirs: list(ours[key].shape) for key, theirs in keys.items()}
    assert shapes == file["state_dict"]
    # EMA weights are a list without names: the order is the file's, and that of parameters().
    assert list(keys.values()) == list(file["state_dict"])
    assert list(keys) == list(ours) == list(net.state_dict())
    assert sum(p.numel() for p in net.parameters()) == count == file["n_parameters"]
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trained == file["n_trainable"]


@pytest.mark.parametrize(
    ("name", "count", "unused"),
    [("denoiser", 27_342_350, 2_364_032), ("score_4", 27_756_314, 0), ("score_6", 27_776_038, 0)],
)
def test_full_size_layout_of_storm(name, count, unused):
    """The predictive network leaves out what the published one stores and never uses."""
    with torch.device("meta"):
        net = NCSNpp.storm(**STORM[name])
    with np.load(VECTORS) as file:
        theirs = json.loads(str(file["full_size_json"]))[name]
    shapes, dead = theirs["state_dict"], []
    if name == "denoiser":
        dead = [key for key in shapes if key == "all_modules.0.W" or "Dense_0" in key]
    ours = dict(net.named_parameters())
    keys = net.published_keys()
    used = [key for key in shapes if key not in dead]
    assert list(keys.values()) == used
    assert list(keys) == list(ours) == list(net.state_dict())
    assert {key: list(ours[name].shape) for name, key in keys.items()} == {
        key: shapes[key] for key in used
    }
    assert theirs["n_parameters"] == count
    assert sum(math.prod(shapes[key]) for key in dead) == unused
    assert sum(p.numel() for p in net.parameters()) == count - unused


@pytest.mark.parametrize("size", [(8, 6), (2, 2)])
def test_fir_is_upfirdn(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    taps = np.array([1, 3, 3, 1]) / 8
    down = up = x.numpy()
    for axis in (2, 3):
        down = upfirdn(taps, down, axis=axis).take(range(2, x.shape[axis] + 1, 2), axis)
        up = upfirdn(2 * taps, up, up=2, axis=axis).take(range(1, 2 * x.shape[axis] + 1), axis)
    np.testing.assert_allclose(fir_down(x).numpy(), down, atol=1e-14)
    np.testing.assert_allclose(fir_up(x).numpy(), up, atol=1e-14)


@pytest.mark.parametrize("size", [(16, 256, 256), (96, 5, 700), (8, 2, 2)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_group_norm_keeps_single_precision(size, order):
    norm = GroupNorm(size[0] // 4, size[0], eps=1e-6)
    x = (torch.randn(*size) + 3 * torch.randn(2, size[0], 1, 1)).to(memory_format=order)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
        expected = nn.functional.group_norm(
            x.double(), norm.num_groups, norm.weight.double(), norm.bias.double(), 1e-6
        )
        before = x.clone()
        out = norm(x)
        assert torch.equal(x, before)
        assert (out - expected).abs().max() <= 1e-6 * expected.abs().max()
        assert out.is_contiguous(memory_format=order)
        spent = norm(x, spent=True)
        assert spent.data_ptr() == x.data_ptr()
        torch.testing.assert_close(spent, out)
        constant = norm(torch.full((1, *size), 7.0))
        assert constant.isfinite().all()  # the variance of a constant is not less than 0


def test_with_and_without_gradients():
    net = awake(divide_by_t="features")
    out = net(*batch())
    with torch.no_grad():
        torch.testing.assert_close(net(*batch()), out.detach(), rtol=0, atol=1e-5)


def test_published_layouts_can_be_changed():
    net = NCSNpp.v48k(**SMALL, input_skip=True)
    assert net.config["input_skip"] is True
    assert net.config["divide_by_t"] == "output"
    with pytest.raises(TypeError, match="nf"):
        NCSNpp.v1(nf=8)


def test_division_by_t():
    x, y, t = batch()
    plain = awake().double()
    x, y, t = x.to(torch.complex128), y.to(torch.complex128), t.double()
    divided = {}
    for place in ("features", "output"):
        divided[place] = awake(divide_by_t=place).double()
        divided[place].load_state_dict(plain.state_dict())
    out, time = plain(x, y, t), t[:, None, None, None]
    bias = torch.view_as_complex(plain.output.bias)
    torch.testing.assert_close(divided["output"](x, y, t), out / time)
    torch.testing.assert_close(divided["features"](x, y, t), (out - bias) / time + bias)


def test_several_observations():
    net = awake(observations=2)
    x, y, t = batch()
    both = torch.cat([y, 2 * x], dim=1)
    out = net(x, both, t)
    assert out.shape == x.shape
    for other in (net(x, both.flip(1), t), net(y, both, t), net(x, both, t / 2)):
        assert (other - out).abs().max() > 1e-3 * out.abs().max()
    with pytest.raises(ValueError, match=r"and y \(batch, 2, frequency"):
        net(x, y, t)


def test_a_predictive_network_sees_the_observation_alone():
    net = awake(predictive=True)
    x, y, t = batch()
    out = net(x, y, t)
    assert torch.equal(net(y, y, t / 2), out)
    assert (net(x, 2 * y, t) - out).abs().max() > 1e-3 * out.abs().max()
    out.abs().square().mean().backward()
    used = [p.grad is not None for p in net.parameters()]
    assert all(used)  # none for the time or the state
    with pytest.raises(ValueError, match="predictive=True knows no time"):
        NCSNpp(**SMALL, predictive=True, divide_by_t="output")


def test_what_is_not_centred_is_twice_the_input_less_one():
    x, y, t = (
        tensor.to(torch.complex128 if tensor.is_complex() else torch.float64) for tensor in batch()
    )
    plain, shifted = awake().double(), awake(centred=False).double()
    offset = torch.complex(torch.tensor(1.0).double(), torch.tensor(1.0).double())
    torch.testing.assert_close(shifted(x, y, t), plain(2 * x - offset, 2 * y - offset, t))


def test_channels_last_throughout():
    net = awake().to(memory_format=torch.channels_last)
    x, y, t = batch()
    formats = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.GroupNorm):

            def hook(module, inputs, output, name=name):
                formats[name] = output.is_contiguous(memory_format=torch.channels_last)

            module.register_forward_hook(hook)
    out = net(x, y, t)
    assert len(formats) > 30
    assert all(formats.values()), [name for name, last in formats.items() if not last]
    plain = awake()(x, y, t)
    assert (out - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_other_sizes_and_depths():
    net = awake(multipliers=(1,), attention_resolutions=())
    assert net.divisor == (1, 1)
    assert net(*batch(1, frames=5, bins=7)).shape == (1, 1, 7, 5)
    net = awake(multipliers=(1, 1, 3, 2), blocks=2, attention_resolutions=(4, 16))
    assert net.divisor == (8, 8)
    assert net(*batch(1, frames=24, bins=40)).shape == (1, 1, 40, 24)


def test_a_fresh_network_is_almost_its_bias():
    net = NCSNpp(**SMALL)
    bias = torch.view_as_complex(net.output.bias)
    assert (net(*batch()) - bias).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multipliers": ()}, "one or more multipliers"),
        ({"blocks": 0}, "blocks=0"),
        ({"multipliers": (1, 0)}, r"multipliers=\[1, 0\]"),
        ({"channels": 2}, "2 channels cannot be normalised"),
        ({"channels": 132}, "132 channels cannot be normalised"),
        ({"divide_by_t": "sigma"}, "'sigma'"),
        ({"observations": -1}, "observations must be at least 0"),
    ],
)
def test_refused_arguments(change, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        NCSNpp(**SMALL | change)
