"""NeMo's models, against vectors made with its own code on the same weights and noise."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import with_sampler

from sgmse.checkpoints import published
from sgmse.checkpoints.native import load, save
from sgmse.checkpoints.published import _archives as archives
from sgmse.checkpoints.published._nemo import NeMo
from sgmse.compat import SBODE, SBSDE
from sgmse.enhancer import Enhancer
from sgmse.errors import CheckpointError
from sgmse.estimates import Data, Score, Velocity
from sgmse.sdes import OUVE, SBVE, SBVP, FlowMatching, Scaled
from sgmse.solvers import Exponential, Uniform, solve
from sgmse.transforms import Power, Spectrogram

NEMO = NeMo()
HERE = Path(__file__).parents[2] / "data" / "parity"
ARCHIVE = HERE / "nemo_tiny.nemo"
HOP, WHOLE = 8, 312  # samples up to the last whole hop: NeMo gives back zeros behind it

with np.load(HERE / "nemo.npz") as file:
    SETTINGS = json.loads(str(file["settings_json"]))
    V = {key: torch.from_numpy(file[key]) for key in file.files if key != "settings_json"}
CASES = SETTINGS["cases"]
WEIGHTS = archives.unpack(ARCHIVE)["state_dict"]


def contents(name: str) -> dict:
    return {"model_config": deepcopy(CASES[name]["config"]), "state_dict": dict(WEIGHTS)}


class Script:
    """The noise of the vectors, one draw after the other."""

    def __init__(self) -> None:
        self.random = np.random.RandomState(SETTINGS["seed"])  # its numbers never change
        self.draws = 0

    def __call__(self, like):
        real, imaginary = self.random.standard_normal((2, *like.shape))
        self.draws += 1
        return torch.from_numpy((real + 1j * imaginary) / 2**0.5).to(like)


def enhanced(checkpoint, name, dtype=torch.float64, scale=None):
    """What the checkpoint makes of the recording; NeMo divides by the peak plus 1e-8."""
    enhancer, script = Enhancer.of(checkpoint), Script()
    model, peak = enhancer.model.to(dtype), V["audio"].abs().max()
    with torch.inference_mode():
        y = enhancer.spectrogram(V["audio"][None] / (peak + 1e-8))
        # The process knows more of its start than its prior: 1e-6 of y, which NeMo leaves out.
        x = None if scale is None else scale * script(y)
        x = solve(model, y, checkpoint.sampler.solver, checkpoint.sampler.grid, x=x, randn=script).x
        audio = enhancer.audio(x, len(V["audio"]))[0] * peak
    assert script.draws == CASES[name]["draws"]
    return audio[:WHOLE]


def difference(ours, name):
    theirs = V[name][:WHOLE]
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", [n for n in CASES if n[:4] != "flow" and "vp" not in n])
def test_as_published(name):
    checkpoint = NEMO.read(contents(name), "sgmse")
    assert difference(enhanced(checkpoint, name), name) <= 1e-9
    assert difference(enhanced(checkpoint, name, torch.float32), name) <= 1e-4


@pytest.mark.parametrize(("name", "tolerance"), [("bridge_sde", 1e-6), ("bridge_vp_sde", 1e-9)])
def test_the_exact_bridge_is_the_published_one_but_for_its_end_and_epsilons(name, tolerance):
    checkpoint = NEMO.read(contents(name), None)
    assert checkpoint.sampler.solver == Exponential(eta=1.0)
    assert checkpoint.sampler.grid == Uniform(5, end=0.0)
    grid = replace(checkpoint.sampler.grid, end=1e-4, finish=False)
    ours = enhanced(with_sampler(checkpoint, grid=grid), name)
    assert difference(ours, name) <= tolerance


@pytest.mark.parametrize("name", ["flow_field", "flow_data"])
def test_flows(name):
    """The last step of the exact sampler leaves out sigma_end of the noise, that of NeMo not.

    For a network of the data NeMo computes the field of another start, unless sigma_end is 0, as in
    that vector; its field has an epsilon of 1e-6, which is all of the difference.
    """
    checkpoint = NEMO.read(contents(name), None)
    start = checkpoint.sampler.grid.start
    assert (checkpoint.sampler.grid.steps, 1 - start) == (5, 2**-20)
    noise = float(checkpoint.model.sde.scales(torch.ones(1, dtype=torch.float64)).sigma)
    if name == "flow_data":
        assert difference(enhanced(checkpoint, name, scale=noise), name) <= 1e-4
        return

    class Ending(Exponential):
        def finish(self, model, x, y, t, s, memory, randn):
            x0, z = model(x, y, t)
            return x0 + model.sde.scales(torch.zeros(1, dtype=t.dtype)).sigma * z, memory

    whole = with_sampler(checkpoint, solver=Ending())
    assert difference(enhanced(whole, name, scale=noise), name) <= 1e-9
    assert 1e-9 < difference(enhanced(checkpoint, name, scale=noise), name) <= 1e-3
    # The start that the prior gives, and the one that the solver makes of it, at 2^-20 from 1.
    assert difference(enhanced(NEMO.read(contents(name), "sgmse"), name), name) <= 1e-5


def test_processes_and_samplers():
    for name, sde, parametrization in (
        ("bridge_sde", SBVE(2.6, 0.4), Data()),
        ("bridge_vp_sde", SBVP(beta_min=0.01, beta_max=20.0, c=0.3), Data()),
        ("score", OUVE(1.5, 0.05, 0.5), Score()),
        ("flow_field", Scaled(FlowMatching(1e-4 / 0.8), 0.8), Velocity()),
        ("flow_data", FlowMatching(0.0), Data()),
    ):
        checkpoint = NEMO.read(contents(name), None)
        assert checkpoint.model.sde == sde
        assert checkpoint.model.parametrization == parametrization
        assert checkpoint.front.transform == Spectrogram(30, 8, Power(0.5, 0.33), ends="zero")
        assert checkpoint.front.sample_rate == 16000
        assert checkpoint.training["nemo_version"] == "2.5.0rc0"
    assert NEMO.read(contents("bridge_ode"), None).sampler.solver == Exponential(start=0.0)
    assert NEMO.read(contents("bridge_ode"), "sgmse").sampler.solver == SBODE(told="state")
    assert NEMO.read(contents("bridge_sde_current"), "sgmse").sampler.solver == SBSDE(end=0.0)
    exact = NEMO.read(contents("score"), None)
    assert exact.sampler.solver.predictor.stepsize is None
    assert exact.sampler.grid == Uniform(5)
    assert NEMO.read(contents("score"), "sgmse").sampler.solver.predictor.stepsize == 0.2
    state = NEMO.read(contents("score_state"), "sgmse")
    assert state.sampler.grid == Uniform(5, 0.9, 0.05)
    assert state.sampler.solver.predictor.stepsize == pytest.approx(0.18)


def test_the_archive(tmp_path):
    """As NeMo writes it, here compressed, through the front door, and on to the native format."""
    checkpoint = published.read(ARCHIVE, "sgmse")
    assert not checkpoint.model.training
    converted = load(save(checkpoint, tmp_path / "native"))
    for model in (checkpoint, converted):
        assert difference(enhanced(model, "bridge_sde"), "bridge_sde") <= 1e-9
    clean = Enhancer.of(published.read(ARCHIVE))(V["audio"].numpy(), 16000)
    assert np.isfinite(clean).all()
    assert clean.shape == V["audio"].shape


REFUSED = {
    "its normalize_input is false": {"normalize_input": False},
    "NeMo's model without a target": {"target": None},
    "NeMo's EncMaskDecAudioToAudioModel": {"target": "nemo.x.EncMaskDecAudioToAudioModel"},
    "network is a SpectrogramTransformerUNet": {
        "estimator": {"_target_": "nemo.x.SpectrogramTransformerUNet"}
    },
    "1 signals of 1": {"estimator": {"in_channels": 1}},
    "and know the time": {"estimator": {"conditioned_on_time": False}},
    "its nonlinearity is 'relu'": {"estimator": {"nonlinearity": "relu"}},
    "3 levels, 70 blocks": {"estimator": {"num_res_blocks": 70}},
    "4 levels, 2 blocks": {"estimator": {"num_resolutions": 4}},
    "its encoder .* differ": {"decoder": {"scale": 0.3}},
    "its encoder is not centred": {"encoder": {"center": False}},
    "its encoder is a Mel": {"encoder": {"_target_": "nemo.Mel"}},
    "its encoder has no fft_length": {"encoder": {"fft_length": None}},
    "its decoder has unknown settings: odd": {"decoder": {"odd": 1}},
    "its config has no sampler": {"sampler": 3},
    "its config has no sample_rate": {"sample_rate": None},
    "its sample_rate is '16k', not a int": {"sample_rate": "16k"},
    "its num_outputs is more than 1": {"num_outputs": 2},
    "its estimator_output is 'score'": {"estimator_output": "score"},
    "its process is 'pf'": {"sampler": {"process": "pf"}},
    "its sampler has unknown settings: churn": {"sampler": {"churn": 0.1}},
    "its time_max is 0.5": {"sampler": {"time_max": 0.5}},
    "its noise_schedule is a Cosine": {"noise_schedule": {"_target_": "Cosine"}},
    "its schedule and its sampler have other eps": {"sampler": {"eps": 1e-6}},
    "k must be positive": {"noise_schedule": {"k": -1.0}},
}


def change(config: dict, changes: dict) -> dict:
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return config


@pytest.mark.parametrize("says", REFUSED)
def test_refused(says):
    given = contents("bridge_sde")
    change(given["model_config"], REFUSED[says])
    with pytest.raises(ValueError, match=says) as error:
        NEMO.read(given, "sgmse")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("flow_data", {"p_cond": 0}, "its p_cond is 0"),
        ("flow_data", {"estimator_target": "conditional_vector_field"}, "another estimator_target"),
        ("flow_data", {"flow": {"time_max": 2.0}}, "its time_max is .*2.0, 1.0"),
        ("score", {"sampler": {"predictor": "euler"}}, "its predictor is 'euler'"),
        ("score", {"sampler": {"num_corrector_steps": 0}}, "steps must be at least 1"),
        ("score", {"sde": {"stiffness": None}}, "its sde has no stiffness"),
        ("bridge_vp_sde", {}, "leave out compat"),
    ],
)
def test_refused_of_other_models(name, changes, says):
    given = contents(name)
    change(given["model_config"], changes)
    with pytest.raises(ValueError, match=says):
        NEMO.read(given, "sgmse")


def test_weights_that_do_not_fit():
    given = contents("bridge_sde")
    del given["state_dict"]["estimator.output_projection.bias"]
    with pytest.raises(CheckpointError, match=r"lacks estimator\.output_projection\.bias"):
        NEMO.read(given, None)
    given = contents("bridge_sde")
    given["state_dict"]["discriminator.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"unknown keys: discriminator\.weight"):
        NEMO.read(given, None)
    given = contents("bridge_sde")
    given["model_config"]["estimator"]["channels"] = [4, 8, 8, 8]
    with pytest.raises(
        CheckpointError, match=r"estimator\.ncsnpp\.\S+ is \[4\].* ask for \[8\]|residual"
    ):
        NEMO.read(given, None)


def test_other_contents_are_left_to_others():
    assert NEMO.recognises(contents("score"))
    assert not NEMO.recognises({"hyper_parameters": {}, "state_dict": {}})


def test_settings_of_the_network_that_nemo_ignores():
    given = contents("bridge_sde")
    given["model_config"]["estimator"] |= {"pad_dimension_to": None, "attention": True}
    assert NEMO.read(given, None).model.network.config["pad_frequencies"] == 8
