"""The fronts, tables and files of a study."""

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sgmse.bench._costs import Run
from sgmse.bench._results import Results
from sgmse.bench._study_results import COSTS, OWN, Setting, StudyResults
from sgmse.bench._systems import Noisy
from sgmse.bench.models import Model
from sgmse.bench.suite import NoisySet, Suite
from sgmse.metrics.measures import select
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores


def result(values: dict[str, list[float | None]]) -> StudyResults:
    """A study of 1, 2 and 4 evaluations, with SI-SDR and LSD (less is better) of two recordings.

    By system the SI-SDR of each recording; the LSD is its negative. One computation has two names,
    and one solver is refused at 4 steps, another wholly.
    """
    own = Model("some/model")
    settings = [
        Setting(OWN, OWN, "", None, "", 1, own, "E on U"),
        Setting("A U, 1 step", "A U", "A", 0.0, "U", 1, own, "A on U", same_as=OWN),
        Setting("A U, 4 steps", "A U", "A", 0.0, "U", 4, own, "A on U"),
        Setting("A U, 2 steps", "A U", "A", 0.0, "U", 2, own, "A on U"),
        Setting("B U, 2 steps", "B U", "B", None, "U", 2, own, refused="no b"),
        Setting("B U, 4 steps", "B U", "B", None, "U", 4, own, refused="no b"),
        Setting("C U, 2 steps", "C U", "C", None, "U", 2, own, "C on U"),
        Setting("C U, 4 steps", "C U", "C", None, "U", 4, own, refused="no c"),
    ]
    steps = {"noisy": 0} | {s.name: s.steps for s in settings}
    measures = select(("si-sdr", "lsd"))
    rows, runs = [], []
    for system, of in values.items():
        for i, value in enumerate(of):
            both = {"SI-SDR": value, "LSD": None if value is None else -value}
            why = {} if value is not None else dict.fromkeys(both, "it is silent")
            rows.append(Row(str(i), system, "recordings", None, both, why))
            if system != "noisy":
                n = steps[system]
                run = Run("recordings", system, None, str(i), "", "x", 2.0, 0.2 * n, float(n))
                runs.append(run)
    suite = Suite(
        {"recordings": NoisySet(Path("clean"), Path("noisy"))},
        {"noisy": Noisy()} | {n: own for n in values if n != "noisy"},
        measures=("si-sdr", "lsd"),
        baseline=OWN,
    )
    scores = Scores(tuple(rows), measures)
    conditions = {OWN: {"weights": "abc"}}
    return StudyResults("model", tuple(settings), Results(suite, scores, tuple(runs), conditions))


VALUES = {
    "noisy": [1.0, 2.0],
    OWN: [3.0, 5.0],
    "A U, 4 steps": [4.0, 8.0],
    "A U, 2 steps": [2.0, 4.0],
    "C U, 2 steps": [4.0, 5.0],
}


@pytest.fixture
def outcome() -> StudyResults:
    return result(VALUES)


def test_fronts(outcome):
    front = [OWN, "C U, 2 steps", "A U, 4 steps"]
    assert outcome.fronts == {m.name: dict.fromkeys(COSTS, front) for m in outcome.measures}


def test_lines_join_what_differs_in_steps_alone(outcome):
    lines = outcome.lines()
    assert list(lines) == [OWN, "A U", "C U"]
    assert lines["A U"] == [OWN, "A U, 2 steps", "A U, 4 steps"]


def test_points_have_the_intervals_of_differences(outcome):
    si_sdr, lsd = outcome.measures
    point = outcome.point("A U, 4 steps", "real_time_factor", si_sdr)
    assert (point.x, point.y, point.low, point.high) == (0.4, 6.0, 5.0, 7.0)  # by 1 and 3 better
    point = outcome.point("C U, 2 steps", "evaluations", lsd)
    assert (point.x, point.y, point.low, point.high) == (2.0, -4.5, -5.0, -4.0)
    point = outcome.point(OWN, "evaluations", lsd)
    assert (point.x, point.y, point.low, point.high) == (1.0, -4.0, -4.0, -4.0)


def test_what_was_not_run_is_told(outcome):
    assert outcome.refusals() == {"no b": ["B U"], "no c": ["C U at 4 steps"]}
    text = outcome.summary()
    assert "- B U: no b\n- C U at 4 steps: no c" in text
    assert "- own sampler: also A U, 1 step" in text


