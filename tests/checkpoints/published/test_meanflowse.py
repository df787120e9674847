"""MeanFlowSE: average velocities, of a network that is told where a step ends."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import contents, parity_contents
from parity_models import seeded
from tiny_published import Scripted, relative

from sgmse.checkpoints import load_model, published, save
from sgmse.checkpoints.published._flowse import FlowSE
from sgmse.checkpoints.published._meanflowse import MeanFlowSE
from sgmse.compat import FlowEuler
from sgmse.enhancer import Enhancer, _segments
from sgmse.errors import ArgumentError
from sgmse.estimates import Velocity
from sgmse.networks import NCSNpp
from sgmse.sdes import StraightFlow
from sgmse.solvers import Exponential, Sampler, Uniform, solve

VECTORS = Path(__file__).parents[2] / "data" / "parity" / "meanflowse.npz"
with np.load(VECTORS) as file:
    SETTINGS = json.loads(str(file["settings_json"]))
    ARRAYS = {name: file[name] for name in file.files if name != "settings_json"}
RUNS = ["one", "three_whole", "five", "noisy"]


def held(**changes):
    weights = seeded(SETTINGS["shapes"], SETTINGS["seed"])
    return parity_contents(weights, SETTINGS["hyper_parameters"] | changes)


def read(compat=None, **changes):
    checkpoint = MeanFlowSE().read(held(**changes), compat)
    checkpoint.model.eval()
    return checkpoint


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_the_velocities(dtype, tolerance):
    model = read().model.to(dtype)
    x, y = (torch.from_numpy(ARRAYS[name]).to(dtype.to_complex()) for name in "xy")
    t, s = (torch.from_numpy(ARRAYS[name]).to(dtype) for name in "ts")
    for output, name in (
        (model.network(x, y, t, s), "average"),
        (model.network(x, y, t), "velocity"),
    ):
        assert relative(output.numpy(), ARRAYS[name]) < tolerance
    # The displacement, as the estimate of the whole step.
    x0, noise = model(x, y, t, s=s)
    a, b, sigma = (scale[:, None, None, None] for scale in model.sde.scales(s))
    theirs = x.numpy() - (t - s)[:, None, None, None].numpy() * ARRAYS["average"]
    assert relative((a * x0 + b * y + sigma * noise).numpy(), theirs) < tolerance


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_from_a_recording_to_audio(run, dtype, tolerance, monkeypatch):
    settings = SETTINGS[run]
    draws = Scripted(settings["seed"])
    monkeypatch.setattr(_segments, "Draws", lambda *_: draws)
    compat = "sgmse" if run in ("five", "noisy") else None
    checkpoint = read(compat, **settings["changes"], use_mfse=settings["whole"])
    enhancer = Enhancer.of(checkpoint).with_sampler(steps=settings["steps"], force=True)
    enhancer.model.to(getattr(torch, dtype))
    audio = enhancer(ARRAYS["wave"].astype(dtype), 16000)
    assert draws.count == settings["draws"]
    assert relative(audio, ARRAYS[f"audio_{run}"]) < tolerance


def test_what_a_file_says():
    checkpoint = read()
    assert checkpoint.model.sde == StraightFlow(0.0, 0.487)
    assert checkpoint.model.parametrization == Velocity()
    assert checkpoint.sampler == Sampler(Exponential(whole=True), Uniform(1, end=0.0))
    assert read("sgmse").sampler.solver == FlowEuler(grow=False, whole=True)
    assert read(use_mfse=False).sampler == Sampler(Exponential(), Uniform(5, end=0.03))
    assert checkpoint.training["family"] == "meanflowse"
    assert not FlowSE().tells(SETTINGS["hyper_parameters"], [])


def test_what_it_may_be_sampled_with():
    """Whole steps in any number; along the velocity as published, in half of its steps or more."""
    enhancer = Enhancer.of(read())
    for steps in (1, 2, 7):
        enhancer.with_sampler(steps=steps)
    enhancer.with_sampler(solver=Exponential(), steps=5)
    with pytest.raises(ArgumentError, match="any solver on any grid in 3 or more"):
        enhancer.with_sampler(solver=Exponential(), steps=1)


def test_the_averages_of_its_training_come_in_the_order_of_the_file():
    network = NCSNpp(channels=8, multipliers=(1, 2), blocks=1, bins=32, end="length")
    keys = network.published_keys()
    assert list(keys.values()) == list(SETTINGS["shapes"])
    assert [name for name, _ in network.named_parameters()] == list(keys)
    settings = SETTINGS["hyper_parameters"]
    loaded = MeanFlowSE().read(contents(network, keys, settings), None).model.network
    assert torch.equal(loaded.end.first.weight, 1.25 * network.end.first.weight)


def test_a_whole_step_of_a_network_of_one_time_is_refused():
    model = read().model
    model.network = NCSNpp(channels=8, multipliers=(1, 2), blocks=1, bins=32)
    y = torch.zeros(1, 1, 32, 16, dtype=torch.complex64)
    with pytest.raises(ArgumentError, match=r"whole=True.*takes one time; leave out whole"):
        solve(model, y, Exponential(whole=True), Uniform(1))


def test_it_is_kept_in_the_native_format(tmp_path):
    torch.save(held(), tmp_path / "file.ckpt")
    checkpoint = published.read(tmp_path / "file.ckpt")
    save(checkpoint, tmp_path / "native")
    again = load_model(tmp_path / "native")
    assert again.sampler == checkpoint.sampler
    assert again.model.two_times
    x = torch.ones(1, 1, 32, 16, dtype=torch.complex64)
    t, s = torch.ones(1), torch.zeros(1)
    with torch.inference_mode():
        assert torch.equal(again.model(x, x, t, s=s).x0, checkpoint.model(x, x, t, s=s).x0)
