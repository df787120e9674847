import re
import signal

import numpy as np
import pytest
from safetensors.torch import load_file

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.errors import ResultError
from sgmse.training import session
from sgmse.training.averages.snapshots import find_snapshots
from sgmse.training.module import Training
from sgmse.training.state import load_state
from sgmse.training.validation import Evaluation


@pytest.fixture
def scores(monkeypatch):
    """Let validations give these scores, one after the other."""

    def give(*values: float) -> None:
        remaining = iter(values)
        monkeypatch.setattr(
            session,
            "evaluate",
            lambda enhancer, pairs, names, examples: Evaluation(
                np.full((len(pairs), len(names)), next(remaining)),
                [],
                {name: ["0.wav: it hurts"] for name in names},
                ["1.wav"],
            ),
        )

    return give


def steps(folder):
    return [checkpoints.load(folder / name).training["steps"] for name in ("best", "last")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "best_step", "best"),
    [
        ((1.0, 3.0, 2.0, 3.0), 4, 3.0),
        ((5.0, 3.0, 2.0, 1.0), 2, 5.0),
        ((np.nan, 1.0, np.nan, 0.5), 4, 1.0),
    ],
)
def test_the_best_is_kept_and_the_last_too(run, scores, values, best_step, best):
    scores(*values)
    folder = run("validation.every=2")
    assert steps(folder) == [best_step, 8]
    assert load_state(folder / "training_state.pt").best == best
    assert checkpoints.load(folder / "best").training["validation si_sdr"] == best


@pytest.mark.slow
def test_of_a_distance_the_least_is_the_best(run, scores):
    scores(5.0, 3.0, np.nan, 4.0)
    folder = run("validation.every=2", "validation.scores=[lsd]", "validation.best=lsd")
    assert steps(folder) == [4, 8]
    assert load_state(folder / "training_state.pt").best == 3


@pytest.mark.slow
def test_the_best_of_before_is_remembered(run, scores):
    scores(1.0, 5.0)
    run("validation.every=2", "trainer.steps=4")
    scores(3.0, 4.0)
    folder = run("validation.every=2", "trainer.steps=8", resume=True)
    assert steps(folder) == [4, 8]


@pytest.mark.slow
def test_scores_that_are_never_defined_make_nothing_the_best(run, scores, capsys):
    scores(*[np.nan] * 4)
    with pytest.raises(ResultError, match=r"after 8 steps no validation had a si_sdr .*/run/last"):
        run("validation.every=2")
    out = capsys.readouterr().out
    assert "no si_sdr of 1 recordings, such as 0.wav: it hurts" in out
    assert "1 results have the other polarity than clean speech, such as that of 1.wav; the" in out


def test_a_second_signal_ends_at_once(tmp_path):
    keeper = session.Session(tmp_path)
    keeper._on_signal(signal.SIGINT, None)
    assert keeper.interrupted
    with pytest.raises(KeyboardInterrupt):
        keeper._on_signal(signal.SIGINT, None)


def test_a_training_that_ends_at_once_says_what_is_there(run, monkeypatch):
    def at_once(self, batch, batch_idx):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    run("validation=null", "trainer.steps=1")
    monkeypatch.setattr(Training, "training_step", at_once)
    with pytest.raises(KeyboardInterrupt, match="at once; nothing was saved yet"):
        run("validation=null", output="new")
    resume = r"at once; what was saved before stays; go on with: sgmse train --resume -o .*run"
    with pytest.raises(KeyboardInterrupt, match=resume):
        run("validation=null", resume=True)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_state_is_saved_between_validations_and_progress_is_printed(run, monkeypatch, capsys):
    saved = []
    monkeypatch.setattr(session, "save_state", lambda state, path: saved.append(state.step))
    run("validation=null")
    assert saved == [3, 6, 8]
    out = capsys.readouterr().out
    assert re.findall(r"step (\d+) after \d+ s: loss ", out) == ["2", "4", "6", "8"]


AVERAGED = ("validation=null", "averages={lengths: [0.05, 0.2], every: 3}")


@pytest.mark.slow
def test_snapshots_are_kept_and_a_run_that_resumes_has_the_same(run, interrupt_at):
    whole = run(*AVERAGED, output="whole")
    with interrupt_at(4):
        run(*AVERAGED, output="parts")
    parts = whole.with_name("parts")
    assert [s.step for s in find_snapshots(parts / "averages")] == [3]
    # as if it had been killed after a snapshot that its state does not know of
    late = parts / "averages" / "step-00000006.safetensors"
    other = late.with_name("step-00000007.safetensors")
    for path in (late, other):
        path.write_bytes(b"garbage")
    run(*AVERAGED, output="parts", resume=True)
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


def test_without_an_update_there_is_no_snapshot(run, undefined):
    assert not (run(*AVERAGED, "trainer.steps=3") / "averages").exists()