def test_the_table(outcome):
    lines = [line for line in outcome.summary().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:7]]
    cells = {name: rest for name, *rest in rows}
    assert next(iter(cells)) == "sampler"
    assert cells["noisy"] == ["-", "-", "1.50 ± 0.50", "-1.500 ± 0.500"]
    assert cells["A U, 4 steps"] == ["4", "0.400", "**6.00 ± 2.00**", "**-6.000 ± 2.000**"]
    assert cells["A U, 2 steps"] == ["2", "0.200", "3.00 ± 1.00", "-3.000 ± 1.000"]
    changes = [line for line in lines if "real-time factor" in line and "C U, 2 steps" in line]
    assert "+0.50 ± 0.50" in changes[0]
    assert "-0.500 ± 0.500" in changes[1]


def test_files(outcome, tmp_path):
    target = outcome.write(tmp_path / "a" / "b", command="sgmse bench solvers")
    assert {path.name for path in target.iterdir()} == {
        *("study.md", "study.csv", "study.json", "figure.svg"),
    }
    rows = {row["name"]: row for row in csv.DictReader((target / "study.csv").open())}
    assert list(rows) == [s.name for s in outcome.settings]
    same = rows["A U, 1 step"]
    assert (same["same_as"], same["SI-SDR"], same["evaluations"]) == (OWN, "4.0", "1.0")
    assert rows["B U, 2 steps"]["refused"] == "no b"
    assert rows["B U, 2 steps"]["SI-SDR"] == ""
    assert (rows["A U, 4 steps"]["LSD_low"], rows["A U, 4 steps"]["LSD_high"]) == ("-8.0", "-4.0")
    told = json.loads((target / "study.json").read_text())
    assert told["weights"] == "abc"
    assert told["fronts"]["LSD"]["evaluations"] == [OWN, "C U, 2 steps", "A U, 4 steps"]
    assert told["settings"][2]["eta"] == 0.0
    assert told["provenance"]["command"] == "sgmse bench solvers"
    page = (target / "study.md").read_text()
    assert "(figure.svg)" in page
    assert "`sgmse bench solvers`" in page
    assert "wanted a core" not in page


def test_other_work_on_the_machine_is_told(outcome, tmp_path):
    page = (replace(outcome, load=3.14).write(tmp_path) / "study.md").read_text()
    assert "0 of 8 files were enhanced by the last call; when it began, 3.1 processes" in page
    assert json.loads((tmp_path / "study.json").read_text())["load"] == 3.14


@pytest.mark.slow
def test_files_appear_whole_or_not_at_all(outcome, tmp_path, monkeypatch):
    outcome.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, content):
        raise OSError("no space left")

    other = result(VALUES | {"C U, 2 steps": [7.0, 8.0]})
    with monkeypatch.context() as m:
        m.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="no space"):
            other.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_matplotlib_there_is_no_figure_and_all_else(outcome, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = (outcome.write(tmp_path) / "study.md").read_text()
    assert "No figure: a chart needs the package 'matplotlib': pip install" in page
    assert {p.name for p in tmp_path.iterdir()} == {"study.md", "study.csv", "study.json"}


def test_a_sampler_that_failed_is_listed(tmp_path):
    outcome = result(VALUES | {"C U, 2 steps": [None, None]})
    assert outcome.fronts["SI-SDR"]["evaluations"] == [OWN, "A U, 4 steps"]
    page = (outcome.write(tmp_path) / "study.md").read_text()
    assert "C U, 2 steps/0: it is silent" in page
    assert outcome.suite_results.table.means["C U, 2 steps"]["SI-SDR"].count == 0


def test_a_sampler_that_shares_no_recording_with_the_own_one_has_no_interval():
    outcome = result(VALUES | {OWN: [3.0, None], "C U, 2 steps": [None, 4.0]})
    point = outcome.point("C U, 2 steps", "evaluations", outcome.measures[0])
    assert point.y == 4.0
    assert math.isnan(point.low)
    assert math.isnan(point.high)
    assert outcome.svg()


def test_nothing_scored_is_an_error_and_writes_nothing(tmp_path):
    outcome = result({name: [None, None] for name in VALUES})
    with pytest.raises(ValueError, match="nothing to show"):
        outcome.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_outcome_without_some_settings(outcome):
    few = replace(outcome, settings=outcome.settings[:1])
    assert list(few.costs) == [OWN]
