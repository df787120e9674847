"""The command `sgmse train`."""

import re
from pathlib import Path

import pytest

import sgmse.training


def test_what_is_said_of_a_training_reaches_it(monkeypatch, call):
    calls = []

    def train(recipe, *, overrides, data, output, from_, resume):
        calls.append((recipe, overrides, data, output, from_, resume))
        return Path("runs/mine")

    monkeypatch.setattr(sgmse.training, "train", train)
    command = ["--data", "corpus", "--from", "default", "-o", "runs/mine", "--resume"]
    changes = ["--set", "trainer.steps=3", "--set", "loss={class: Data}"]
    done = (0, "the run is in runs/mine\n", [])
    assert call("train", *changes, "default", *command) == done
    assert call("train", "mine.yaml") == done
    assert call("train", "--from", "default", "--data", "mine") == done
    changed = ["trainer.steps=3", "loss={class: Data}"]
    assert calls == [
        ("default", changed, "corpus", "runs/mine", "default", True),
        ("mine.yaml", [], None, None, None, False),
        (None, [], "mine", None, "default", False),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "trainer.stepps=3", "default"], r"[^\n]*stepps[^\n]*"),
        ([], r"name a recipe, one of [^\n]*storm[^\n]* --from"),
        (["--resume"], r"name the run to resume with --output, or its recipe"),
        (["--resume", "-o", "nowhere"], r"nowhere holds no run[^\n]*"),
        (["--resume", "--from", "default"], r"a run that resumes has its weights already[^\n]*"),
    ],
)
def test_what_cannot_be_trained_is_one_line(arguments, message, tmp_path, monkeypatch, call):
    pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    code, out, err = call("train", *arguments)
    assert (code, out, len(err)) == (1, "", 1)
    assert re.fullmatch(f"sgmse: error: {message}", err[0])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_exits_with_130_and_says_how_to_go_on(monkeypatch, call):
    def train(recipe, **options):
        raise KeyboardInterrupt("step 3 is saved; go on with: sgmse train --resume -o runs/mine")

    monkeypatch.setattr(sgmse.training, "train", train)
    said = "sgmse: interrupted; step 3 is saved; go on with: sgmse train --resume -o runs/mine"
    assert call("train", "default") == (130, "", [said])
