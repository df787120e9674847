"""The curves of a training, as a table."""

import csv
from pathlib import Path

import pytest

from sgmse.training.curves import Curves


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_added_and_columns_when_they_come(tmp_path):
    path = tmp_path / "curves.csv"
    curves = Curves(path)
    assert not path.exists()
    curves.add(2, {"loss": 0.5})
    before = path.read_text()
    curves.add(4, {"loss": 1e-9})
    assert path.read_text() == before + "4,1e-09\n"  # at once, and nothing else is touched
    curves.add(4, {"score, of some": 12345.678})
    curves.add(6, {"loss": float("nan")})
    assert rows(path) == [
        {"step": "2", "loss": "0.5", "score, of some": ""},
        {"step": "4", "loss": "1e-09", "score, of some": ""},
        {"step": "4", "loss": "", "score, of some": "12345.678"},
        {"step": "6", "loss": "nan", "score, of some": ""},
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["curves.csv"]


@pytest.mark.parametrize("end", ["", "8,"])
def test_a_run_that_goes_on_writes_again_what_came_after_its_state(tmp_path, end):
    path = tmp_path / "curves.csv"
    curves = Curves(path)
    for step in (2, 4, 6):
        curves.add(step, {"loss": step, "norm": step})
    with path.open("a") as file:
        file.write(end)  # cut off
    again = Curves(path, 4)
    assert [row["step"] for row in rows(path)] == ["2", "4"]
    again.add(6, {"loss": 7, "norm": 7})
    assert [row["loss"] for row in rows(path)] == ["2", "4", "7"]


def test_a_run_leaves_the_same_points_as_on_tensorboard(finished):
    table = rows(finished / "curves.csv")
    assert [row["step"] for row in table if row["training/loss"]] == ["2", "4", "6", "8"]
    assert [row["step"] for row in table if row["validation/si_sdr"]] == ["4", "8"]


@pytest.mark.parametrize("cut", ["2", "2,0.12"])
def test_a_row_that_was_cut_off_takes_no_other_with_it(cut, tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(f"step,a\n1,2\n{cut}")
    Curves(path, 5).add(3, {"a": 4.0})
    assert path.read_text() == "step,a\n1,2\n3,4\n"
