"""StoRM's files: what is read computes what the published code does."""

import json
import pickle
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny import with_sampler

from sgmse.checkpoints import load, published, save
from sgmse.checkpoints.published._settings import Settings
from sgmse.checkpoints.published._storm import Storm
from sgmse.compat import PublishedOUVP
from sgmse.enhancer import Enhancer
from sgmse.errors import CheckpointError
from sgmse.model import Regeneration, ScoreModel
from sgmse.sdes import OUVE, expand
from sgmse.solvers import AnnealedLangevin, EulerMaruyama, PredictorCorrector, Uniform, solve

FILE = Path(__file__).parents[2] / "data" / "parity" / "storm.npz"
NETWORKS = {
    "noisy": {"denoiser_net.": "denoiser", "score_net.": "score_4"},
    "post_denoiser": {"denoiser_net.": "denoiser", "score_net.": "score_4"},
    "both": {"denoiser_net.": "denoiser", "score_net.": "score_6"},
    "ouvp": {"denoiser_net.": "denoiser", "score_net.": "score_6"},
    "score_only": {"dnn.": "score_4"},
    "denoiser_only": {"dnn.": "denoiser"},
}
SCORED = ("noisy", "post_denoiser", "both", "score_only")


@pytest.fixture(scope="module")
def vectors() -> dict:
    """Arrays by name, in double precision, and the settings."""
    with np.load(FILE) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file if "json" not in name}
        settings = json.loads(str(file["settings_json"]))
    wide = {torch.complex64: torch.complex128, torch.float32: torch.float64}
    arrays = {name: a.to(wide.get(a.dtype, a.dtype)) for name, a in arrays.items()}
    arrays["noise"] = torch.view_as_complex(arrays.pop("noise16").double() / 16)
    return settings | arrays


def weights_of(vectors: dict, kind: str) -> OrderedDict[str, torch.Tensor]:
    """The state_dict of a file of that kind."""
    state = OrderedDict()
    for prefix, net in NETWORKS[kind].items():
        shapes, flat = vectors["nets"][net], vectors[f"weights__{net}"].float()
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        for (name, shape), part in zip(shapes.items(), flat.split(sizes), strict=True):
            state[prefix + name] = part.reshape(shape).clone()
    return state


def contents_of(vectors: dict, kind: str) -> dict:
    """What Lightning saves, as written by the published training with Lightning 1.8."""
    averages = weights_of(vectors, kind)
    return {
        "epoch": 7,
        "global_step": 1234,
        "pytorch-lightning_version": "1.8.3",
        "state_dict": OrderedDict((name, value / 2) for name, value in averages.items()),
        "hparams_name": "kwargs",
        "hyper_parameters": dict(vectors["hyper_parameters"][kind]),
        "ema": {
            "decay": 0.999,
            "num_updates": 1234,
            "shadow_params": list(averages.values()),
            "collected_params": None,
        },
    }


@pytest.fixture
def checkpoint(vectors):
    def make(kind: str, compat: str | None = "sgmse"):
        made = Storm().read(contents_of(vectors, kind), compat)
        made.model.double().eval().requires_grad_(False)
        return made

    return make


def close(ours: torch.Tensor, expected: torch.Tensor) -> None:
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() <= 1e-9 * expected.abs().max()


@pytest.mark.parametrize("kind", SCORED)
def test_parity_of_the_networks(vectors, checkpoint, kind):
    model = checkpoint(kind).model
    x, y, t = vectors["x"], vectors["y"], vectors["t"]
    seeing, anchor = model.observe(y)
    close(anchor, y if kind == "score_only" else vectors["denoised"])
    noise = seeing(x, anchor, t).noise
    close(-noise / expand(model.sde.scales(t).sigma, x), vectors[f"{kind}__score"])


def test_parity_of_the_predictor_alone(vectors, checkpoint):
    model, y = checkpoint("denoiser_only").model, vectors["y"]
    close(model(y, y, torch.ones(2)).x0, vectors["denoised"])


def scripted(noise: torch.Tensor):
    draws = iter(noise)
    return lambda like: next(draws).expand_as(like)


def as_run(checkpoint, settings: dict) -> Enhancer:
    """The published enhancement in as few steps as the vectors are made with."""
    enhancer = Enhancer.of(checkpoint)
    if "N" not in settings:
        return enhancer
    predictor = replace(enhancer.sampler.solver.predictor, stepsize=1 / settings["N"])
    grid = replace(enhancer.sampler.grid, steps=settings["N"])
    solver = replace(enhancer.sampler.solver, predictor=predictor)
    return with_sampler(enhancer, solver=solver, grid=grid)


