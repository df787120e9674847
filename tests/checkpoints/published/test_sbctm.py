"""SB-CTM: consistency trajectories of the Schroedinger bridge."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import parity_contents
from parity_models import seeded
from tiny_published import relative

from sgmse.checkpoints import published
from sgmse.checkpoints.published._sbctm import SBCTM
from sgmse.compat import ConsistencyTrajectory
from sgmse.enhancer import Enhancer
from sgmse.errors import CheckpointError
from sgmse.estimates import Data
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Polynomial, Sampler

VECTORS = Path(__file__).parents[2] / "data" / "parity" / "sbctm.npz"
with np.load(VECTORS) as file:
    SETTINGS = json.loads(str(file["settings_json"]))
    ARRAYS = {name: file[name] for name in file.files if name != "settings_json"}


def held(**changes):
    """With other weights of the network that is trained, and of a teacher, as in their files."""
    weights = seeded(SETTINGS["shapes"], SETTINGS["seed"])
    contents = parity_contents({}, SETTINGS["hyper_parameters"] | changes)
    for name, weight in weights.items():
        contents["state_dict"] |= {f"dnn.{name}": 0 * weight, f"dnn_tgt.{name}": weight}
    contents["state_dict"]["teacher.dnn.output_layer.bias"] = torch.zeros(2)
    contents["state_dict"]["pesq_loss.filter"] = torch.zeros(2)
    return contents


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_a_trajectory(dtype, tolerance):
    model = SBCTM().read(held(), None).model.eval().to(dtype)
    x, y = (torch.from_numpy(ARRAYS[name]).to(dtype.to_complex()) for name in "xy")
    t, s = (torch.from_numpy(ARRAYS[name]).to(dtype) for name in "ts")
    assert relative(model(x, y, t, s=s).x0.numpy(), ARRAYS["clean"]) < tolerance
    there, _ = ConsistencyTrajectory().step(model, x, y, t, s, None, torch.randn_like)
    assert relative(there.numpy(), ARRAYS["there"]) < tolerance


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_from_a_recording_to_audio(steps, dtype, tolerance, tmp_path):
    torch.save(held(), tmp_path / "file.ckpt")
    enhancer = Enhancer.of(published.read(tmp_path / "file.ckpt")).with_sampler(steps=steps)
    enhancer.model.to(getattr(torch, dtype))
    audio = enhancer(ARRAYS["wave"].astype(dtype), 16000)
    assert relative(audio, ARRAYS[f"audio_{steps}"]) < tolerance


def test_what_a_file_says():
    checkpoint = SBCTM().read(held(), None)
    assert checkpoint.model.sde == SBVE(2.6, 0.4)
    assert checkpoint.model.parametrization == Data()
    grid = Polynomial(1, end=1e-4, finish=False, rho=7.0)
    assert checkpoint.sampler == Sampler(ConsistencyTrajectory(), grid)
    assert checkpoint.front.padding == "reflect"
    Enhancer.of(checkpoint).with_sampler(solver=Exponential(start=0.0), steps=8)


def test_a_step_to_0_is_told_as_the_least_time():
    model = SBCTM().read(held(), None).model.eval()
    x, y = (torch.from_numpy(ARRAYS[name][:1]) for name in "xy")
    t = torch.ones(1)
    with torch.inference_mode():
        last, least = (model(x, y, t, s=torch.tensor([s])).x0 for s in (0.0, 1e-4))
    assert torch.equal(last, least)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cm": True}, "its cm is True; known are False"),
        ({"backbone": "ncsnpp-ctm_48k_v2"}, "its backbone is 'ncsnpp-ctm_48k_v2'; known are"),
        ({"sde": "ouve"}, "its sde is 'ouve'; known are 'sbve'"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        SBCTM().read(held(**changes), None)


def test_other_weights_are_refused():
    contents = held()
    contents["state_dict"]["odd.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"unknown keys: odd\.weight"):
        SBCTM().read(contents, None)
    contents["state_dict"] = {"dnn.output_layer.bias": torch.zeros(2)}
    with pytest.raises(CheckpointError, match=r"no weights dnn_tgt\."):
        SBCTM().read(contents, None)
