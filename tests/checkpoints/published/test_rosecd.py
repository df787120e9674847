"""ROSE-CD: one step of a consistency model in the code of SGMSE+."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import parity_contents
from parity_models import seeded
from tiny_published import Scripted, relative

from sgmse.checkpoints import published
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._rosecd import RoseCD
from sgmse.enhancer import Enhancer, _segments
from sgmse.errors import ArgumentError
from sgmse.estimates import Preconditioned
from sgmse.sdes import OUVE
from sgmse.solvers import AnnealedLangevin, Exponential, PredictorCorrector, Sampler, Uniform

VECTORS = Path(__file__).parents[2] / "data" / "parity" / "rosecd.npz"
with np.load(VECTORS) as file:
    SETTINGS = json.loads(str(file["settings_json"]))
    ARRAYS = {name: file[name] for name in file.files if name != "settings_json"}


def held(**changes):
    weights = seeded(SETTINGS["shapes"], SETTINGS["seed"])
    return parity_contents(weights, SETTINGS["hyper_parameters"] | changes)


def read(**changes):
    return RoseCD().read(held(**changes), None)


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_clean_spectrogram_at_any_time(dtype, tolerance):
    model = read().model.eval().to(dtype)
    x, y = (torch.from_numpy(ARRAYS[name]).to(dtype.to_complex()) for name in "xy")
    clean = model(x, y, torch.from_numpy(ARRAYS["t"]).to(dtype)).x0
    assert relative(clean.numpy(), ARRAYS["clean"]) < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_from_a_recording_to_audio(dtype, tolerance, monkeypatch, tmp_path):
    torch.save(held(), tmp_path / "file.ckpt")
    enhancer = Enhancer.of(published.read(tmp_path / "file.ckpt"))
    draws = Scripted(SETTINGS["one"]["seed"])
    monkeypatch.setattr(_segments, "Draws", lambda *_: draws)
    enhancer.model.to(getattr(torch, dtype))
    audio = enhancer(ARRAYS["wave"].astype(dtype), 16000)
    assert draws.count == SETTINGS["one"]["draws"]
    assert relative(audio, ARRAYS["audio_one"]) < tolerance


def test_what_a_file_says():
    checkpoint = read()
    assert checkpoint.model.sde == OUVE(1.5, 0.05, 0.5)
    edm = {"c_out": "edm", "c_skip": "edm", "sigma_data": 0.1}
    assert checkpoint.model.parametrization == Preconditioned("data", **edm)
    assert checkpoint.sampler == Sampler(Exponential(), Uniform(1, end=0.0))
    assert checkpoint.front.padding == "reflect"
    assert not Official().tells(SETTINGS["hyper_parameters"], ["dnn.output_layer.weight"])
    with pytest.raises(ArgumentError, match="not made for"):
        Enhancer.of(checkpoint).with_sampler(steps=5)


def test_its_teacher():
    """The first training, for the mean of x_t, without the losses in the time domain."""
    checkpoint = read(pesq_weight=0.0, sisdr_weight=0.0, c_in="edm")
    edm = dict.fromkeys(("c_in", "c_out", "c_skip"), "edm")
    assert checkpoint.model.parametrization == Preconditioned("mean", **edm)
    assert checkpoint.sampler == Sampler(
        PredictorCorrector(corrector=AnnealedLangevin(0.5)), Uniform(30, end=0.03)
    )