@pytest.mark.parametrize("kind", NETWORKS)
def test_parity_from_waveform_to_waveform(vectors, checkpoint, kind, monkeypatch):
    enhancer = as_run(checkpoint(kind), vectors["samplers"][kind])
    wave, expected = vectors["wave"], vectors[f"{kind}__audio"]
    peak = wave.abs().max()
    y = enhancer.spectrogram(wave / peak)
    assert y.shape[-1] == 64  # zeros beyond what the small network asks for
    model, anchor = enhancer.model.observe(y)
    noise = scripted(vectors["noise"])
    x = solve(model, anchor, enhancer.sampler.solver, enhancer.sampler.grid, randn=noise).x
    close(peak * enhancer.front.transform.inverse(x[:, 0], wave.shape[1])[0], expected)

    monkeypatch.setattr(
        "sgmse.enhancer._segments.Draws", lambda seed, number, place: scripted(vectors["noise"])
    )
    close(enhancer(wave[0], 16000), expected)


def test_the_published_losses(vectors, checkpoint):
    """Half a sum over the batch of |score sigma + z|^2 and |D(y) - x0|^2, the mean of the two."""
    model = checkpoint("both").model.requires_grad_(True)
    x0, y, t, z = (vectors[name] for name in ("x", "y", "t", "z"))
    seeing, anchor = model.observe(y)
    noise = seeing(model.sde.sample(x0, anchor, t, z), anchor, t).noise
    refiner, predictor = (d.abs().square().sum() / 2 for d in (noise - z, anchor - x0))
    loss = (refiner + predictor) / 2
    for ours, expected in zip((loss, refiner, predictor), vectors["loss"], strict=True):
        close(ours, expected)
    loss.backward()
    close(model.predictor.output.weight.grad, vectors["gradient__denoiser"])
    close(model.network.output.weight.grad, vectors["gradient__score"])


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_average_in_both_its_lengths(vectors, kind):
    contents = contents_of(vectors, kind)
    averages = weights_of(vectors, kind)
    fixed = [name for name in averages if name.endswith("all_modules.0.W")]
    for shorter in (False, True):
        if shorter:
            contents["ema"]["shadow_params"] = [
                value for name, value in averages.items() if name not in fixed
            ]
        model = Storm().read(contents, None).model
        for prefix, network in networks_of(model, kind).items():
            for name, key in network.published_keys().items():
                half = shorter and prefix + key in fixed  # not averaged: as in the state_dict
                expected = averages[prefix + key] / (2 if half else 1)
                assert torch.equal(network.state_dict()[name], expected), key


def networks_of(model, kind: str) -> dict:
    if kind.endswith("only"):
        return {"dnn.": model.network}
    return {"denoiser_net.": model.predictor, "score_net.": model.network}


def test_without_an_average_the_last_weights(vectors):
    contents = contents_of(vectors, "both")
    del contents["ema"]
    network = Storm().read(contents, None).model.network
    expected = contents["state_dict"]["score_net.output_layer.weight"]
    assert torch.equal(network.output.weight, expected)


def test_what_a_file_says_of_its_model(checkpoint):
    both, ouvp = checkpoint("both", None), checkpoint("ouvp", None)
    assert isinstance(both.model, Regeneration)
    assert both.model.conditioning == "both"
    assert both.model.sde == OUVE(1.5, 0.05, 0.5)
    assert ouvp.model.sde == PublishedOUVP(0.1, 10.0)
    assert both.front.transform.compression.factor == 0.33
    assert (both.front.sample_rate, both.front.padding, both.front.multiple) == (16000, "zero", 64)
    assert both.training["family"] == "storm"
    assert both.training["step"] == 1234
    assert both.training["weighting_denoiser_to_score"] == 0.5
    ald = AnnealedLangevin(0.5)
    assert both.sampler.solver == PredictorCorrector(EulerMaruyama(), ald)
    assert ouvp.sampler.solver == PredictorCorrector(EulerMaruyama(), None)
    assert both.sampler.grid == Uniform(50, end=0.03)
    published_sampler = PredictorCorrector(EulerMaruyama(stepsize=0.02), ald)
    assert checkpoint("both", "sgmse").sampler.solver == published_sampler
    assert isinstance(checkpoint("score_only").model, ScoreModel)
    alone = checkpoint("denoiser_only")
    assert alone.model.network.predictive
    assert alone.sampler.grid.steps == 1


@pytest.mark.parametrize(
    ("backbone", "sizes"),
    [
        ("ncsnpp", (128, [1, 2, 2, 2], 1)),
        ("ncsnpplarge", (128, [1, 1, 2, 2, 2, 2, 2], 2)),
        ("ncsnpp12M", (96, [1, 2, 2, 1], 1)),
        ("ncsnpp6M", (96, [1, 1, 1, 1], 1)),
    ],
)
def test_backbones_have_their_published_sizes(backbone, sizes):
    config = Storm().model(Settings({"backbone": backbone}), None).network.config
    assert (config["channels"], list(config["multipliers"]), config["blocks"]) == sizes


