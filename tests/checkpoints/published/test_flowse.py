"""The models of FlowSE: what their code gives is what ours gives."""

import numpy as np
import pytest
import torch
from tiny import with_sampler
from tiny_published import contents, error_of_audio, error_of_forward, file, read, relative

from sgmse.checkpoints import Checkpoint, load, published
from sgmse.checkpoints.published._flowse import FlowSE
from sgmse.checkpoints.published._reader import FAMILIES
from sgmse.compat import FlowEuler
from sgmse.enhancer import Enhancer
from sgmse.errors import CheckpointError
from sgmse.estimates import Velocity
from sgmse.front import FrontEnd
from sgmse.sdes import StraightFlow
from sgmse.solvers import Exponential, Uniform
from sgmse.transforms import Power, Spectrogram

#: Other constants than the defaults, for which the published arithmetic is not exact.
NOISY = {"sigma_min": 0.1, "T_rev": 0.8}
EVERY = pytest.mark.parametrize("compat", [None, "sgmse"])


def noisy(folder, compat) -> Checkpoint:
    return FlowSE().read(contents("flowse", folder, **NOISY), compat)


def test_parity_of_the_velocity(tmp_path):
    assert error_of_forward("flowse", read("flowse", tmp_path), sign=1) < 1e-12


@EVERY
def test_parity_from_waveform_to_waveform(tmp_path, monkeypatch, compat):
    enhancer = Enhancer.of(read("flowse", tmp_path, compat))
    assert error_of_audio("flowse", "five", enhancer, monkeypatch) < 1e-9
    assert error_of_audio("flowse", "five", enhancer, monkeypatch, "float32") < 1e-4


def test_parity_with_noise_at_the_end_and_an_early_start(tmp_path, monkeypatch):
    enhancer = Enhancer.of(noisy(tmp_path, "sgmse"))
    assert error_of_audio("flowse", "sigma_min", enhancer, monkeypatch) < 1e-9
    exact = Enhancer.of(noisy(tmp_path, None))
    assert error_of_audio("flowse", "sigma_min", exact, monkeypatch) > 0.1


def test_what_a_file_says(tmp_path):
    checkpoint = read("flowse", tmp_path)
    assert checkpoint.model.sde == StraightFlow(0.0, 0.487)
    assert checkpoint.model.parametrization == Velocity()
    assert checkpoint.model.latest == 1
    transform = Spectrogram(30, 15, Power(0.5, 0.15))
    assert checkpoint.front == FrontEnd(
        transform, 16000, multiple=64, tail="published", level="published"
    )
    assert checkpoint.sampler.solver == Exponential()
    assert checkpoint.sampler.grid == Uniform(5, start=1.0, end=0.03)
    assert checkpoint.training["family"] == "flowse"
    assert (
        with_sampler(checkpoint, solver=FlowEuler()).sampler
        == read("flowse", tmp_path, "sgmse").sampler
    )


def test_settings_of_the_training(tmp_path):
    ours = FlowSE().read(contents("flowse", tmp_path, **NOISY, sigma_max=1, t_eps=0.1), None)
    assert ours.model.sde == StraightFlow(0.1, 1.0)
    assert ours.model.latest == 0.8
    assert ours.sampler.grid == Uniform(5, start=0.8, end=0.1)
    names = ("sigma_min", "sigma_max", "T_rev", "t_eps")
    defaults = FlowSE().read(contents("flowse", tmp_path, **dict.fromkeys(names)), None)
    assert defaults.model.sde == StraightFlow(0.0, 0.487)
    assert defaults.sampler.grid == Uniform(5, end=0.03)


def test_its_files_are_told_from_those_of_others(tmp_path):
    held = contents("flowse", tmp_path)
    assert [f for f in FAMILIES if f.recognises(held)] == [FlowSE()]
    for changes in ({"ode": "other"}, {"ode": None}, {"sde": "ouve"}):
        assert not FlowSE().recognises(contents("flowse", tmp_path, **changes))


def test_reading_does_not_change_the_file(tmp_path):
    """The sign of the last layer is turned in a copy."""
    path = file("flowse", tmp_path)
    before = path.read_bytes()
    first, second = (published.read(path).model.network for _ in range(2))
    assert path.read_bytes() == before
    assert torch.equal(first.output.weight, second.output.weight)


@EVERY
def test_the_native_copy_is_the_same(tmp_path, compat):
    ours = read("flowse", tmp_path, compat)
    copy = load(published.convert(file("flowse", tmp_path), tmp_path / "copy", compat=compat))
    assert copy.sampler == ours.sampler
    audio = np.sin(np.arange(500.0)) / 2
    assert relative(Enhancer.of(copy)(audio, 16000), Enhancer.of(ours)(audio, 16000)) == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sigma_max": 0.0}, "StraightFlow: sigma_max must be positive"),
        ({"T_rev": 0.01}, "a grid needs 0 <= end < start <= 1"),
        ({"T_rev": -1.0}, "latest must lie between 0 and 1"),
        ({"backbone": "dcunet"}, "its backbone is 'dcunet'; known are 'ncsnpp'"),
        ({"ch_mult": [1, 1, 1]}, "its state_dict lacks"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, settings, says):
    torch.save(contents("flowse", tmp_path, **settings), tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match=f"bad.ckpt cannot be used: .*{says}"):
        published.read(tmp_path / "bad.ckpt")
