import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.cli.main import main
from sgmse.enhancer import Enhancer
from sgmse.errors import RecipeError
from sgmse.training import train
from sgmse.training.averages import selection
from sgmse.training.averages.profiles import Profile, combination
from sgmse.training.averages.selection import select_average
from sgmse.training.averages.snapshots import combine, find_snapshots, save_snapshot
from sgmse.training.validation import Evaluation, evaluate


@pytest.fixture(scope="module")
def run(corpus, recipe, tmp_path_factory) -> Path:
    """A run with snapshots; to be read only."""
    place = tmp_path_factory.mktemp("averaged")
    (place / "tiny.yaml").write_text(recipe)
    overrides = ["averages={every: 2}", "optimiser.lr=1e-2", "validation.every=8"]
    return train(place / "tiny.yaml", data=corpus, output=place / "run", overrides=overrides)


@pytest.fixture
def scores(monkeypatch):
    """Let evaluations give these scores, two files each."""

    def give(*values: float) -> None:
        remaining = iter(np.repeat(values, 2))
        monkeypatch.setattr(
            selection,
            "evaluate",
            lambda enhancer, pairs, names: Evaluation(
                np.full((1, len(names)), next(remaining)), [], {}, []
            ),
        )

    return give


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoints.load(folder).model.network.state_dict()


@pytest.mark.slow
def test_the_best_length_becomes_a_model(run, tmp_path, capsys):
    """The command, end to end."""
    out = tmp_path / "chosen"
    assert main(["average", str(run), "--lengths", "0.1", "0.05", "0.07", "-o", str(out)]) == 0
    header, *lines, end = capsys.readouterr().out.splitlines()
    assert header.split() == ["length", "si_sdr"]
    table = {float(length): float(score) for length, score in map(str.split, lines)}
    assert list(table) == [0.1, 0.05, 0.07]
    best = max(table, key=table.get)
    assert end == f"the best, length {best:g} at step 8, is in {out}"

    model = checkpoints.load(out)
    found = find_snapshots(run / "averages")
    assert model.training["validation si_sdr"] == pytest.approx(table[best], abs=1e-3)
    assert model.training["steps"] == 8
    assert model.training["average"] == f"power function of length {best:g}, made of 4 snapshots"
    assert "ema" not in model.training
    # the score is that of the model that was written
    recipe = selection.load_recipe(run / "recipe.yaml")
    pairs = recipe.validation.pairs(Path())
    mean = evaluate(Enhancer.of(model), pairs, ["si_sdr"])[0].mean()
    assert mean == pytest.approx(table[best], abs=1e-3)  # as printed
    # and its weights those of the mathematics
    stored = [profile for snapshot in found for profile in snapshot.profiles]
    expected = combine(found, combination(stored, Profile(8, best)).weights, set(weights(out)))
    assert all(torch.equal(expected[name], value) for name, value in weights(out).items())
    last = weights(run / "last")
    assert not all(torch.equal(last[name], value) for name, value in weights(out).items())


@pytest.mark.slow
def test_what_is_stored_comes_back(run, tmp_path):
    options = {"overrides": ["validation=null"], "step": 6, "output": tmp_path / "one"}
    chosen = select_average(run, lengths=[0.1], **options)
    assert (chosen.length, chosen.step, chosen.scores) == (0.1, 6, {})
    file = load_file(run / "averages" / "step-00000006.safetensors")
    for name, value in weights(tmp_path / "one").items():
        # to the last bit but one: the weights of the others are 1e-15, not 0
        torch.testing.assert_close(value, file[f"1/{name}"], rtol=2e-7, atol=1e-12)
    training = checkpoints.load(tmp_path / "one").training
    assert training["average"].endswith("of 3 snapshots")
    assert training["steps"] == 6


def test_all_lengths_that_are_possible_are_tried(run, tmp_path, scores):
    scores(np.nan, 3.0, 3.0)
    chosen = select_average(run, output=tmp_path / "out")
    assert list(chosen.scores) == [0.05, 0.07, 0.1]
    assert chosen.length == 0.07  # of equal ones the shortest
    assert checkpoints.load(tmp_path / "out").training["validation si_sdr"] == 3


def test_steps_without_an_update_are_no_snapshots_of_their_own(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for snapshot in find_snapshots(run / "averages"):
        file = load_file(snapshot.path)
        states = {
            length: {k[2:]: v for k, v in file.items() if k.startswith(f"{i}/")}
            for i, length in enumerate(snapshot.lengths)
        }
        about = {n: getattr(snapshot, n) for n in ("updates", "model", "training")}
        save_snapshot(folder / "averages", states, step=snapshot.step + 1, **about)
    options = {"lengths": [0.07], "overrides": ["validation=null"]}
    one, two = (
        select_average(f, **options, output=tmp_path / f.parent.name) for f in (run, folder)
    )
    assert (one.step, two.step) == (8, 9)
    ours, theirs = weights(one.folder), weights(two.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lengths", "0.01"], "the 4 snapshots do not give the length 0.01 (the nearest is off"),
        (["--lengths", "0.05", "0.5"], "a length must lie above 0"),
        (["--step", "5"], "has no snapshot of step 5; it has 2, 4, 6, 8"),
        (["-o", "{run}/last"], "last exists; choose another place with --output"),
        (["--set", "validation=null"], "no validation to choose a length by; give one length"),
        (["--set", "validation.clean=gone"], "validation.clean: there is no folder"),
        (["--set", "sde.k=3.0"], "the snapshots have sde"),
        (["--set", "network.channels=[4, 12]"], "the snapshots have network"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(
    run, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.setattr(selection, "evaluate", lambda *_: pytest.fail("there was work"))
    given = [argument.format(run=run) for argument in arguments]
    before = sorted(run.rglob("*"))
    output = [] if "-o" in given else ["-o", str(tmp_path / "out")]
    assert main(["average", str(run), *given, *output]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sgmse: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(run.rglob("*")) == before
    assert not (tmp_path / "out").exists()


def test_scores_that_are_never_defined_choose_nothing(run, tmp_path, scores):
    scores(*[np.nan] * 9)
    with pytest.raises(RecipeError, match="si_sdr is not defined on anything"):
        select_average(run, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_snapshots(run, tmp_path):
    with pytest.raises(RecipeError, match=r"is not the folder of a run: it has no recipe\.yaml"):
        select_average(tmp_path)
    shutil.copy(run / "recipe.yaml", tmp_path)
    with pytest.raises(RecipeError, match="has no snapshots of averages; train with averages"):
        select_average(tmp_path)