@pytest.mark.parametrize(
    ("version", "centered", "centred"),
    [("1.8.3", None, False), ("2.2.1", None, True), (None, None, False), ("2.0", False, False)],
)
def test_files_of_the_branch_for_torch_2_take_their_input_as_it_is(
    vectors, version, centered, centred
):
    contents = contents_of(vectors, "both") | {"pytorch-lightning_version": version}
    if centered is not None:
        contents["hyper_parameters"]["centered"] = centered
    model = Storm().read(contents, None).model
    assert model.network.centred == model.predictor.centred == centred


def test_a_regeneration_without_a_score_network_is_a_predictor(vectors):
    contents = contents_of(vectors, "both")
    contents["hyper_parameters"]["backbone_score"] = "none"
    state = contents["state_dict"]
    contents["state_dict"] = {n: v for n, v in state.items() if n.startswith("denoiser_net.")}
    count = len(contents["state_dict"])
    contents["ema"]["shadow_params"] = contents["ema"]["shadow_params"][:count]
    model = Storm().read(contents, None).model.double()
    y = vectors["y"]
    with torch.no_grad():
        close(model(y, y, torch.ones(2)).x0, vectors["denoised"])


@pytest.mark.parametrize("kind", ["both", "denoiser_only"])
def test_a_file_is_read_and_converted(vectors, kind, tmp_path, monkeypatch):
    """Through the reader of all families, with the class of the data pickled, to our format."""
    contents = contents_of(vectors, kind)
    for module in ("nowhere", "nowhere.data_module"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    data = type("SpecsDataModule", (), {"__module__": "nowhere.data_module"})
    monkeypatch.setattr(sys.modules["nowhere.data_module"], "SpecsDataModule", data, raising=False)
    contents["hyper_parameters"]["data_module_cls"] = data
    path = tmp_path / "file.ckpt"
    torch.save(contents, path, pickle_module=pickle)
    read = published.read(path)
    again = load(save(read, tmp_path / "folder"))
    expected = Storm().read(contents, None)
    for one in (read, again):
        ours, theirs = one.model.state_dict(), expected.model.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        for name in ("front", "sampler", "training"):
            assert getattr(one, name) == getattr(expected, name)
    assert not again.model.training


def test_its_files_are_told_from_those_of_others(vectors):
    for kind in NETWORKS:
        assert Storm().recognises(contents_of(vectors, kind))
    other = contents_of(vectors, "score_only")
    del other["hyper_parameters"]["spatial_channels"]
    assert not Storm().recognises(other)
    assert not Storm().recognises({})


def changed(contents: dict, **settings) -> dict:
    return contents | {"hyper_parameters": contents["hyper_parameters"] | settings}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"condition": "late"}, "its condition is 'late'; known are 'noisy', 'post_denoiser', 'b"),
        ({"condition": "noisy"}, "its score_net.output_layer.weight is .* ask for .*2, 4, 1, 1"),
        ({"backbone_denoiser": "gagnet"}, "its backbone_denoiser is 'gagnet'; known are 'ncsnpp'"),
        ({"backbone_denoiser": "none"}, "its backbone_denoiser is 'none'"),
        ({"spatial_channels": 2}, "its spatial_channels is 2; known are 1"),
        ({"sde": "ouvesde"}, "its sde is 'ouvesde'"),
        ({"window": "hamming"}, "its window is 'hamming'"),
        ({"progressive": "none"}, "its progressive is 'none'"),
        ({"nf": 8}, "its denoiser_net.output_layer|its denoiser_net.all_modules"),
    ],
)
def test_settings_that_are_not_known_are_named(vectors, settings, message):
    with pytest.raises(CheckpointError, match=message) as error:
        Storm().read(changed(contents_of(vectors, "both"), **settings), None)
    assert "\n" not in str(error.value)


def test_missing_and_odd_keys_are_named(vectors):
    for change, message in (
        (lambda state: state.pop("score_net.output_layer.bias"), "lacks score_net.output_layer.b"),
        (lambda state: state.update({"score_net.odd": torch.ones(1)}), "unknown.*score_net.odd"),
        (lambda state: state.update({"decoder.odd": torch.ones(1)}), "unknown.*decoder.odd"),
    ):
        contents = contents_of(vectors, "both")
        contents["ema"] = None
        change(contents["state_dict"])
        with pytest.raises(CheckpointError, match=message):
            Storm().read(contents, None)
    contents = contents_of(vectors, "both")
    contents["ema"]["shadow_params"].pop()
    with pytest.raises(CheckpointError, match="its ema has 281 weights, and the model has 282"):
        Storm().read(contents, None)
