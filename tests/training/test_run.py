import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.data.training_pairs import MixedSpeech
from sgmse.enhancer import Enhancer
from sgmse.errors import RecipeError
from sgmse.metrics import si_sdr
from sgmse.training import train
from sgmse.training.state import load_state

RATE = 8000


def flat(value, name=""):
    """All tensors and numbers of nested dictionaries, by their path."""
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{name}.{key}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same_state(one: Path, two: Path) -> None:
    left, right = (vars(load_state(folder / "training_state.pt")) for folder in (one, two))
    left, right = ({k: v for k, v in s.items() if k != "seconds"} for s in (left, right))
    left, right = flat(left), flat(right)
    assert left.keys() == right.keys()
    assert len(left) > 100
    for name, value in left.items():
        same = torch.equal(value, right[name]) if torch.is_tensor(value) else value == right[name]
        assert same, name


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

    scores = []
    for i in range(2):
        clean, noisy = (
            soundfile.read(corpus / "valid" / kind / f"{i}.wav", dtype="float32")[0]
            for kind in ("clean", "noisy")
        )
        scores.append(si_sdr(clean, Enhancer.of(best)(noisy, RATE), RATE))
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


@pytest.mark.parametrize("workers", [0, 1])
def test_an_interrupted_run_that_resumes_is_the_uninterrupted_one(
    recipe_file, corpus, finished, tmp_path, interrupt_at, workers, capsys
):
    options = {"data": corpus, "overrides": [f"trainer.workers={workers}"]}
    before = signal.getsignal(signal.SIGINT)
    interrupt_at(4)
    train(recipe_file, output=tmp_path / "parts", **options)
    assert load_state(tmp_path / "parts" / "training_state.pt").step == 5  # the step was finished
    assert checkpoints.load(tmp_path / "parts" / "last").training["steps"] == 5
    assert "interrupted at step 5; go on with --resume" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before
    train(recipe_file, output=tmp_path / "parts", resume=True, **options)
    assert "done after 8 steps; the model is" in capsys.readouterr().out
    assert_same_state(finished, tmp_path / "parts")


def test_what_the_loss_learns_is_resumed_too(recipe_file, corpus, tmp_path, interrupt_at):
    weighting = "{class: Uncertainty, of: {class: EDMWeighting}}"
    loss = f"loss={{class: Reconstruction, complex: 1, si_sdr: 1, weighting: {weighting}}}"
    options = {"data": corpus, "overrides": ["validation=null", "trainer.steps=6", loss]}
    train(recipe_file, output=tmp_path / "whole", **options)
    interrupt_at(2)
    train(recipe_file, output=tmp_path / "parts", **options)
    before = load_state(tmp_path / "parts" / "training_state.pt").learned["weights"]
    train(recipe_file, output=tmp_path / "parts", resume=True, **options)
    assert_same_state(tmp_path / "whole", tmp_path / "parts")
    after = load_state(tmp_path / "parts" / "training_state.pt").learned["weights"]
    assert not torch.equal(before, after)
    assert before.any()
    # it is no part of the model
    names = checkpoints.load(tmp_path / "whole" / "last").model.state_dict()
    assert all(name.startswith("network.") for name in names)


def test_unrolled_updates_are_resumed_to_the_bit(recipe_file, corpus, tmp_path, interrupt_at):
    """Of a sampler that draws noise, with numbers of steps that are drawn."""
    overrides = [
        "validation=null",
        "trainer.steps=6",
        "unrolled={steps: [1, 2], share: 0.8}",
        "solver={class: Exponential, eta: 1}",
        "grid={class: Uniform, steps: 2, end: 0.1}",
    ]
    options = {"data": corpus, "overrides": overrides}
    train(recipe_file, output=tmp_path / "whole", **options)
    interrupt_at(2)
    train(recipe_file, output=tmp_path / "parts", **options)
    train(recipe_file, output=tmp_path / "parts", resume=True, **options)
    assert_same_state(tmp_path / "whole", tmp_path / "parts")


def test_discriminators_are_resumed_to_the_bit_and_stay_in_the_run(
    recipe_file, corpus, tmp_path, interrupt_at
):
    small = "{windows: [64, 128], channels: [4]}"
    overrides = [
        "validation=null",
        "trainer.steps=6",
        f"adversarial={{start: 1, rise: 3, discriminators: {small}}}",
    ]
    options = {"data": corpus, "overrides": overrides}
    train(recipe_file, output=tmp_path / "whole", **options)
    interrupt_at(3)
    train(recipe_file, output=tmp_path / "parts", **options)
    before = load_state(tmp_path / "parts" / "training_state.pt").adversary
    train(recipe_file, output=tmp_path / "parts", resume=True, **options)
    assert_same_state(tmp_path / "whole", tmp_path / "parts")
    after = load_state(tmp_path / "parts" / "training_state.pt").adversary
    for name, value in before["discriminators"].items():
        assert not torch.equal(value, after["discriminators"][name])
    assert before["optimiser"]["state"]
    names = checkpoints.load(tmp_path / "whole" / "last").model.state_dict()
    assert all(name.startswith("network.") for name in names)


