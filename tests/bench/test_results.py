import csv
import json
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from outcomes import MEASURES, SUITE, outcome, row, run

from sgmse.bench._costs import Costs
from sgmse.bench._results import Results
from sgmse.bench._systems import Noisy
from sgmse.bench.suite import Suite
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores
from sgmse.scoring.thresholds import Threshold


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
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in hard.splitlines()[-2:]]
    assert told == [["good", "Good()", "good 1.2", "MIT"], ["noisy", "as it is", "-", "-"]]


def test_costs():
    found = outcome().costs("easy")
    assert found == {
        name: Costs(pytest.approx(3.3 / 6), 4.0, 3 * 2**20) for name in ("good", "bad")
    }
    lines = outcome().summary().splitlines()
    assert any(line.split()[1::2] == ["good", "0.5500", "4", "3"] for line in lines)
    assert outcome().costs()["good"].real_time_factor == pytest.approx(6.6 / 12)
    slow = [replace(run("hard", "good", "0"), seconds=2.0), run("easy", "good", "0")]
    assert outcome(runs=tuple(slow)).costs()["good"].real_time_factor == 2.1 / 4
    assert outcome(runs=tuple(slow)).costs("hard")["good"].real_time_factor == 1
    assert "real-time" not in outcome(runs=()).summary()


def test_one_set_has_no_title():
    assert outcome(one_set()).summary().startswith("| system")


def test_thresholds():
    def missed(results: Results, *texts: str) -> list[str]:
        systems = results.suite.systems
        return results.missed([Threshold.parse(text, MEASURES, systems) for text in texts])

    result = outcome()
    assert missed(result, "si-sdr=1") == []
    assert missed(result, "si-sdr=2") == ["hard: SI-SDR of bad is 1.50, under 2"]
    assert missed(result, "good:si-sdr=11.5") == ["hard: SI-SDR of good is 11.00, under 11.5"]
    assert missed(result, "noisy:si-sdr=5") == ["hard: SI-SDR of noisy is 4.00, under 5"]
    assert missed(result, "good:si-sdr=11", "good:lsd=0.1") == []
    assert missed(outcome(one_set()), "good:si-sdr=14") == ["SI-SDR of good is 13.00, under 14"]


