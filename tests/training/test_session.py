import re
import signal

import numpy as np
import pytest
from safetensors.torch import load_file

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.training import session, train
from sgmse.training.averages.snapshots import find_snapshots
from sgmse.training.state import load_state


@pytest.fixture
def scores(monkeypatch):
    """Let validations give these scores, one after the other."""

    def give(*values: float) -> None:
        remaining = iter(values)
        monkeypatch.setattr(
            session,
            "evaluate",
            lambda enhancer, pairs, names, examples: (
                np.full((len(pairs), len(names)), next(remaining)),
                [],
            ),
        )

    return give


def run(recipe_file, corpus, folder, *overrides, **options):
    return train(
        recipe_file,
        data=corpus,
        output=folder,
        overrides=[*overrides, *([] if "validation=null" in overrides else ["validation.every=2"])],
        **options,
    )


def steps(folder):
    return [checkpoints.load(folder / name).training["steps"] for name in ("best", "last")]


@pytest.mark.parametrize(
    ("values", "best_step", "best"),
    [
        ((1.0, 3.0, 2.0, 3.0), 4, 3.0),
        ((5.0, 3.0, 2.0, 1.0), 2, 5.0),
        ((np.nan, 1.0, np.nan, 0.5), 4, 1.0),
    ],
)
def test_the_best_is_kept_and_the_last_too(
    recipe_file, corpus, tmp_path, scores, values, best_step, best
):
    scores(*values)
    folder = run(recipe_file, corpus, tmp_path / "run")
    assert steps(folder) == [best_step, 8]
    assert load_state(folder / "training_state.pt").best == best
    assert checkpoints.load(folder / "best").training["validation si_sdr"] == best


def test_the_best_of_before_is_remembered(recipe_file, corpus, tmp_path, scores):
    scores(1.0, 5.0)
    run(recipe_file, corpus, tmp_path / "run", "trainer.steps=4")
    scores(3.0, 4.0)
    folder = run(recipe_file, corpus, tmp_path / "run", "trainer.steps=8", resume=True)
    assert steps(folder) == [4, 8]


def test_scores_that_are_never_defined_make_nothing_the_best(
    recipe_file, corpus, tmp_path, scores, capsys
):
    scores(*[np.nan] * 4)
    folder = run(recipe_file, corpus, tmp_path / "run")
    assert not (folder / "best").exists()
    assert "done after 8 steps; the model is" in capsys.readouterr().out


def test_a_second_signal_ends_at_once(tmp_path):
    keeper = session.Session(tmp_path)
    keeper._on_signal(signal.SIGINT, None)
    assert keeper.interrupted
    with pytest.raises(KeyboardInterrupt):
        keeper._on_signal(signal.SIGINT, None)


def test_the_state_is_saved_between_validations(recipe_file, corpus, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(session, "save_state", lambda state, path: saved.append(state.step))
    run(recipe_file, corpus, tmp_path / "run", "validation=null")
    assert saved == [3, 6, 8]


def test_without_a_terminal_progress_is_printed(recipe_file, corpus, tmp_path, capsys):
    run(recipe_file, corpus, tmp_path / "run", "validation=null")
    out = capsys.readouterr().out
    assert re.findall(r"step (\d+) after \d+ s: loss ", out) == ["2", "4", "6", "8"]


AVERAGED = ("validation=null", "averages={lengths: [0.05, 0.2], every: 3}")


def test_snapshots_are_kept_and_a_run_that_resumes_has_the_same(
    recipe_file, corpus, tmp_path, interrupt_at
):
    whole = run(recipe_file, corpus, tmp_path / "whole", *AVERAGED)
    interrupt_at(4)
    parts = run(recipe_file, corpus, tmp_path / "parts", *AVERAGED)
    assert [s.step for s in find_snapshots(parts / "averages")] == [3]
    # as if it had been killed after a snapshot that its state does not know of
    late = parts / "averages" / "step-00000006.safetensors"
    other = late.with_name("step-00000007.safetensors")
    for path in (late, other):
        path.write_bytes(b"garbage")
    run(recipe_file, corpus, parts, *AVERAGED, resume=True)
    one, two = (find_snapshots(folder / "averages") for folder in (whole, parts))
    assert [s.step for s in one] == [s.step for s in two] == [3, 6, 8]
    assert [s.updates for s in two] == [3, 6, 8]
    assert two[-1].lengths == (0.05, 0.2)
    assert two[-1].training["steps"] == 8
    for a, b in zip(one, two, strict=True):
        left, right = load_file(a.path), load_file(b.path)
        assert left.keys() == right.keys()
        assert all((left[name] == right[name]).all() for name in left)
    # the short average is nearer the last weights than the long one, the EMA is another
    state = load_state(parts / "training_state.pt")
    name = max(state.network, key=lambda name: state.network[name].numel())
    short, long = (abs(state.averages[n][name] - state.network[name]).sum() for n in (0.05, 0.2))
    assert 0 < short < long
    assert (state.averages[0.2][name] == load_file(two[-1].path)[f"1/{name}"]).all()


def test_without_an_update_there_is_no_snapshot(recipe_file, corpus, tmp_path, monkeypatch):
    from sgmse.training import losses

    call = losses.Reconstruction.__call__
    monkeypatch.setattr(
        losses.Reconstruction,
        "__call__",
        lambda self, e, t: {"loss": call(self, e, t)["loss"] * float("nan")},
    )
    folder = run(recipe_file, corpus, tmp_path / "run", *AVERAGED, "trainer.steps=3")
    assert not (folder / "averages").exists()
