"""COSE: average velocities from noise to clean speech."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import parity_contents
from parity_models import seeded
from tiny_published import Scripted, relative

from sgmse.checkpoints import published
from sgmse.checkpoints.published._cose import COSE
from sgmse.enhancer import Enhancer, _segments
from sgmse.sdes import FlowMatching
from sgmse.solvers import Exponential, Sampler, Uniform

VECTORS = Path(__file__).parents[2] / "data" / "parity" / "cose.npz"
with np.load(VECTORS) as file:
    SETTINGS = json.loads(str(file["settings_json"]))
    ARRAYS = {name: file[name] for name in file.files if name != "settings_json"}


def held(**changes):
    weights = seeded(SETTINGS["shapes"], SETTINGS["seed"])
    return parity_contents(weights, SETTINGS["hyper_parameters"] | changes)


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_the_average_velocity(dtype, tolerance):
    network = COSE().read(held(), None).model.network.eval().to(dtype)
    x, y = (torch.from_numpy(ARRAYS[name]).to(dtype.to_complex()) for name in "xy")
    t, s = (torch.from_numpy(ARRAYS[name]).to(dtype) for name in "ts")
    assert relative(network(x, y, t, s).numpy(), ARRAYS["average"]) < tolerance


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_from_a_recording_to_audio(steps, dtype, tolerance, monkeypatch, tmp_path):
    torch.save(held(), tmp_path / "file.ckpt")
    enhancer = Enhancer.of(published.read(tmp_path / "file.ckpt")).with_sampler(steps=steps)
    draws = Scripted(SETTINGS["noise"])
    monkeypatch.setattr(_segments, "Draws", lambda *_: draws)
    enhancer.model.to(getattr(torch, dtype))
    audio = enhancer(ARRAYS["wave"].astype(dtype), 16000)
    assert draws.count == 1
    assert relative(audio, ARRAYS[f"audio_{steps}"]) < tolerance


def test_what_a_file_says():
    checkpoint = COSE().read(held(), None)
    assert checkpoint.model.sde == FlowMatching()
    assert checkpoint.sampler == Sampler(Exponential(whole=True), Uniform(1, end=0.0))
    assert checkpoint.model.network.divide_by_t == "features"
    assert list(SETTINGS["shapes"])[2] == "fourier_projection_t.W"
