from pathlib import Path

import pytest

from sgmse.bench._costs import Costs, Run
from sgmse.scoring.journal import Journal

FIRST = Run("set", "system", 0, "a/b", "f", "d", 2.0, 1.0, 3.0, 100)
SECOND = Run("set", "system", None, "c", "g", problem='not enhanced: it is "ill"\u2028')


def test_runs_are_kept(tmp_path: Path):
    path = tmp_path / "runs.jsonl"
    with Journal(path, Run) as journal:
        journal.write(FIRST)
        journal.write(SECOND)
        assert Journal(path, Run).entries == {
            FIRST.key: FIRST,
            SECOND.key: SECOND,
        }  # on the disk at once
    assert list(Journal(path, Run).entries) == [FIRST.key, SECOND.key]


def test_the_last_line_counts_and_one_that_is_cut_off_does_not(tmp_path: Path):
    path = tmp_path / "runs.jsonl"
    later = Run("set", "system", 0, "a/b", "other")
    with Journal(path, Run) as journal:
        for run in (FIRST, SECOND, later):
            journal.write(run)
    text = path.read_text()
    path.write_text(text[:-20])
    assert Journal(path, Run).entries == {FIRST.key: FIRST, SECOND.key: SECOND}
    with Journal(path, Run) as journal:
        journal.write(later)
    assert Journal(path, Run).entries == {FIRST.key: later, SECOND.key: SECOND}


def test_a_file_that_is_something_else(tmp_path: Path):
    path = tmp_path / "runs.jsonl"
    path.write_text("a\nb\n")
    with pytest.raises(ValueError, match="holds no runs; name another folder"):
        Journal(path, Run)


def test_costs_are_means_over_audio_and_the_most_memory():
    other = Run("set", "system", 1, "a/b", "f", "d", 6.0, 1.0, 5.0, 50)
    assert Costs.of([FIRST, SECOND, other]) == Costs(0.25, 4.0, 100)
    assert Costs.of([SECOND]) == Costs()