def test_files(tmp_path: Path):
    result = outcome(checks=("easy agrees",), workers=2)
    assert result.write(tmp_path / "a/b", command="sgmse bench x") == tmp_path / "a/b"
    names = {path.name for path in (tmp_path / "a/b").iterdir()}
    assert names == {
        *("scores.csv", "comparisons.csv", "summary.md", "summary.json"),
        *("easy.tex", "hard.tex", "easy.svg", "hard.svg"),
    }
    with (tmp_path / "a/b/scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 18
    assert (table[3]["system"], table[3]["set"]) == ("good", "hard")
    with (tmp_path / "a/b/comparisons.csv").open(newline="") as file:
        compared = {(r["set"], r["system"], r["measure"]): r for r in csv.DictReader(file)}
    assert {name for name, _, _ in compared} == {"hard", "easy"}
    assert float(compared["hard", "good", "SI-SDR"]["mean"]) == 7
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
    assert told["about"]["good"] == {"what": "Good()", "version": "good 1.2", "licence": "MIT"}
    assert (told["workers"], told["seeds"], told["checks"]) == (2, [0], ["easy agrees"])
    assert "13.00" in (tmp_path / "a/b/easy.tex").read_text()


def test_what_has_no_score():
    rows = tuple(
        Row("0", system, "easy", None, {"SI-SDR": value, "LSD": None}, {"LSD": "why"})
        for system, value in (("noisy", 1.0), ("good", 2.0), ("bad", None))
    )
    result = outcome(one_set(), scores=Scores(rows, MEASURES))
    assert result.unscored() == ["bad has no score"]


def test_what_is_charted():
    assert outcome().charted("easy") == {
        name: {"evaluations": 4, "real-time factor": pytest.approx(0.55)}
        for name in ("good", "bad")
    }
    uncounted = outcome(runs=tuple(replace(r, evaluations=None) for r in outcome().runs))
    assert uncounted.charted()["good"].keys() == {"real-time factor"}
    assert outcome(runs=()).charted() == {}


@pytest.mark.slow
def test_figures(tmp_path: Path):
    found = outcome().figures()
    assert found.keys() == {"easy", "hard"}
    text = [e.text for e in ET.fromstring(found["easy"]).iter() if e.tag.endswith("text")]
    assert {"real-time factor", "SI-SDR [dB]", "LSD (less is better)", "noisy"} <= set(text)
    told = [e.text for e in ET.fromstring(found["hard"]).iter() if e.tag.endswith("title")]
    assert any(re.match(r"good: 11 \(.* at 0\.55", title) for title in told)
    assert "evaluations" not in found["easy"]
    name = "my set (8 kHz)"
    single = Suite({name: SUITE.sets["easy"]}, SUITE.systems, measures=("si-sdr", "lsd"))
    outcome(single).write(tmp_path / "one")
    assert f"![{name}: quality against real-time factor](figure.svg)" in (
        tmp_path / "one/summary.md"
    ).read_text(encoding="utf-8")
    outcome(replace(single, sets={**single.sets, "b": SUITE.sets["easy"]})).write(tmp_path)
    target = re.findall(r"\]\((.*)\)", (tmp_path / "summary.md").read_text(encoding="utf-8"))[0]
    assert target == "my%20set%20%288%20kHz%29.svg"
    assert (tmp_path / f"{name}.svg").exists()
    outcome(runs=()).write(tmp_path / "none")
    assert not list((tmp_path / "none").glob("*.svg"))
    assert "![" not in (tmp_path / "none/summary.md").read_text(encoding="utf-8")


def test_without_matplotlib_there_is_no_figure_and_all_else(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome().write(tmp_path)
    assert not list(tmp_path.glob("*.svg"))
    assert (tmp_path / "scores.csv").exists()
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "No figure: a chart needs the package 'matplotlib': pip install" in page


@pytest.mark.slow
def test_a_report_of_all_sets(tmp_path: Path):
    pytest.importorskip("jinja2")
    rows = tuple(
        replace(
            r, facts={**r.facts, "real_time_factor": r.name, "evaluations": "4", "noise": r.name}
        )
        for r in outcome().scores.rows
    )
    result = outcome(scores=Scores(rows, MEASURES))
    page = result.report(tmp_path / "report.html", command="sgmse bench x").read_text("utf-8")
    assert re.findall(r"<caption><bdi>(.*?)</bdi>", page) == ["all sets", "easy", "hard"]
    charts = re.findall(r"<figcaption>(.*?)</figcaption>", page)[:: len(MEASURES)]
    assert charts == [
        *("Quality against evaluations", "Quality against real-time factor", "Quality by snr_db"),
    ]
    assert re.search(r'class="baseline"><th scope="row" data-value="noisy"', page)
    assert "sgmse bench x" in page
    _, told = page.split("<h2>Systems</h2>")
    assert re.findall(r"<td><bdi>(.*?)</bdi>", told)[:3] == ["Good()", "good 1.2", "MIT"]
    unasked = outcome(replace(SUITE, by=()), scores=Scores(rows, MEASURES))
    page = unasked.report(tmp_path / "report.html").read_text("utf-8")
    assert "Quality by noise" in page


def test_a_report_of_one_system_has_no_charts_over_what_it_took(tmp_path: Path):
    pytest.importorskip("jinja2")
    rows = tuple(
        replace(row("easy", "good", name), facts={"real_time_factor": name, "noise": name})
        for name in "012"
    )
    suite = Suite({"easy": SUITE.sets["easy"]}, {"good": Noisy()}, measures=("si-sdr", "lsd"))
    result = outcome(suite, scores=Scores(rows, MEASURES))
    page = result.report(tmp_path / "report.html").read_text("utf-8")
    assert "Quality by noise" in page
    assert "Quality by real_time_factor" not in page
