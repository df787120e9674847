"""Winograd's convolution is the convolution, and is used where it says so and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

import sgmse
from sgmse.checkpoints import Checkpoint, save
from sgmse.estimates import Score
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import MagnitudePreservingUNet, NCSNpp, _winograd as module
from sgmse.networks._winograd import AREA, CHANNELS, Convolution, winograd
from sgmse.sdes import OUVE
from sgmse.solvers import Exponential, Sampler, Uniform
from sgmse.transforms import Spectrogram

# Of what one part of many does: whole tiles, parts of them, several rows and columns of parts.
SHAPES = [(1, 1), (2, 3), (4, 4), (5, 9), (33, 16), (8, 4 * module.TILES + 3), (130, 70)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_the_convolution(shape: tuple[int, int], biased: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *shape, dtype=torch.float64, generator=generator)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, generator=generator)
    bias = torch.randn(5, dtype=torch.float64, generator=generator) if biased else None
    before = x.clone(), weight.clone()
    # Products of numbers near 1 in double precision.
    torch.testing.assert_close(
        winograd(x, weight, bias), conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12
    )
    assert torch.equal(x, before[0])
    assert torch.equal(weight, before[1])


@pytest.mark.parametrize("inputs", [64, 512])
def test_its_error_in_single_precision_is_a_few_roundings(inputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, inputs, 40, 40, generator=generator)
    weight = torch.randn(64, inputs, 3, 3, generator=generator)
    exact = conv2d(x.double(), weight.double(), padding=1)
    error = (winograd(x, weight, None) - exact).abs().max() / exact.abs().max()
    assert error < 8e-6  # 2e-6 to 5e-6 seen; that of the plain sum is 1e-6


def _layer() -> tuple[Convolution, torch.Tensor]:
    torch.manual_seed(0)
    layer = Convolution(CHANNELS, CHANNELS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(1, CHANNELS, AREA // 64, 64).contiguous(memory_format=torch.channels_last)
    return layer, x


def test_it_is_used_where_nothing_is_recorded_and_the_order_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, x = _layer()
    calls = []

    def told(*parts: torch.Tensor) -> torch.Tensor:
        calls.append(parts)
        return winograd(*parts)

    monkeypatch.setattr(module, "winograd", told)
    with torch.inference_mode():
        y = layer(x)
        assert len(calls) == 1
        assert y.is_contiguous(memory_format=torch.channels_last)
        layer(x[:, :, 1:])  # fewer points
        few = Convolution(CHANNELS // 2, CHANNELS // 2).to(memory_format=torch.channels_last)
        few(x[:, : CHANNELS // 2].repeat(1, 1, 2, 2).contiguous(memory_format=torch.channels_last))
        layer(x.contiguous())  # another order
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)
        layer.double()(x.double())
    layer.float()
    with torch.no_grad():
        plain = layer(x)
    layer(x).sum().backward()
    assert len(calls) == 1
    assert layer.weight.grad is not None
    assert (y - plain).abs().max() < 8e-6 * plain.abs().max()


def test_what_is_exported_is_the_plain_convolution() -> None:
    layer, x = _layer()
    with torch.inference_mode():
        graph = torch.export.export(layer, (x.clone(),)).graph
    assert [str(node.target) for node in graph.nodes if node.op == "call_function"] == [
        "aten.conv2d.default"
    ]


def test_weights_that_change_are_heard_at_once() -> None:
    layer, x = _layer()
    with torch.inference_mode():
        before = layer(x)
        layer.weight.data.mul_(2)
        assert layer.bias is not None
        layer.bias.data.mul_(2)
        torch.testing.assert_close(layer(x), 2 * before, rtol=0, atol=1e-5)


def test_a_model_that_is_loaded_is_computed_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NCSNpp.v1(channels=128, multipliers=(1, 1), attention_resolutions=())
    front = FrontEnd(Spectrogram(n_fft=62, hop=16), 16000)
    sampler = Sampler(Exponential(), Uniform(1, end=0.03))
    model = ScoreModel(network, OUVE(), Score()).eval()
    save(Checkpoint(model, front, sampler), tmp_path / "model")
    enhancer = sgmse.load(tmp_path / "model", force=True)  # its weights are random
    calls = []

    def told(*parts: torch.Tensor) -> torch.Tensor:
        calls.append(parts)
        return winograd(*parts)

    monkeypatch.setattr(module, "winograd", told)
    with pytest.warns(sgmse.ResultWarning):  # of random weights
        enhancer(0.1 * np.sin(np.arange(3200) / 9), 16000)
    assert calls


NETWORKS = {
    "NCSN++": lambda: NCSNpp.v1(channels=128, multipliers=(1, 1), attention_resolutions=()),
    "magnitude-preserving": lambda: MagnitudePreservingUNet(
        channels=128, multipliers=(1, 1), attention_resolutions=(), bins=32
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_it_agrees_with_the_plain_one(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().to(memory_format=torch.channels_last).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:  # layers that begin as next to nothing hide what is before
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            if parameter.ndim == 0:
                parameter.fill_(1)
    x, y = torch.randn(2, 2, 1, 32, 128, dtype=torch.complex64)
    t = torch.tensor([0.3, 0.9])
    with torch.inference_mode():
        ours = network(x, y, t)
    with torch.no_grad():
        plain = network(x, y, t)
    assert plain.abs().max() > 0.1
    assert not torch.equal(ours, plain)
    assert (ours - plain).abs().max() < 1e-5 * plain.abs().max()
