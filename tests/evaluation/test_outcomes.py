import csv
import json
from pathlib import Path

import pytest

from sgmse.evaluation.gates import Threshold
from sgmse.evaluation.journal import Row
from sgmse.evaluation.measures import chosen
from sgmse.evaluation.outcomes import Bar, Outcome
from sgmse.evaluation.runs import Costs, Run
from sgmse.evaluation.scoring import Scores
from sgmse.evaluation.suites import NoisySet, Suite
from sgmse.evaluation.systems import Noisy

MEASURES = chosen(["si-sdr", "lsd"])
SUITE = Suite(
    {name: NoisySet(Path("clean"), Path("noisy")) for name in ("easy", "hard")},
    {name: Noisy() for name in ("good", "noisy", "bad")},
    measures=("si-sdr", "lsd"),
    by=("snr_db",),
    baseline="noisy",
)
LEVEL = {"noisy": 5.0, "good": 12.0, "bad": 2.5}


def row(which: str, system: str, name: str) -> Row:
    value = LEVEL[system] + float(name) - (2 if which == "hard" else 0)
    facts = {"snr_db": name} if which == "easy" else {}
    return Row(name, system, which, None, {"SI-SDR": value, "LSD": 1 / value}, {}, facts, 1.0, 8000)


def run(which: str, system: str, name: str) -> Run:
    return Run(which, system, None, name, "f", "d", 2.0, 0.1 + float(name), 4.0, 3 * 2**20)


def outcome(suite: Suite = SUITE, **changes) -> Outcome:
    keys = [(s, system, n) for system in suite.systems for s in suite.sets for n in "012"]
    rows = tuple(row(*key) for key in keys)
    runs = tuple(run(*key) for key in keys if key[1] != "noisy")
    fields = {"scores": Scores(rows, MEASURES), "runs": runs, "conditions": {"good": {"w": "1"}}}
    return Outcome(suite, **fields | changes)


def one_set() -> Suite:
    return Suite({"easy": SUITE.sets["easy"]}, SUITE.systems, measures=("si-sdr", "lsd"))


def test_sets_are_apart():
    text = outcome(checks=("easy agrees",), workers=2).summary()
    assert text.startswith("- easy agrees\n\n## easy\n\n| system")
    easy, hard = text.split("## hard")
    lines = [line.split("|")[1:4] for line in easy.splitlines() if line.startswith("| good")]
    assert [cell.strip()[:5] for cell in lines[0]] == ["good", "13.00", "0.077"]
    assert lines[1][1].strip().startswith("+7.00")  # against the baseline
    of_hard = next(line for line in hard.splitlines() if line.startswith("| good"))
    assert of_hard.split()[3] == "11.00"
    assert "| snr_db | system" in easy
    assert "| snr_db" not in hard  # where no one tells
    assert "in 2 processes of one thread each" in easy


def test_costs():
    found = outcome().costs("easy")
    assert found == {
        name: Costs(pytest.approx(3.3 / 6), 4.0, 3 * 2**20) for name in ("good", "bad")
    }
    lines = outcome().summary().splitlines()
    assert any(line.split()[1::2] == ["good", "0.5500", "4", "3"] for line in lines)
    assert "real-time" not in outcome(runs=()).summary()


def test_one_set_has_no_title():
    assert outcome(one_set()).summary().startswith("| system")


def test_bars():
    def bar(text: str, system: str | None = None) -> Bar:
        return Bar(Threshold.parse(text, MEASURES), system)

    result = outcome()
    assert result.missed([bar("si-sdr=1")]) == []
    assert result.missed([bar("si-sdr=2")]) == ["hard: SI-SDR of bad is 1.50, under 2"]
    assert result.missed([bar("si-sdr=11.5", "good")]) == [
        "hard: SI-SDR of good is 11.00, under 11.5"
    ]
    assert result.missed([bar("si-sdr=5", "noisy")]) == ["hard: SI-SDR of noisy is 4.00, under 5"]
    assert result.missed([bar("si-sdr=11", "good"), bar("lsd=0.1", "good")]) == []
    single = outcome(one_set())
    assert single.missed([bar("si-sdr=14", "good")]) == ["SI-SDR of good is 13.00, under 14"]


def test_files(tmp_path: Path):
    result = outcome(checks=("easy agrees",), workers=2)
    assert result.write(tmp_path / "a/b", command="sgmse bench x") == tmp_path / "a/b"
    names = {path.name for path in (tmp_path / "a/b").iterdir()}
    assert names == {"scores.csv", "summary.md", "summary.json", "easy.tex", "hard.tex"}
    with (tmp_path / "a/b/scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 18
    assert (table[3]["system"], table[3]["set"]) == ("good", "hard")
    text = (tmp_path / "a/b/summary.md").read_text()
    assert text.startswith(result.summary())
    assert text.endswith("`sgmse bench x`\n")
    told = json.loads((tmp_path / "a/b/summary.json").read_text())
    assert told["sets"]["hard"]["systems"]["good"]["SI-SDR"]["mean"] == 11
    assert told["sets"]["hard"]["differences"]["good"]["SI-SDR"]["mean"] == 7
    assert told["sets"]["easy"]["costs"]["good"]["evaluations"] == 4
    assert told["sets"]["easy"]["by"].keys() == {"snr_db"}
    assert told["sets"]["hard"]["by"] == {}
    assert told["systems"] == {"good": {"w": "1"}}
    assert (told["workers"], told["seeds"], told["checks"]) == (2, [0], ["easy agrees"])
    assert "13.00" in (tmp_path / "a/b/easy.tex").read_text()


def test_what_has_no_score():
    rows = tuple(
        Row("0", system, "easy", None, {"SI-SDR": value, "LSD": None}, {"LSD": "why"})
        for system, value in (("noisy", 1.0), ("good", 2.0), ("bad", None))
    )
    result = outcome(one_set(), scores=Scores(rows, MEASURES))
    assert result.unscored() == ["bad has no score"]
