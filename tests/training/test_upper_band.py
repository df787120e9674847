"""Training of what lies above the band of a model: it learns, resumes, leaves the model alone."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import checkpoint

pytest.importorskip("lightning")

from sgmse.checkpoints import load, save
from sgmse.errors import RecipeError
from sgmse.networks import BandGains
from sgmse.training import select_average, train, upper_band, upper_band_run
from sgmse.training.state import load_state

RATE = 48000
RECIPE = """
data:
  class: MixedSpeech
  clean: clean
  noise: noise
  samples: 9600
  snr: [-5, 10]
  clean_changes: [{class: NoiseGate, probability: 0}]
upper_band: {class: BandGains, hidden: 8}
batch: 2
fresh: 1
pool: 4
steps: 6
workers: 0
save_every: 2
log_every: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A recipe, a model, and speech that is bursts above 8 kHz, which the noise is not."""
    folder = tmp_path_factory.mktemp("upper")
    rng = np.random.default_rng(0)
    for name in ("clean", "noise"):
        (folder / name).mkdir()
    for i in range(4):
        bursts = np.repeat(rng.random(20) < 0.5, RATE // 20)
        speech = (
            0.3
            * bursts
            * np.sin(
                2 * np.pi * (300 + 9000 * (np.arange(RATE) % 2400 < 1200)) * np.arange(RATE) / RATE
            )
        )
        soundfile.write(folder / "clean" / f"{i}.wav", speech, RATE)
        soundfile.write(folder / "noise" / f"{i}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    (folder / "upper.yaml").write_text(RECIPE)
    save(checkpoint(), folder / "model")
    return folder


def started(place: Path, output: Path, *overrides: str, **options) -> Path:
    options = {"from_": place / "model", "data": place, "output": output, **options}
    return train(place / "upper.yaml", overrides=overrides, **options)


@pytest.mark.slow
def test_the_model_stays_and_the_band_learns(place, tmp_path, capsys):
    folder = started(place, tmp_path / "run", "steps=60", "log_every=20", "lr=1e-2")
    made, before = load(folder / "best"), load(place / "model")
    for name, value in before.model.trained.state_dict().items():
        assert torch.equal(made.model.trained.state_dict()[name], value)
    assert (made.sampler, made.licence, made.front) == (
        before.sampler,
        before.licence,
        before.front,
    )
    assert made.upper_band.config["hidden"] == 8
    losses = [
        float(line.split("loss ")[1].split(",")[0])
        for line in capsys.readouterr().out.splitlines()
        if "loss" in line
    ]
    assert losses[-1] < 0.9 * losses[0]
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on(place, tmp_path, monkeypatch):
    folder, calls, loss_of = tmp_path / "run", [], upper_band.loss_of

    def interrupted(band, pairs):
        calls.append(len(pairs))
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return loss_of(band, pairs)

    monkeypatch.setattr(upper_band_run, "loss_of", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"step 3 is saved; go on with: sgmse train --res"):
        started(place, folder)
    assert not (folder / "best").exists()
    train(output=folder, resume=True)
    assert calls == [2] * 6
    assert torch.load(folder / "training_state.pt", weights_only=True)["step"] == 6
    assert load(folder / "best").upper_band is not None


def test_a_damaged_state_is_one_line(place, tmp_path):
    folder = started(place, tmp_path / "run", "steps=1")
    (folder / "training_state.pt").write_bytes(b"no state")
    with pytest.raises(RecipeError, match=r"training_state\.pt is no state of this training"):
        train(output=folder, resume=True)


@pytest.mark.slow
def test_an_upper_band_is_trained_further(place, tmp_path):
    """By so little here that the outputs are those of before."""
    first = started(place, tmp_path / "first", "steps=20", "lr=1e-2") / "best"
    again = started(place, tmp_path / "again", "steps=1", "lr=1e-9", from_=first) / "best"
    new = started(place, tmp_path / "new", "steps=1", "lr=1e-9") / "best"
    one, further, other = (load(folder).upper_band.state_dict() for folder in (first, again, new))
    for name, value in one.items():
        torch.testing.assert_close(further[name], value, rtol=0, atol=1e-6)
    assert not torch.allclose(other["out.weight"], one["out.weight"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(place, tmp_path):
    runs = [load(started(place, tmp_path / name, "steps=3") / "best") for name in ("a", "b")]
    one, other = (made.upper_band.state_dict() for made in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_wrong_is_said_before_anything_starts(place, tmp_path):
    folder = tmp_path / "run"
    for changes, options, message in (
        ([], {"from_": None}, "an upper band belongs to a model; name that with --from"),
        (["sample_rate=16001"], {}, None),
        (["sample_rate=16000"], {}, "sample_rate"),
        (["lr=0"], {}, "lr must be positive, not 0"),
        (["data.samples=2047"], {}, "samples must be at least 2048, a frame of the loss at 48000"),
        (["pool=1"], {}, "pool 1 must hold at least the pairs of a batch, 2"),
        (["stepps=3"], {}, "stepps"),
        (["data.clean=nowhere"], {}, "data.clean"),
        ([], {"resume": True, "from_": None}, "holds no training_state.pt to resume from"),
    ):
        if message is not None:
            with pytest.raises(RecipeError, match=message):
                started(place, folder, *changes, **options)
            assert not folder.exists()
    started(place, folder, "steps=1")
    with pytest.raises(RecipeError, match="holds a run; go on with --resume"):
        started(place, folder)


@pytest.mark.slow
def test_a_model_that_is_trained_further_keeps_it(place, tmp_path, recipe_of_model):
    """As do the averages of its weights, and a run that resumes."""
    torch.manual_seed(0)
    band = BandGains(hidden=8)
    torch.nn.init.normal_(band.out.weight)
    save(replace(checkpoint(), upper_band=band), tmp_path / "with")
    folder = tmp_path / "run"
    options = {"data": place, "output": folder, "from_": tmp_path / "with"}
    train(recipe_of_model, **options)
    train(output=folder, resume=True, overrides=["trainer.steps=4"])
    chosen = select_average(folder, lengths=[0.1])
    for made in (load(folder / "last"), load(chosen.folder)):
        for name, value in band.state_dict().items():
            assert torch.equal(made.upper_band.state_dict()[name], value)
    assert load_state(folder / "training_state.pt").step == 4


@pytest.fixture
def recipe_of_model(place, tmp_path) -> Path:
    path = tmp_path / "further.yaml"
    path.write_text(
        "data: {class: MixedSpeech, clean: clean, noise: noise, samples: 2032}\n"
        "loss: {class: Reconstruction, complex: 10, magnitude: 10}\n"
        "times: {low: 0.02, high: 0.99, at_one: 0.5}\n"
        "optimiser: {class: AdamW, lr: 1e-3}\n"
        "averages: {every: 1}\n"
        "trainer: {batch: 2, steps: 2, accelerator: cpu, workers: 0, save_every: 1}\n"
    )
    return path
