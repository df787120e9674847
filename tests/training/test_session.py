import re
import signal

import numpy as np
import pytest

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.training import session, train
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
