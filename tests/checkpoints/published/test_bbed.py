"""The models of BBED and CRP: what their code gives is what ours gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import with_sampler
from tiny_published import contents, error_of_audio, error_of_forward, file, read

from sgmse.checkpoints import load, published
from sgmse.checkpoints.published._bbed import Bridge, Corrected
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._reader import FAMILIES
from sgmse.compat import CorrectedReverse
from sgmse.enhancer import Enhancer
from sgmse.errors import CheckpointError
from sgmse.estimates import Score
from sgmse.front import FrontEnd
from sgmse.sdes import BBED, OUVE
from sgmse.solvers import AnnealedLangevin, LogSNR, PredictorCorrector, Uniform, solve
from sgmse.transforms import Power, Spectrogram

BOTH = pytest.mark.parametrize("name", ["bbed", "crp"])


# What the published code gives


@BOTH
def test_parity_of_the_score(tmp_path, name):
    assert error_of_forward(name, read(name, tmp_path), sign=-1) < 1e-12


@pytest.mark.slow
def test_parity_from_waveform_to_waveform(tmp_path, monkeypatch):
    enhancer = Enhancer.of(read("bbed", tmp_path))
    assert error_of_audio("bbed", "enhance", enhancer, monkeypatch) < 1e-9


@pytest.mark.slow
def test_parity_in_single_precision(tmp_path, monkeypatch):
    enhancer = Enhancer.of(read("bbed", tmp_path))
    assert error_of_audio("bbed", "enhance", enhancer, monkeypatch, "float32") < 1e-4


def test_parity_of_a_later_start(tmp_path, monkeypatch):
    """15 steps from t = 0.5, here without the corrector."""
    checkpoint = read("bbed", tmp_path)
    grid = replace(checkpoint.sampler.grid, start=0.5, steps=15)
    solver = replace(checkpoint.sampler.solver, corrector=None)
    enhancer = Enhancer.of(with_sampler(checkpoint, solver=solver, grid=grid))
    assert error_of_audio("bbed", "from_half", enhancer, monkeypatch) < 1e-9


def test_parity_of_the_corrected_reverse(tmp_path, monkeypatch):
    """Its process is a bbve with constants of its own."""
    enhancer = Enhancer.of(read("crp", tmp_path))
    assert error_of_audio("crp", "one", enhancer, monkeypatch) < 1e-9
    grid = replace(enhancer.sampler.grid, start=0.9)
    four = enhancer.with_sampler(steps=4, grid=grid)
    assert error_of_audio("crp", "four", four, monkeypatch) < 1e-9


@BOTH
def test_the_published_arithmetic_is_exact(tmp_path, name):
    exact, as_published = (read(name, tmp_path, compat) for compat in (None, "sgmse"))
    assert as_published.sampler == exact.sampler


# What is read


def test_what_a_file_says(tmp_path):
    checkpoint = read("bbed", tmp_path)
    assert checkpoint.model.sde == BBED(theta=0.51, k=2.6)
    assert checkpoint.model.parametrization == Score(sign=-1)
    assert checkpoint.model.latest == 0.999
    transform = Spectrogram(30, 15, Power(0.5, 0.15))
    assert checkpoint.front == FrontEnd(
        transform, 16000, multiple=64, tail="published", level="published"
    )
    assert checkpoint.sampler.solver == PredictorCorrector(corrector=AnnealedLangevin(0.5))
    assert checkpoint.sampler.grid == Uniform(30, start=0.999, end=0.03)
    assert checkpoint.training["family"] == "bbed"
    assert checkpoint.training["step"] == 400


def test_what_a_corrected_file_says(tmp_path):
    checkpoint = read("crp", tmp_path)
    assert checkpoint.model.sde == BBED(theta=0.53 * 0.9**2, k=2.25 / 0.9)
    assert checkpoint.model.latest == 0.999
    assert checkpoint.sampler.solver == CorrectedReverse()
    assert checkpoint.sampler.grid == Uniform(1, start=0.5, end=0.03)
    assert checkpoint.training["family"] == "crp"


def test_a_bbve_is_a_bbed(tmp_path):
    old = {"sde": "bbve", "sigma_min": 1, "sigma_max": 2.6, "k": None}
    ours = Bridge().read(contents("bbed", tmp_path, **old), None)
    assert ours.model.sde == BBED(theta=0.51, k=2.6)
    assert ours.sampler.solver == read("bbed", tmp_path).sampler.solver


def test_settings_of_the_training(tmp_path):
    changes = {"T_sampling": 0.9, "t_eps": 0.05, "theta": 0.3, "k": 10}
    ours = Bridge().read(contents("bbed", tmp_path, **changes), None)
    assert ours.model.sde == BBED(theta=0.3, k=10.0)
    assert ours.model.latest == 0.9
    assert ours.sampler.grid == Uniform(30, start=0.9, end=0.05)
    defaults = Bridge().read(contents("bbed", tmp_path, **dict.fromkeys(changes)), None)
    assert defaults.model.sde == BBED()
    assert defaults.sampler.grid == Uniform(30, start=0.999, end=0.03)


def test_an_ouve_can_be_corrected_too(tmp_path):
    held = contents("crp", tmp_path, sde="ouve", theta=1.5, sigma_min=0.05, sigma_max=0.5)
    assert [f for f in FAMILIES if f.recognises(held)] == [Corrected()]
    ours = Corrected().read(held, None)
    assert ours.model.sde == OUVE()
    assert ours.model.latest == 1
    assert ours.sampler.solver == CorrectedReverse()


def test_whose_files_are_whose(tmp_path):
    for name, family in (("bbed", Bridge()), ("crp", Corrected())):
        held = contents(name, tmp_path)
        assert [f for f in FAMILIES if f.recognises(held)] == [family]
    plain = contents("bbed", tmp_path, sde="ouve")  # of the same repository
    assert not Bridge().recognises(plain)
    assert Official().recognises(plain)
    assert not Bridge().recognises(contents("flowse", tmp_path))


# How it is used


def test_one_step_is_enough_for_a_corrected_network(tmp_path):
    enhancer = Enhancer.of(read("crp", tmp_path)).with_sampler()
    audio = enhancer(np.sin(np.arange(500.0)), 16000)
    assert np.isfinite(audio).all()


def test_a_start_after_the_latest_time_is_refused(tmp_path):
    model = read("bbed", tmp_path).model
    y = torch.zeros(1, 1, 16, 4, dtype=torch.complex64)
    for sampler in (
        (CorrectedReverse(), Uniform(2, start=0.9995)),
        (PredictorCorrector(), LogSNR(3)),
    ):
        with pytest.raises(ValueError, match=r"\(start=0\.999\)"):
            solve(model, y, *sampler)
    x = solve(model, y, CorrectedReverse(), Uniform(2, start=0.999)).x
    assert x.isfinite().all()


@BOTH
def test_the_native_copy_is_the_same(tmp_path, name):
    ours = published.read(file(name, tmp_path))
    copy = load(published.convert(file(name, tmp_path), tmp_path / "copy"))
    assert copy.model.latest == ours.model.latest == 0.999
    assert (copy.model.sde, copy.sampler) == (ours.model.sde, ours.sampler)
    weights, others = (c.model.network.state_dict() for c in (ours, copy))
    assert all(torch.equal(weights[key], others[key]) for key in weights)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"k": 0.5}, "BBED: k must exceed 1, not 0.5"),
        ({"theta": "a"}, "its theta is 'a', not a float"),
        ({"T_sampling": 1.5}, "latest must lie between 0 and 1, not 1.5"),
        ({"T_sampling": 1.0}, r"divides by a\(t\), and BBED.* has a\(1\) = 0"),
        ({"t_eps": 0.9999}, "a grid needs 0 <= end < start <= 1"),
        ({"backbone": "wavenet"}, "its backbone is 'wavenet'; known are 'ncsnpp', 'dcunet'"),
        ({"inference_N": 1, "backbone": "dcunet"}, "its backbone is 'dcunet'; known are 'ncsnpp'"),
        ({"inference_N": 0}, "steps must be at least 1, not 0"),
        ({"sde": "bbve", "sigma_min": 0.0}, r"its sigma_min is 0\.0, and must be positive"),
        ({"nf": 8}, "and its settings ask for"),
        ({"window": "hamming"}, "its window is 'hamming'; known are 'hann', 'sqrthann'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, settings, says):
    held = contents("bbed", tmp_path, **settings)
    torch.save(held, tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match=f"bad.ckpt cannot be used: .*{says}"):
        published.read(tmp_path / "bad.ckpt")
