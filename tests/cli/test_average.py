"""The command `sgmse average`, as it is called; the tests of selection run it."""

from pathlib import Path

import pytest

from sgmse.training.averages import selection
from sgmse.training.averages.selection import Selection


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"lengths": None, "step": None, "output": None, "overrides": []}),
        (
            ["--lengths", "0.02", "0.1", "--step", "500", "-o", "x", "--set", "a.b=1"],
            {"lengths": [0.02, 0.1], "step": 500, "output": "x", "overrides": ["a.b=1"]},
        ),
    ],
)
def test_options_reach_the_choice(monkeypatch, call, arguments, expected):
    calls = []

    def chosen(run, **options):
        calls.append((run, options))
        return Selection(Path("runs/mine/averaged"), 0.02, 500, {})

    monkeypatch.setattr(selection, "select_average", chosen)
    code, out, _ = call("average", "runs/mine", *arguments)
    assert (code, out) == (0, "length 0.02 at step 500, is in runs/mine/averaged\n")
    assert calls == [("runs/mine", expected)]


def test_a_folder_that_is_no_run_is_one_line(tmp_path, call):
    line = f"sgmse: error: {tmp_path} is not the folder of a run: it has no recipe.yaml"
    assert call("average", str(tmp_path)) == (1, "", [line])
    (tmp_path / "recipe.yaml").touch()
    (_, _, [said]) = call("average", str(tmp_path / "best"))
    assert said.endswith(f"it has no recipe.yaml (did you mean {tmp_path}?)")
