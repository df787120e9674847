"""A file of edm2se, from its weights to the waveform, against vectors made with its code."""

import pickle
from collections import OrderedDict

import edm2se as tiny
import numpy as np
import pytest
import torch
from torch import Tensor

from sgmse.checkpoints import load, published, save
from sgmse.checkpoints.published import _edm2se as edm2se
from sgmse.compat import SBODE, SBSDE
from sgmse.enhancer import Enhancer
from sgmse.errors import CheckpointError
from sgmse.estimates import Additive, Estimate
from sgmse.model import ScoreModel
from sgmse.sdes import SBVE, Scaled
from sgmse.solvers import Exponential, Sampler, Uniform, solve
from sgmse.transforms import Power, Spectrogram

BRIDGE = Scaled(SBVE(k=2.6, c=0.4), 2**0.5)


@pytest.fixture(scope="module")
def vectors() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return tiny.weights_and_arrays()


@pytest.fixture
def state(vectors, monkeypatch) -> OrderedDict[str, Tensor]:
    """The weights, with what a file does not tell set to what belongs to them."""
    monkeypatch.setattr(edm2se, "RUN", tiny.ATTENTION)
    monkeypatch.setattr(edm2se, "HEAD_CHANNELS", tiny.HEAD_CHANNELS)
    return OrderedDict(vectors[0])


@pytest.fixture
def read(tmp_path):
    def read(contents, compat=None):
        torch.save(contents, tmp_path / "model.ckpt")
        return published.read(tmp_path / "model.ckpt", compat)

    return read


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_what_a_file_describes(state, read):
    exact, compat = read(state), read(state, "sgmse")
    network = exact.model.network
    assert network.config == tiny.network(state).config
    assert not exact.model.training
    assert exact.model.sde == BRIDGE
    assert exact.model.parametrization == Additive("noise", 0.402, 0.342)
    assert exact.front.transform == Spectrogram(510, 128, Power(0.5, 0.9375))
    assert (exact.front.sample_rate, exact.front.padding) == (16000, "reflect")
    assert exact.sampler == Sampler(Exponential(start=0.0), Uniform(50, end=0.0))
    assert compat.sampler == Sampler(SBODE(told="state"), exact.sampler.grid)
    for name, theirs in network.published_keys().items():
        assert torch.equal(network.state_dict()[name], state[theirs])


@pytest.mark.parametrize("of", ["noise", "data"])
def test_the_published_denoiser(vectors, of):
    state, v = vectors
    network, t = tiny.network(state).double(), v["times"].double()
    x, y = (v[key].to(torch.complex128)[[0, 1, 0, 1]] for key in ("x", "y"))
    # 1e-9 with the published epsilons; the bridge itself has none of them
    for sde, floor, tolerance in ((tiny.PublishedScales(), 1e-5, 1e-9), (BRIDGE, 1e-4, 1e-6)):
        model = ScoreModel(network, sde, Additive(of, floor=floor))
        with torch.no_grad():
            assert error(model(x, y, t).x0, v[f"denoised_{of}"]) <= tolerance
        model.float()
        with torch.no_grad():
            found = model(x.to(torch.complex64), y.to(torch.complex64), t.float()).x0
        assert error(found, v[f"denoised_{of}"]) <= 1e-5
        model.double()


class Linear:
    """An estimate in closed form, so that a sampler is seen alone."""

    sde = BRIDGE
    latest = 1.0

    def __call__(self, x, y, t) -> Estimate:
        x0 = (0.3 + 0.2 * t[0]) * x + 0.4 * y + (0.1 + 0.1j)
        return Estimate(x0, torch.zeros_like(x0))


def sampled(model, v, sampler: str) -> Tensor:
    draws = iter(v["noise"].to(torch.complex128) / 2**0.5)  # published: of variance 1 in each part
    solver, steps = {"ode": (SBODE(told="state"), 4), "sde": (SBSDE(told="state"), 3)}[sampler]
    y = v["y"][:1].to(torch.complex128)
    with torch.no_grad():
        return solve(model, y, solver, Uniform(steps, end=0.0), randn=lambda x: next(draws)).x


@pytest.mark.parametrize("sampler", ["ode", "sde"])
def test_the_published_samplers(vectors, state, read, sampler):
    """Epsilons of 1e-8 that stand in other places leave differences of their size."""
    v = vectors[1]
    assert error(sampled(Linear(), v, sampler), v[f"linear_{sampler}"]) <= 1e-8
    model = read(state).model.double()
    assert error(sampled(model, v, sampler), v[sampler]) <= 1e-6


@pytest.mark.parametrize(
    ("dtype", "expected", "tolerance"),
    [
        (torch.float64, "enhanced", 1e-6),
        # weights of 5459 and -5458 in the first of three steps leave 3.5 digits
        (torch.float32, "enhanced_float32", 5e-4),
    ],
)
def test_from_waveform_to_waveform(vectors, state, read, dtype, expected, tolerance):
    v = vectors[1]
    checkpoint = read(state, "sgmse")
    checkpoint.model.to(dtype)
    noisy = (v["noisy"].to(dtype) / 32768).numpy()
    enhanced = Enhancer.of(checkpoint).with_sampler(steps=3)(noisy, 16000)
    assert enhanced.shape == noisy.shape
    assert len(v[expected]) == 2432  # the published ends with the last whole hop
    assert error(torch.from_numpy(enhanced[:2432]), v[expected]) <= tolerance


