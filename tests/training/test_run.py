import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from states import assert_same_state

from sgmse import checkpoints
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.training_pairs import PairDataset
from sgmse.enhancer import Enhancer
from sgmse.errors import AudioError, MissingPackageError, RecipeError, SgmseError
from sgmse.metrics import measures, si_sdr
from sgmse.training import train
from sgmse.training.state import load_state

RATE = 8000


def valid(corpus: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The clean and the noisy samples of the pairs of validation."""
    for i in range(2):
        files = (corpus / "valid" / kind / f"{i}.wav" for kind in ("clean", "noisy"))
        clean, noisy = (soundfile.read(file, dtype="float32")[0] for file in files)
        yield clean, noisy


@pytest.mark.slow
def test_a_run_leaves_what_it_promises(finished, corpus):
    folder = finished
    state = load_state(folder / "training_state.pt")
    assert (state.step, state.items, state.updates) == (8, 16, 8)
    assert (folder / "recipe.yaml").exists()
    assert not list(folder.rglob("*.part"))

    last, best = (checkpoints.load(folder / name) for name in ("last", "best"))
    weights = last.model.network.state_dict()
    assert weights.keys() == state.average.keys()
    # the average, not the last weights
    assert all(torch.equal(w, state.average[k]) for k, w in weights.items())
    assert not all(torch.equal(w, state.network[k]) for k, w in weights.items())
    assert last.training["steps"] == 8
    assert best.training["validation si_sdr"] == pytest.approx(state.best, abs=1e-4)

    enhancer = Enhancer.of(best)
    scores = [si_sdr(clean, enhancer(noisy, RATE), RATE) for clean, noisy in valid(corpus)]
    assert np.mean(scores) == pytest.approx(state.best, abs=1e-3)  # float32 in between

    curves = read_curves(folder)
    assert curves["training/loss"] == [2, 4, 6, 8]
    assert curves["validation/si_sdr"] == [4, 8]


def read_curves(folder: Path) -> dict[str, list[int]]:
    """Steps of every curve; audio and images have been looked for too."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["audio"]) == {f"0.wav/{n}" for n in ("noisy", "enhanced", "clean")}
    assert events.Tags()["images"] == ["0.wav"]
    return {tag: [e.step for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_an_interrupted_run_that_resumes_is_the_uninterrupted_one(
    recipe_file, corpus, finished, tmp_path, interrupt_at, workers, capsys
):
    options = {"data": corpus, "overrides": [f"trainer.workers={workers}"]}
    before = signal.getsignal(signal.SIGINT)
    with interrupt_at(4):
        train(recipe_file, output=tmp_path / "parts", **options)
    assert load_state(tmp_path / "parts" / "training_state.pt").step == 5  # the step was finished
    assert checkpoints.load(tmp_path / "parts" / "last").training["steps"] == 5
    assert signal.getsignal(signal.SIGINT) is before
    train(recipe_file, output=tmp_path / "parts", resume=True, **options)
    assert "done after 8 steps; the model is" in capsys.readouterr().out
    assert_same_state(finished, tmp_path / "parts")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "error", [AudioError("a.wav", "is cut off", "copy it again"), OSError(5, "I/O error", "a.wav")]
)
def test_an_error_in_a_worker_keeps_its_form(run, error, workers, monkeypatch):
    def broken(self, index):
        raise error

    monkeypatch.setattr(PairDataset, "__getitem__", broken)
    with pytest.raises(type(error)) as raised:
        run("validation=null", f"trainer.workers={workers}")
    assert str(raised.value) == str(error)


@pytest.mark.slow
def test_what_the_loss_learns_is_resumed_too(whole_and_parts):
    weighting = "{class: Uncertainty, of: {class: EDMWeighting}}"
    loss = f"loss={{class: Reconstruction, complex: 1, si_sdr: 1, weighting: {weighting}}}"
    whole, parts, before = whole_and_parts(2, "validation=null", "trainer.steps=6", loss)
    assert_same_state(whole, parts)
    after = load_state(parts / "training_state.pt").learned["weights"]
    assert before.learned["weights"].any()
    assert not torch.equal(before.learned["weights"], after)
    # it is no part of the model
    names = checkpoints.load(whole / "last").model.state_dict()
    assert all(name.startswith("network.") for name in names)


@pytest.mark.slow
def test_unrolled_updates_are_resumed_to_the_bit(whole_and_parts):
    """Of a sampler that draws noise, with numbers of steps that are drawn."""
    whole, parts, _ = whole_and_parts(
        2,
        "validation=null",
        "trainer.steps=6",
        "unrolled={steps: [1, 2], share: 0.8}",
        "sampler.solver={class: Exponential, eta: 1}",
        "sampler.grid={class: Uniform, steps: 2, end: 0.1}",
    )
    assert_same_state(whole, parts)


@pytest.mark.slow
def test_discriminators_are_resumed_to_the_bit_and_stay_in_the_run(whole_and_parts):
    small = "{windows: [64, 128], channels: [4]}"
    adversarial = f"adversarial={{start: 1, rise: 3, discriminators: {small}}}"
    whole, parts, state = whole_and_parts(3, "validation=null", "trainer.steps=6", adversarial)
    assert_same_state(whole, parts)
    before, after = state.adversary, load_state(parts / "training_state.pt").adversary
    for name, value in before["discriminators"].items():
        assert not torch.equal(value, after["discriminators"][name])
    assert before["optimiser"]["state"]
    names = checkpoints.load(whole / "last").model.state_dict()
    assert all(name.startswith("network.") for name in names)


@pytest.mark.slow
def test_losses_by_time_are_resumed_to_the_bit(whole_and_parts):
    """Interrupted when the first bins are known, so that what follows is drawn by them."""
    aware = "times={low: 0.02, high: 0.99, stratified: true, loss_aware: {bins: 2, history: 2}}"
    whole, parts, before = whole_and_parts(4, "validation=null", "trainer.steps=8", aware)
    assert_same_state(whole, parts)
    assert before.history["counts"].min() >= 2
    after = load_state(parts / "training_state.pt").history
    assert not torch.equal(before.history["losses"], after["losses"])


def test_a_score_model_trains_too(run):
    folder = run(
        "sde={class: OUVE}",
        "parametrization={class: Score, sign: -1}",
        "loss={class: ScoreMatching}",
        "optimiser={class: Adam, lr: 1e-4}",
        "data={class: Paired, clean: valid/clean, noisy: valid/noisy, samples: 2016}",
        "sampler.grid.steps=2",
        "trainer.precision=bf16",
        "trainer.steps=2",
        "validation=null",
    )
    best = checkpoints.load(folder / "best")
    assert type(best.model.sde).__name__ == "OUVE"
    assert best.sampler.grid.steps == 2
    assert "validation" not in str(best.training)


def test_the_clock_ends_a_run(run):
    folder = run("trainer.steps=null", "trainer.hours=1e-6", "validation=null")
    assert load_state(folder / "training_state.pt").step == 1  # 4 ms


def test_from_takes_the_weights_of_a_model_and_nothing_else(run, finished):
    # so small a rate leaves the weights as they come
    overrides = ["trainer.steps=1", "optimiser.lr=1e-20", "validation=null"]
    state = load_state(run(*overrides, from_=finished / "last") / "training_state.pt")
    weights = checkpoints.load(finished / "last").model.network.state_dict()
    assert state.step == 1
    for name, value in state.network.items():
        torch.testing.assert_close(value, weights[name])


def test_steps_that_are_not_finite_are_left_out_and_end_a_hopeless_run(run, undefined, monkeypatch):
    from sgmse.training import module

    state = load_state(run("validation=null", output="a") / "training_state.pt")
    assert (state.step, state.updates) == (8, 0)
    assert all(torch.isfinite(v).all() for v in state.network.values())
    monkeypatch.setattr(module, "MAX_SKIPPED", 3)
    with pytest.raises(RecipeError, match="not finite, up to step 3; lower"):
        run("validation=null", output="b")


def test_no_memory_for_a_batch_is_said_with_what_helps(run, monkeypatch):
    from sgmse.training.module import Training

    def full(self, batch, batch_idx):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB.")

    monkeypatch.setattr(Training, "training_step", full)
    with pytest.raises(
        RecipeError, match=r"trainer\.batch: no memory for 2 pairs .* 2 GiB"
    ) as info:
        run("validation=null")
    assert "\n" not in str(info.value)


def test_a_run_is_neither_overwritten_nor_resumed_by_accident(run, finished, tmp_path):
    with pytest.raises(RecipeError, match=r"holds no training_state\.pt to resume"):
        run(resume=True)
    with pytest.raises(RecipeError, match="go on with --resume"):
        run(output=finished)
    with pytest.raises(RecipeError, match="complete with 8 steps"):
        run(output=finished, resume=True)
    with pytest.raises(RecipeError, match="leave one of the two out"):
        run(output=finished, resume=True, from_=finished / "last")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "training_state.pt").write_bytes(b"garbage")
    with pytest.raises(RecipeError, match="cannot be read as a training state"):
        run(output="broken", resume=True)


@pytest.fixture
def undecoded(monkeypatch):
    """Fail if data are opened: what is wrong must be said before."""

    def opened(*_):
        raise AssertionError("the data were opened")

    monkeypatch.setattr(MixedSpeech, "open", opened)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sde.k=3.0"], r"sde .*2\.6.* the recipe has .*3\.0"),
        (["network.channels=[4, 12]"], r"network .*\[4, 8\].* the recipe has .*\[4, 12\]"),
        (["front.transform.hop=16", "data.samples=1008"], "transform .*32.* the recipe has .*16"),
        (["front.sample_rate=16000"], "sample_rate 8000, the recipe has 16000"),
        (
            ["sde={class: OUVE}", "parametrization={class: Noise}", "loss={class: ScoreMatching}"],
            "sde .*SBVE.* the recipe has .*OUVE",
        ),
    ],
)
def test_weights_of_another_model_are_refused_before_any_work(
    run, finished, tmp_path, undecoded, overrides, message
):
    overrides = ["trainer.steps=9", "validation=null", *overrides]
    with pytest.raises(RecipeError, match=f"^the run was started with {message}.*; resume with"):
        run(*overrides, output=finished, resume=True)
    with pytest.raises(RecipeError, match=f"^the model .*last has {message}.*; change") as info:
        run(*overrides, from_=finished / "last")
    assert "\n" not in str(info.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("validation.noisy=x", SgmseError, r"validation\.noisy: .* no folder"),
        ("data.noise=x", SgmseError, r"data\.noise: there is no folder"),
        ("trainer.accelerator=gpu", RecipeError, r"trainer\.accelerator"),
        ("trainer.nodes=2", RecipeError, r"trainer\.nodes: of 2 machines this one knows no other"),
    ],
)
def test_typos_are_found_before_any_work(run, tmp_path, undecoded, override, error, message):
    if override == "trainer.accelerator=gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(error, match=message):
        run(override)
    with pytest.raises(RecipeError, match="--data nothing: there is no such folder"):
        run(data="nothing")
    with pytest.raises(checkpoints.CheckpointError, match="no model 'nowhere'"):
        run(from_="nowhere")
    assert not (tmp_path / "run").exists()