def test_a_score_model_trains_too(recipe_file, corpus, tmp_path):
    folder = train(
        recipe_file,
        data=corpus,
        output=tmp_path / "run",
        overrides=[
            "sde={class: OUVE}",
            "parametrization={class: Score, sign: -1}",
            "loss={class: ScoreMatching}",
            "optimiser={class: Adam, lr: 1e-4}",
            "data={class: Paired, clean: valid/clean, noisy: valid/noisy, samples: 2016}",
            "grid.steps=2",
            "trainer.precision=bf16",
            "trainer.steps=2",
            "validation=null",
        ],
    )
    best = checkpoints.load(folder / "best")
    assert type(best.model.sde).__name__ == "OUVE"
    assert best.grid.steps == 2
    assert "validation" not in str(best.training)


def test_the_clock_ends_a_run(recipe_file, corpus, tmp_path):
    overrides = ["trainer.steps=null", "trainer.hours=1e-6", "validation=null"]
    folder = train(recipe_file, data=corpus, output=tmp_path / "run", overrides=overrides)
    assert load_state(folder / "training_state.pt").step == 1  # 4 ms


def test_from_takes_the_weights_of_a_model_and_nothing_else(
    recipe_file, corpus, finished, tmp_path
):
    second = train(
        recipe_file,
        data=corpus,
        output=tmp_path / "second",
        from_=finished / "last",
        # so small a rate leaves the weights as they come
        overrides=["trainer.steps=1", "optimiser.lr=1e-20", "validation=null"],
    )
    state = load_state(second / "training_state.pt")
    weights = checkpoints.load(finished / "last").model.network.state_dict()
    assert state.step == 1
    for name, value in state.network.items():
        torch.testing.assert_close(value, weights[name])


def test_steps_that_are_not_finite_are_left_out_and_end_a_hopeless_run(
    recipe_file, corpus, tmp_path, monkeypatch
):
    from sgmse.training import losses, module

    call = losses.Reconstruction.__call__
    monkeypatch.setattr(
        losses.Reconstruction,
        "__call__",
        lambda self, e, t: {"loss": call(self, e, t)["loss"] * float("nan")},
    )
    options = {"data": corpus, "overrides": ["validation=null"]}
    folder = train(recipe_file, output=tmp_path / "a", **options)
    state = load_state(folder / "training_state.pt")
    assert (state.step, state.updates) == (8, 0)
    assert all(torch.isfinite(v).all() for v in state.network.values())
    monkeypatch.setattr(module, "MAX_SKIPPED", 3)
    with pytest.raises(RecipeError, match="not finite, up to step 3; lower"):
        train(recipe_file, output=tmp_path / "b", **options)


def test_a_run_is_neither_overwritten_nor_resumed_by_accident(
    recipe_file, corpus, finished, tmp_path
):
    with pytest.raises(RecipeError, match=r"holds no training_state\.pt to resume"):
        train(recipe_file, data=corpus, output=tmp_path / "run", resume=True)
    with pytest.raises(RecipeError, match="go on with --resume"):
        train(recipe_file, data=corpus, output=finished)
    with pytest.raises(RecipeError, match="complete with 8 steps"):
        train(recipe_file, data=corpus, output=finished, resume=True)
    with pytest.raises(RecipeError, match="leave one of the two out"):
        train(recipe_file, data=corpus, output=finished, resume=True, from_=finished / "last")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "training_state.pt").write_bytes(b"garbage")
    with pytest.raises(RecipeError, match="cannot be read as a training state"):
        train(recipe_file, data=corpus, output=broken, resume=True)


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
        (["transform.hop=16", "data.samples=1008"], "transform .*32.* the recipe has .*16"),
        (["sample_rate=16000"], "sample_rate 8000, the recipe has 16000"),
        (
            ["sde={class: OUVE}", "parametrization={class: Noise}", "loss={class: ScoreMatching}"],
            "sde .*SBVE.* the recipe has .*OUVE",
        ),
    ],
)
def test_weights_of_another_model_are_refused_before_any_work(
    recipe_file, corpus, finished, tmp_path, undecoded, overrides, message
):
    options = {"data": corpus, "overrides": ["trainer.steps=9", "validation=null", *overrides]}
    with pytest.raises(RecipeError, match=f"^the run was started with {message}.*; resume with"):
        train(recipe_file, output=finished, resume=True, **options)
    with pytest.raises(RecipeError, match=f"^the model .*last has {message}.*; change") as caught:
        train(recipe_file, output=tmp_path / "run", from_=finished / "last", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"from_": "nowhere"}, checkpoints.CheckpointError, "no model 'nowhere'"),
        ({"overrides": ["validation.noisy=x"]}, RecipeError, r"validation\.noisy: .* no folder"),
        ({"overrides": ["data.noise=x"]}, RecipeError, r"data\.noise: there is no folder"),
        ({"overrides": ["trainer.accelerator=gpu"]}, RecipeError, r"trainer\.accelerator"),
    ],
)
def test_typos_are_found_before_any_work(
    recipe_file, corpus, tmp_path, undecoded, options, error, message
):
    if "trainer.accelerator=gpu" in options.get("overrides", ()) and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(error, match=message):
        train(recipe_file, data=corpus, output=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


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
def test_a_network_learns_a_handful_by_heart(recipe_file, corpus, tmp_path):
    folder = train(
        recipe_file,
        data=corpus,
        output=tmp_path / "run",
        overrides=[
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
        ],
    )
    enhancer = Enhancer.of(checkpoints.load(folder / "best"))
    for i in range(2):
        clean, noisy = (
            soundfile.read(corpus / "valid" / kind / f"{i}.wav", dtype="float32")[0]
            for kind in ("clean", "noisy")
        )
        gain = si_sdr(clean, enhancer(noisy, RATE), RATE) - si_sdr(clean, noisy, RATE)
        assert gain > 3