def test_the_exact_sampler_is_near_the_published(vectors, state, read):
    """They differ by the bias of the first step."""
    v = vectors[1]
    noisy = (v["noisy"].double() / 32768).numpy()
    found = Enhancer.of(read(state)).with_sampler(steps=3)(noisy, 16000)[:2432]
    assert 1e-4 < error(torch.from_numpy(found), v["enhanced"]) < 0.1


def test_a_state_of_the_training(state, read, monkeypatch):
    monkeypatch.setattr(edm2se, "TRAINED", ())
    training = {"state": {"cur_nwav": 5}, "net": state, "optimizer": {"state": {}}, "ema": None}
    network = read(training).model.network
    assert network.config["attention_resolutions"] == []
    assert edm2se.RUN == tiny.ATTENTION


def test_attention_of_the_published_model():
    """The script runs it at 16 and 8 frequencies, and the recipe trains at 16."""
    assert (edm2se.RUN, edm2se.TRAINED, edm2se.HEAD_CHANNELS) == ((16, 8), (16,), 64)


def test_it_can_be_saved_in_the_native_format(state, read, tmp_path):
    checkpoint = read(state, "sgmse")
    again = load(save(checkpoint, tmp_path / "native"))
    assert again.sampler.solver == checkpoint.sampler.solver
    assert again.model.sde == checkpoint.model.sde
    assert again.model.parametrization == checkpoint.model.parametrization
    x = torch.randn(1, 1, 8, 8, dtype=torch.complex64)
    t = torch.tensor([0.5])
    assert torch.equal(again.model(x, x, t).x0, checkpoint.model(x, x, t).x0)


CONV = "unet.enc.256_conv.weight"
BLOCK = "unet.enc.64_block0.conv_res0.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unet.emb_noise.weight": None}, "its state_dict lacks unet.emb_noise.weight"),
        ({BLOCK: None}, f"its state_dict lacks {BLOCK}"),
        ({CONV: None}, r"its network has 0 weights unet.enc.\*_conv.weight, not 1"),
        ({"unet.enc.128_conv.weight": torch.zeros(1)}, "its network has 2 weights"),
        ({"unet.emb_label.weight": torch.zeros(8, 3)}, "unknown keys: unet.emb_label.weight"),
        ({"net.x": torch.zeros(1)}, "unknown keys: net.x"),
        ({BLOCK: torch.zeros(6, 8, 3, 3)}, r"widths \[4, 8, 6\], no multiples of the first"),
        ({BLOCK: torch.zeros(8, 8)}, f"its state_dict lacks {BLOCK}"),
        ({CONV: torch.zeros(4, 5, 3, 3)}, r"is \[4, 5, 3, 3\], and its .* \[4, 3, 3, 3\]"),
        ({"unet.out_gain": torch.tensor(torch.nan)}, "unet.out_gain has numbers that are not"),
    ],
)
def test_refused_weights(state, read, change, message):
    for key, value in change.items():
        if value is None:
            del state[key]
        else:
            state[key] = value
    with pytest.raises(CheckpointError, match=message) as caught:
        read(state)
    assert "\n" not in str(caught.value)


def test_narrow_networks_are_refused(vectors, read):
    """Heads have 64 channels; the published code cannot run these either."""
    with pytest.raises(CheckpointError, match="8 channels cannot be divided among 0 heads"):
        read(OrderedDict(vectors[0]))


def test_levels_end(state, read):
    """1 >> n is 0 for ever."""
    names = {"conv_res0.weight": (4, 4, 3, 3)}
    odd = {
        f"unet.enc.{b}.{n}": torch.zeros(s)
        for b in ("1_block0", "0_down")
        for n, s in names.items()
    }
    odd |= {key: state[key] for key in edm2se.MARKS} | {"unet.enc.1_conv.weight": state[CONV]}
    with pytest.raises(CheckpointError, match="lacks"):
        read(odd)


def test_other_files_are_not_of_this_family():
    assert not edm2se.EDM2SE().recognises({})
    assert not edm2se.EDM2SE().recognises({"state_dict": {}, "net": 5, 7: 8})
    assert not edm2se.EDM2SE().recognises({"unet.out_gain": torch.zeros(1)})


def test_snapshots_of_the_training_are_refused(state, tmp_path):
    file = tmp_path / "network-snapshot-0001048-0.100.pkl"
    file.write_bytes(pickle.dumps({"ema": {k: np.asarray(v) for k, v in state.items()}}))
    with pytest.raises(CheckpointError, match=r"network-snapshot-0001048-0\.100\.pkl"):
        published.read(file)