def test_what_a_device_or_the_packages_lack_is_found_before_any_work(run, undecoded, monkeypatch):
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda device: False)
    with pytest.raises(RecipeError, match=r"trainer\.precision: there is no bf16 on cpu"):
        run("trainer.precision=bf16")
    monkeypatch.setattr(measures, "find_spec", lambda package: None)
    with pytest.raises(MissingPackageError, match="'pystoi'"):
        run("validation.scores=[estoi]", "validation.best=estoi")


def test_relative_folders_are_beside_the_recipe(corpus, recipe_file, tmp_path):
    path = corpus / "recipe.yaml"
    path.write_text(recipe_file.read_text())
    try:
        overrides = ["trainer.steps=1", "validation=null", f"trainer.cache={tmp_path / 'cache'}"]
        folder = train(path, output=tmp_path / "run", overrides=overrides)
    finally:
        path.unlink()
    assert list((tmp_path / "cache").glob("clean-*.pcm"))
    assert not (folder / "cache").exists()


@pytest.mark.slow
def test_importing_sgmse_does_not_import_the_packages_of_training():
    code = (
        "import sys, sgmse, sgmse.training; "
        "heavy = {'lightning', 'tensorboard', 'matplotlib', 'pyroomacoustics', 'pesq'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_network_learns_a_handful_by_heart(run, corpus):
    folder = run(
        "data.clean=valid/clean",
        "network.channels=[16, 24, 32]",
        "network.blocks=[1, 1, 1]",
        "optimiser.lr=3e-3",
        "trainer.steps=400",
        "trainer.save_every=1000",
        "trainer.batch=4",
        "schedule.warmup=20",
        "validation.every=200",
        "validation.scores=[si_sdr, estoi]",
    )
    enhancer = Enhancer.of(checkpoints.load(folder / "best"))
    for clean, noisy in valid(corpus):
        gain = si_sdr(clean, enhancer(noisy, RATE), RATE) - si_sdr(clean, noisy, RATE)
        assert gain > 3
