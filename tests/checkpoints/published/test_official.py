"""The models of the sp-uhh repository: what their code gives is what ours gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import (
    contents,
    official,
    official_network,
    parity_contents,
    with_data_module,
)
from parity_models import CONFIGS, SIMPLER, configurations, parametrization_of
from problems import vectors
from safetensors.torch import load_file
from tiny import with_front, with_sampler

from sgmse.checkpoints import convert, load
from sgmse.checkpoints.published import read as read_file
from sgmse.checkpoints.published._lightning import network_of
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._settings import Settings
from sgmse.checkpoints.published._torch_files import read_torch
from sgmse.compat import SBODE, SBSDE, PublishedOUVP
from sgmse.enhancer import Enhancer, _segments
from sgmse.errors import CheckpointError
from sgmse.estimates import Data, Preconditioned, Score
from sgmse.networks import DCUNet, NCSNpp
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import AnnealedLangevin, Exponential, PredictorCorrector, Uniform
from sgmse.transforms import Log, Power, Spectrogram

OFFICIAL = Official()
VECTORS = Path(__file__).parents[2] / "data" / "parity"


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


# What the published code gives


@torch.inference_mode()
@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_a_checkpoint_of_their_training(parity, weights):
    z = np.load(parity / "ckpt_official_tiny.npz")
    held = read_torch(parity / "official_tiny.ckpt")
    if weights == "raw":
        del held["ema"]
    model = OFFICIAL.read(held, None).model
    x, y, t = (torch.from_numpy(z[name]) for name in "xyt")
    assert relative(model.score(x, y, t).numpy(), z[f"forward_{weights}"]) < 1e-5
    x, y, t = x.to(torch.complex128), y.to(torch.complex128), t.double()
    score = model.double().score(x, y, t).numpy()
    assert relative(score, z[f"forward_{weights}_float64"]) < 1e-12


def test_what_such_a_checkpoint_says(parity):
    checkpoint = read_file(parity / "official_tiny.ckpt")
    assert checkpoint.model.sde == OUVE(1.5, 0.05, 0.5)
    assert checkpoint.model.parametrization == Score(sign=-1)
    assert checkpoint.front.transform == Spectrogram(62, 16, Power(0.5, 0.15))
    assert checkpoint.sampler.solver == PredictorCorrector(corrector=AnnealedLangevin(0.5))
    assert checkpoint.sampler.grid == Uniform(30, end=0.03)
    assert (checkpoint.front.sample_rate, checkpoint.front.padding) == (16000, "zero")
    assert checkpoint.training == {
        **{"family": "sgmse", "epoch": 2, "step": 3, "lr": 0.05, "ema_decay": 0.999},
        **{"loss_type": "score_matching", "loss_weighting": "sigma^2", "l1_weight": 0.001},
        **{"pesq_weight": 0.0, "batch_size": 2, "num_frames": 64},
    }
    assert not checkpoint.model.training
    assert not any(p.requires_grad for p in checkpoint.model.parameters())


class Scripted:
    """The draws of the vectors, in their order."""

    noise: np.ndarray

    def __init__(self, seed: int, segment: int, place: int) -> None:
        self.left = iter(torch.from_numpy(self.noise))

    def __call__(self, like: torch.Tensor) -> torch.Tensor:
        return next(self.left).to(like)


@pytest.mark.parametrize(
    ("name", "path", "dtype", "tolerance"),
    [
        ("enhance_ouve_16k", "enhancement_script", "float64", 1e-9),  # the other path is the same
        ("enhance_ouve_16k", "enhancement_script", "float32", 1e-4),
        ("enhance_sbve_16k_small", "enhancement_script", "float64", 1e-9),
        ("enhance_sbve_16k_small", "enhancement_script", "float32", 2e-3),  # theirs errs by 6e-4
        ("enhance_sbve_16k_small", "enhance_method", "float64", 1e-9),
        ("enhance_sbve_16k_small", "enhance_method", "float32", 2e-3),
    ],
)
def test_from_a_file_and_a_recording_to_audio(
    parity, tmp_path, monkeypatch, name, path, dtype, tolerance
):
    z = np.load(parity / f"{name}.npz")
    s = json.loads(str(z["settings_json"]))
    settings = s["net_kwargs"] | s["sde"] | s["stft"]
    settings |= {name: s[name] for name in ("backbone", "N", "t_eps", "sr")}
    held = parity_contents(load_file(parity / s["weights"]), settings)
    file = with_data_module(held, tmp_path / "file.ckpt", monkeypatch)
    enhancer = Enhancer.of(read_file(file, compat="sgmse"))
    script = "zero" if s["pad"]["enhancement_script"] == "zero_pad" else "reflect"
    assert enhancer.front.padding == script
    if s["pad"][path] == "zero_pad":
        enhancer = with_front(enhancer, padding="zero")
    enhancer.model.to(getattr(torch, dtype))
    monkeypatch.setattr(Scripted, "noise", z["noise"], raising=False)
    monkeypatch.setattr(_segments, "Draws", Scripted)
    audio = enhancer(z["wave"][0].astype(dtype), s["sr"])
    assert audio.dtype == dtype
    assert relative(audio, z[f"{path}__audio_{dtype}"]) < tolerance


class Seeded:
    """The draws of `official_tiny.npz`."""

    def __init__(self, seed: int, segment: int, place: int) -> None:
        self.random = np.random.RandomState(seed)  # never changes

    def __call__(self, like: torch.Tensor) -> torch.Tensor:
        real, imaginary = self.random.standard_normal((2, *like.shape))
        return torch.from_numpy((real + 1j * imaginary) / 2**0.5).to(like)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("native", [False, True])
def test_a_checkpoint_of_their_training_on_a_recording(
    parity, tmp_path, monkeypatch, dtype, tolerance, native
):
    z = np.load(VECTORS / "official_tiny.npz")
    s = json.loads(str(z["settings_json"]))
    file = parity / s["checkpoint"]
    made = load(convert(file, tmp_path / "model")) if native else read_file(file)
    enhancer = with_sampler(Enhancer.of(made), grid=Uniform(s["N"], end=s["t_eps"]))
    enhancer.model.to(getattr(torch, dtype))
    monkeypatch.setattr(_segments, "Draws", Seeded)
    audio = enhancer(z["wave"].astype(dtype), 16000, seed=s["seed"])
    assert relative(audio, z[f"audio_{dtype}"]) < tolerance


@torch.inference_mode()
@pytest.mark.parametrize("backbone", ["ncsnpp", "ncsnpp_v2", "ncsnpp_48k"])
def test_every_network(parity, backbone):
    settings, z = vectors(parity / f"{backbone}_a.npz")
    held = parity_contents(
        load_file(parity / settings["weights"]),
        settings["kwargs"] | {"backbone": backbone, "sde": "ouve"},
    )
    net = OFFICIAL.read(held, None).model.network.double()
    x, y = z["x"].to(torch.complex128), z["y"].to(torch.complex128)
    assert relative(net(x, y, z["t"].double()).numpy(), z["out_float64"].numpy()) < 1e-9


@pytest.mark.parametrize("backbone", ["ncsnpp", "ncsnpp_v2", "ncsnpp_48k", "dcunet"])
def test_the_published_sizes_are_the_defaults(parity, backbone):
    theirs = json.loads((parity / "full_size_state_dict_shapes.json").read_text())[backbone]
    settings = Settings({"dcunet_temb_layers_global": theirs.get("layers", 2)})
    net = network_of(settings, backbone)
    keys = net.published_keys()
    shapes = {keys[name]: list(value.shape) for name, value in net.state_dict().items()}
    assert shapes == theirs["state_dict"]
    assert sum(p.numel() for p in net.parameters()) == theirs["n_parameters"]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_preconditioning(parity, name):
    settings, _ = configurations(parity)
    config = settings["configs"][name]
    theirs = parametrization_of(config)
    taken = ("loss_type", "c_in", "c_out", "c_skip", "network_scaling", "sigma_data", "sde")
    hyper = {k: config[k] for k in taken} | config["sde_params"] | settings["net_kwargs"]
    held = parity_contents(
        load_file(parity / settings["weights"]), hyper | {"backbone": "ncsnpp_v2"}
    )
    ours = OFFICIAL.read(held, None).model.parametrization
    assert ours == (Data() if SIMPLER.get(name) == Data() else theirs)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["data_plain", "data_edm"])
def test_the_raw_output_of_a_bridge(parity, name):
    """Without compat their epsilon of 1e-8 is missing from the sigma of the preconditioning."""
    settings, v = configurations(parity)
    config = settings["configs"][name]
    taken = ("loss_type", "c_in", "c_out", "c_skip", "network_scaling", "sigma_data", "sde")
    hyper = {k: config[k] for k in taken} | config["sde_params"] | settings["net_kwargs"]
    hyper |= {"backbone": "ncsnpp_v2"}
    held = parity_contents(load_file(parity / settings["weights"]), hyper)
    x, y, t, theirs = v[f"{name}__x_t"], v["y"], v["t"], v[f"{name}__forward"].numpy()
    errors = [
        relative(OFFICIAL.read(held, compat).model.double()(x, y, t).x0.numpy(), theirs)
        for compat in ("sgmse", None)
    ]
    assert errors[0] < 1e-12
    assert errors[1] < 1e-6
    assert (errors[1] < 1e-12) == (name == "data_plain")


def test_a_bridge_whose_network_is_divided_by_sigma():
    """It has none at t = 1, where the exact sampler asks; the published one never does."""
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction"}
    held = official(**bridge, network_scaling="1/sigma")
    with pytest.raises(ValueError, match=r"divides by sigma\(t\)"):
        OFFICIAL.read(held, None)
    model = OFFICIAL.read(held, "sgmse").model
    spectrogram = torch.ones(1, 1, 32, 16, dtype=torch.complex64)
    assert model(spectrogram, spectrogram, torch.ones(1)).x0.isfinite().all()


# Settings


def test_the_first_files():
    """Of 2022: no rate, a thousand `sde_n` that nothing used, a loss called mse."""
    checkpoint = OFFICIAL.read(
        official(sde_n=1000, loss_type="mse", n_fft=None, hop_length=None), None
    )
    assert checkpoint.model.parametrization == Score(sign=-1)
    assert checkpoint.sampler.grid == Uniform(30, end=0.03)
    assert checkpoint.front.sample_rate == 16000
    assert checkpoint.front.transform == Spectrogram(510, 128, Power(0.5, 0.15))
    assert checkpoint.training["sde_n"] == 1000
    assert checkpoint.training["epoch"] == 7
    assert checkpoint.training["step"] == 1234


def test_the_process_of_the_first_version():
    checkpoint = OFFICIAL.read(official(sde="ouvp", beta_min=0.1, beta_max=2, stiffness=1.5), None)
    assert checkpoint.model.sde == PublishedOUVP(0.1, 2.0, 1.5)


def test_dereverberation():
    checkpoint = OFFICIAL.read(official(format="reverb"), None)
    assert checkpoint.sampler.solver == PredictorCorrector(corrector=AnnealedLangevin(0.33))
    assert checkpoint.sampler.grid == Uniform(50, end=0.03)
    assert OFFICIAL.read(
        official(format="default", N=20, t_eps=0.04), None
    ).sampler.grid == Uniform(20, end=0.04)


@pytest.mark.parametrize(
    ("kind", "compat", "solver", "grid"),
    [
        ("ode", None, Exponential(start=0.0), Uniform(50, end=0.0)),
        ("sde", None, Exponential(eta=1.0), Uniform(50, end=0.0)),
        ("ode", "sgmse", SBODE(), Uniform(50, end=1e-4, finish=False)),
        ("sde", "sgmse", SBSDE(), Uniform(50, end=1e-4, finish=False)),
    ],
)
def test_the_samplers_of_the_bridge(kind, compat, solver, grid):
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "sampler_type": kind, "k": 2.5, "c": 0.3}
    checkpoint = OFFICIAL.read(official(**bridge, loss_type="data_prediction"), compat)
    assert checkpoint.model.sde == SBVE(2.5, 0.3)
    assert checkpoint.model.parametrization == Data()
    assert (checkpoint.sampler.solver, checkpoint.sampler.grid) == (solver, grid)
    assert checkpoint.front.padding == "reflect"


def test_the_48_khz_models():
    layout = {"attention_resolutions": (), "input_skip": False, "output_skip": False}
    net = NCSNpp.v48k(channels=8, multipliers=(1, 2), blocks=1, bins=256)
    assert net.config.items() >= {k: v for k, v in layout.items() if v is False}.items()
    settings = {"backbone": "ncsnpp_48k", "sde": "ouve", "nf": 8, "ch_mult": [1, 2]}
    settings |= {"num_res_blocks": 1, "n_fft": 1534, "hop_length": 384, "spec_factor": 0.065}
    settings |= {"spec_abs_exponent": 0.667, "theta": 2, "sigma_min": 0.1, "sigma_max": 1}
    for more, rate in (({}, 48000), ({"sr": 16000}, 48000), ({"sr": 44100}, 44100)):
        checkpoint = OFFICIAL.read(contents(net, net.published_keys(), settings | more), None)
        assert checkpoint.front.sample_rate == rate
        assert checkpoint.front.padding == "reflect"
        assert checkpoint.front.transform == Spectrogram(1534, 384, Power(0.667, 0.065))
        assert checkpoint.model.sde == OUVE(2.0, 0.1, 1.0)
        assert checkpoint.model.network.config == net.config


@pytest.mark.parametrize("ema", ["all", "trained"])
def test_the_first_network_of_all(ema):
    """DCUNet: the moments of its normalisation are saved, but are no parameters to average."""
    torch.manual_seed(0)
    net = DCUNet(width=16, activation="leaky_relu")
    for name, buffer in net.named_buffers():
        buffer.copy_(torch.rand(buffer.shape) if "running" in name else torch.tensor(7))
    settings = {"backbone": "dcunet", "sde": "ouve", "n_fft": 512, "embed_dim": 16}
    settings |= {"dcunet_activation": "leaky_relu", "loss_type": "mse"}
    checkpoint = OFFICIAL.read(contents(net, net.published_keys(), settings, ema=ema), None)
    assert Enhancer.of(checkpoint).front.transform == Spectrogram(512, 128)
    assert checkpoint.front.padding == "zero"
    assert checkpoint.model.network.config == net.config
    state, trained = net.state_dict(), {n: p.requires_grad for n, p in net.named_parameters()}
    for name, value in checkpoint.model.network.state_dict().items():
        averaged = name in trained and (ema == "all" or trained[name])
        assert torch.equal(value, 1.25 * state[name] if averaged else state[name]), name


@pytest.mark.parametrize(
    ("settings", "compression"),
    [
        ({"transform_type": "log", "spec_factor": 0.2}, Log(0.2)),
        ({"transform_type": "none", "spec_factor": 0.2}, Power(1, 1)),
        ({"spec_abs_exponent": 0.667, "spec_factor": 0.065}, Power(0.667, 0.065)),
        ({"spec_abs_exponent": 1}, Power(1.0, 0.15)),
    ],
)
def test_transforms(settings, compression):
    assert OFFICIAL.read(official(**settings), None).front.transform == Spectrogram(
        62, 16, compression
    )


def test_a_network_that_does_not_divide_by_t():
    assert OFFICIAL.read(official(), None).model.network.divide_by_t == "features"
    assert OFFICIAL.read(official(scale_by_sigma=False), None).model.network.divide_by_t is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"theta": "1.5"}, "its theta is '1.5', not a float"),
        ({"theta": -1.5}, "theta must be positive, not -1.5"),
        ({"sigma_min": 0.6}, "sigma_max 0.5 must exceed sigma_min 0.6"),
        ({"loss_type": "huber"}, "its loss_type is 'huber'; known are mse, mae, score_matching"),
        ({"loss_type": "data_prediction"}, "and ncsnpp has score_matching"),
        ({"sde": "sbve"}, "only ncsnpp_v2 with data_prediction"),
        ({"window": "hamming"}, "its window is 'hamming'; known are 'hann', 'sqrthann'"),
        ({"transform_type": "mel"}, "its transform_type is 'mel'"),
        ({"resblock_type": "ddpm"}, "its resblock_type is 'ddpm'; known are 'biggan'"),
        ({"progressive": "residual"}, "has the connections 'residual'"),
        ({"num_res_blocks": 10**9}, "its num_res_blocks is 1000000000, which is too large"),
        ({"ch_mult": [1] * 65}, "its ch_mult is a list, not a list of numbers"),
        ({"nf": 16}, "and its settings ask for"),
        ({"num_res_blocks": 2}, "its state_dict lacks dnn.all_modules"),
        ({"n_fft": 63}, "n_fft must be an even number"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path, settings, says):
    torch.save(official(**settings), tmp_path / "file.ckpt")
    with pytest.raises(CheckpointError) as e:
        read_file(tmp_path / "file.ckpt")
    assert says in str(e.value)
    assert str(e.value).startswith(f"{tmp_path / 'file.ckpt'} cannot be used: ")
    assert "\n" not in str(e.value)


# Weights


@pytest.mark.parametrize(("ema", "factor"), [("all", 1.25), ("trained", 1.25), (None, 1.0)])
def test_averaged_weights(ema, factor):
    net, state = official_network(), official_network().state_dict()
    loaded = OFFICIAL.read(official(ema), None).model.network.state_dict()
    frozen = [name for name, p in net.named_parameters() if not p.requires_grad]
    assert frozen == ["embedding.fourier.frequencies"]
    for name, value in state.items():
        own = 1.0 if name in frozen and ema == "trained" else factor
        assert torch.equal(loaded[name], own * value), name


def test_a_list_of_another_length_is_refused():
    held_ = official()
    held_["ema"]["shadow_params"].pop()
    held_["ema"]["shadow_params"].pop()
    count = len(held_["state_dict"])
    with pytest.raises(CheckpointError, match=f"its ema has {count - 2} weights, and the model"):
        OFFICIAL.read(held_, None)


def test_a_list_in_another_order_is_refused():
    held_ = official()
    held_["ema"]["shadow_params"].reverse()
    with pytest.raises(CheckpointError, match="its ema does not fit: the weight of dnn"):
        OFFICIAL.read(held_, None)


def test_the_list_follows_the_file():
    """Its order is that of their parameters, which a file shows, whatever ours is."""
    held_ = official()
    names = list(held_["state_dict"])[::-1]
    held_["state_dict"] = {name: held_["state_dict"][name] for name in names}
    held_["ema"]["shadow_params"].reverse()
    state = official_network().state_dict()
    for name, value in OFFICIAL.read(held_, None).model.network.state_dict().items():
        assert torch.equal(value, 1.25 * state[name]), name


@pytest.mark.parametrize("ema", ["all", None])
def test_a_missing_key_is_named(ema):
    held_ = official(ema)
    del held_["state_dict"]["dnn.all_modules.3.bias"]
    with pytest.raises(CheckpointError, match=r"its state_dict lacks dnn.all_modules.3.bias$"):
        OFFICIAL.read(held_, None)


@pytest.mark.parametrize("key", ["dnn.all_modules.99.weight", "net.weight"])
def test_an_odd_key_is_named(key):
    held_ = official()
    held_["state_dict"][key] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=f"its state_dict has unknown keys: {key}$"):
        OFFICIAL.read(held_, None)


def test_the_perceptual_loss_is_ignored():
    held_ = official()
    held_["state_dict"]["pesq_loss.weight"] = torch.zeros(3)
    OFFICIAL.read(held_, None)


def test_a_weight_that_is_not_finite_is_named():
    held_ = official(None)
    held_["state_dict"]["dnn.all_modules.3.bias"][0] = torch.nan
    with pytest.raises(CheckpointError, match=r"its dnn.all_modules.3.bias has numbers that are"):
        OFFICIAL.read(held_, None)


def test_weights_in_half_precision():
    held_ = official(None)
    held_["state_dict"] = {k: v.half() for k, v in held_["state_dict"].items()}
    assert {p.dtype for p in OFFICIAL.read(held_, None).model.parameters()} == {torch.float32}


def test_weights_are_copies():
    held_ = official(None)
    net = OFFICIAL.read(held_, None).model.network
    for value in held_["state_dict"].values():
        value.zero_()
    assert net.input.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({}, True),
        ({"sde": "bbed"}, False),
        ({"backbone": "ncsnpp_v3"}, False),
        ({"sde": None}, False),
        ({"backbone": ["ncsnpp"]}, False),
    ],
)
def test_recognises(settings, known):
    assert OFFICIAL.recognises(official(**settings)) is known
    assert not OFFICIAL.recognises(
        {"state_dict": {}, "hyper_parameters": official()["hyper_parameters"]}
    )


def test_a_denoiser_takes_no_notice_of_two_of_its_settings():
    settings = {"backbone": "ncsnpp_v2", "loss_type": "denoiser", "sigma_data": 0.3}
    settings |= {"c_in": "edm", "c_out": "edm", "c_skip": "edm", "network_scaling": "1/t"}
    model = OFFICIAL.read(official(**settings), None).model
    assert model.parametrization == Preconditioned("mean", "edm", scaling="1/t", sigma_data=0.3)


def test_a_file_is_needed_no_more(tmp_path: Path):
    torch.save(official(), tmp_path / "file.ckpt")
    checkpoint = read_file(tmp_path / "file.ckpt")
    (tmp_path / "file.ckpt").write_bytes(b"")
    assert all(p.isfinite().all() for p in checkpoint.model.parameters())
