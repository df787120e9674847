"""Tables that say what the scores say, and nothing that they do not."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sgmse.data.pairs import Unmatched
from sgmse.metrics.measures import Measure, select
from sgmse.report.text import latex, notes, problems, records, summary, to_csv, to_json, write
from sgmse.scoring.intervals import interval, paired
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table

PESQ, SDR = select(["pesq-wb", "si-sdr"])
LSD = Measure("L|SD", max, higher_is_better=False, digits=1)
COUNT = 20
A, B = (np.random.default_rng(i).normal(i, 1, COUNT) for i in (2, 3))
C = np.random.default_rng(5).gamma(1, size=COUNT)


def row(system: str, i: int, **more) -> Row:
    sdr = (A if system == "first_1" else B)[i]
    values = {"PESQ-WB": 1 + C[i], "SI-SDR": sdr, "L|SD": 1.0 + i + (system == "first_1")}
    facts = {"snr_db": "10" if i % 2 else "2.5", "noise": "a, b"}
    return replace(
        Row(f"f{i:02}", system, values=values, facts=facts, seconds=2.0, sample_rate=8000), **more
    )


@pytest.fixture
def scores() -> Scores:
    rows = [row(system, i) for system in ("first_1", "second") for i in range(COUNT)]
    return Scores(tuple(rows), (PESQ, SDR, LSD), hashes={"second": "abc"})


@pytest.fixture
def spoilt(scores) -> Scores:
    """Of `second`, f03 has no PESQ and f04 nothing."""
    rows = list(scores.rows)
    three, four = rows[COUNT + 3], rows[COUNT + 4]
    rows[COUNT + 3] = replace(
        three, values={**three.values, "PESQ-WB": None}, problems={"PESQ-WB": "too short"}
    )
    nothing = dict.fromkeys(four.values)
    rows[COUNT + 4] = replace(four, values=nothing, problems=dict.fromkeys(nothing, "it is silent"))
    alone = dict.fromkeys(scores.systems, (Unmatched(Path("x.wav"), "has no partner in clean"),))
    return replace(scores, rows=tuple(rows), unmatched=alone)


def cells(table: str) -> list[list[str]]:
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
    return [[cell.strip() for cell in line] for line in lines]


def test_the_summary(scores):
    main, against, explained, worse, noise, worst, ranks = summary(Table(scores)).split("\n\n")
    a, b, d = interval(A), interval(B), paired(B, A)
    table = cells(main)
    assert table[0] == ["system", "PESQ-WB", "SI-SDR [dB]", "L\\|SD ↓", "files", "problems"]
    assert table[2][0] == "first_1"
    assert table[2][2:] == [f"{a.mean:.2f} ± {a.half_width:.2f}", "11.5 ± 2.5", "20", "0"]
    assert table[3][2] == f"{b.mean:.2f} ± {b.half_width:.2f}"
    assert len({len(line) for line in main.splitlines()}) == 1  # aligned in plain text
    lines = cells(against)
    assert lines[0][0] == "against first_1"
    assert lines[2][2].startswith(f"{d.mean:+.2f} ± {(d.high - d.low) / 2:.2f} *")
    assert lines[2][3] == "-1.0 ± 0.0 ***"
    assert "Wilcoxon" in explained
    better, harm = sum(SDR.noise < B - A), sum(-SDR.noise > B - A)
    low, high = stats.binomtest(better, COUNT).proportion_ci(method="wilson")
    share = f"{5 * better} % ({100 * low:.0f} to {100 * high:.0f}), {harm} worse"
    assert cells(worse)[0][0] == "better than first_1"
    assert cells(worse)[2] == [
        "second",
        "0 % (0 to 16), 0 worse",
        share,
        "100 % (84 to 100), 0 worse",
    ]
    lost = [f"f{i:02} (+{0.0:.3f})" for i in range(3)]  # both have the same PESQ-WB
    assert cells(worst)[0] == ["worst against first_1", "PESQ-WB"]
    assert cells(worst)[2] == ["second", ", ".join(lost)]
    by_sdr = summary(Table(replace(scores, measures=(SDR, LSD)))).split("\n\n")[5]
    three = np.argsort(B - A)[:3]
    lost = [f"f{i:02} ({B[i] - A[i]:+.2f})" for i in three]
    assert cells(by_sdr)[2] == ["second", ", ".join(lost)]
    assert noise.endswith("L|SD, whose noise is not known, any change counts).")
    assert cells(ranks)[0] == ["system", "mean rank over PESQ-WB, SI-SDR, L\\|SD"]
    first, second = Table(scores).ranks.items()
    assert (first[0], first[1].mean) == ("second", 3.5 / 3)  # both have the same PESQ-WB
    assert cells(ranks)[2] == ["second", f"1.2 ({first[1].low:.1f} to {first[1].high:.1f})"]
    assert cells(ranks)[3][0] == "first_1"
    assert second[1].mean == 5.5 / 3
    known = replace(scores, measures=(PESQ, replace(SDR, noise=0.25), LSD))
    assert "; SI-SDR 0.25 dB" in summary(Table(known)).replace("(", "; ").replace(", ", "; ")
    alone = replace(scores, rows=scores.rows[:COUNT])
    assert "\n\n" not in summary(Table(alone))  # nothing to differ from


def test_one_recording_has_no_interval(scores):
    alone = Table(replace(scores, rows=(scores.rows[0], scores.rows[COUNT])))
    main, against, *_ = summary(alone).split("\n\n")
    assert cells(main)[2][3:] == ["2.0", "1", "0"]
    assert cells(against)[2][3] == "-1.0"
    assert "±" not in main + against
    assert "pm" not in latex(alone)
    assert "--" not in latex(alone)


def test_the_summary_says_which_means_are_over_fewer_files(spoilt):
    first, second = cells(summary(Table(spoilt)).split("\n\n")[0])[2:]
    assert first[-2:] == ["20", "0"]
    assert second[-2:] == ["20", "2"]
    assert [bool(re.search(r"\(\d+\)", cell)) for cell in first[1:4]] == [False] * 3
    assert [cell.rpartition(" ")[2] for cell in second[1:4]] == ["(18)", "(19)", "(19)"]


def test_breakdowns(scores):
    table = cells(summary(Table(scores), by=["snr_db"]).split("\n\n")[1])
    assert table[0][:2] == ["snr_db", "system"]
    assert [line[:2] for line in table[2:]] == [
        ["2.5", "first_1"],
        ["2.5", "second"],
        ["10", "first_1"],
        ["10", "second"],
    ]
    about = interval(A[1::2])
    assert table[4][3] == f"{about.mean:.2f} ± {about.half_width:.2f}"
    some = replace(scores, rows=(replace(scores.rows[0], facts={}), *scores.rows[1:]))
    assert cells(summary(Table(some), by=["snr_db"]).split("\n\n")[1])[-1][0] == "not known"


def test_latex(scores):
    text = latex(Table(scores))
    assert text.startswith("\\begin{tabular}{lccc}\n\\toprule\nSystem & PESQ-WB & SI-SDR [dB] & ")
    assert "L|SD $\\downarrow$ \\\\" in text
    first, second = text.splitlines()[4:6]
    assert first.startswith("first\\_1 & ")
    assert "$11.5 \\pm" in first  # lower is better
    assert "$\\mathbf{10.5} \\pm" in second
    assert f"$\\mathbf{{{B.mean():.2f}}} \\pm" in second
    alone = latex(Table(replace(scores, rows=scores.rows[:COUNT])))
    assert "mathbf" not in alone
    nothing = replace(
        scores, rows=(replace(row("x", 0), values=dict.fromkeys(row("x", 0).values)),)
    )
    assert "x & -- & -- & -- \\\\" in latex(Table(nothing))


def test_problems_and_notes(spoilt):
    assert problems(spoilt) == [
        "second/f03 (PESQ-WB): too short",
        "second/f04: it is silent",
        "x.wav has no partner in clean",
    ]
    differ = "the systems have means over different files; their differences do not"
    left_out = (
        "comparisons are over 18 of 20 recordings, those that all systems have in all measures; "
        "left out is what lacks one: f03 (second: PESQ-WB), f04 (second: all)"
    )
    assert notes(spoilt) == [differ, left_out]
    few = replace(spoilt, rows=spoilt.rows[:COUNT] + spoilt.rows[COUNT + 7 :])
    assert notes(few)[-1].endswith("f04 (second: all), and 2 more")
    assert "comparisons are over 13 of 20 recordings" in notes(few)[-1]
    alone = replace(spoilt, rows=spoilt.rows[COUNT:])
    assert notes(alone) == []
    rows = list(spoilt.rows)
    rows[0] = replace(rows[0], excess=-80, delay=16)
    rows[1] = replace(rows[1], excess=8, delay=16)
    rows[2] = replace(rows[2], delay=-400, inverted=True)
    told = notes(replace(spoilt, rows=tuple(rows)))
    assert told == [
        "first_1: 2 of 20 files differ in length, by up to 0.010 s; up to 0.1 s are trimmed",
        "first_1: 3 of 20 files are shifted, typically by 2.0 ms (late is positive); not "
        "compensated, see --align",
        "first_1: 1 of 20 files have the other polarity than the clean ones, which PESQ and SI-SDR "
        "do not hear; mixed with those they cancel",
        differ,
        left_out,
    ]
    assert notes(replace(spoilt, rows=tuple(rows), align=True))[1].endswith("; compensated")


def test_csv_has_all_digits_and_all_rows(spoilt):
    table = list(csv.DictReader(io.StringIO(to_csv(spoilt))))
    assert len(table) == 2 * COUNT
    assert [float(line["SI-SDR"]) for line in table[:COUNT]] == A.tolist()
    assert table[0]["noise"] == "a, b"
    assert table[COUNT + 3]["PESQ-WB"] == ""
    assert table[COUNT + 3]["problems"] == "PESQ-WB: too short"
    assert list(table[0]) == list(records(spoilt)[0])


def test_facts_do_not_hide_columns(scores):
    named = replace(scores.rows[0], facts={"system": "x", "seconds": "7", "snr_db": "5"})
    (record,) = records(replace(scores, rows=(named,)))
    assert (record["system"], record["seconds"], record["snr_db"]) == ("first_1", 2.0, "5")
    assert (record["index_system"], record["index_seconds"]) == ("x", "7")


def test_json_says_it_all(spoilt):
    told = json.loads(
        json.dumps(to_json(Table(spoilt, "second"), ["snr_db"], "sgmse score"), allow_nan=False)
    )
    assert told["systems"]["first_1"]["SI-SDR"]["mean"] == A.mean()
    assert told["systems"]["second"]["PESQ-WB"]["count"] == COUNT - 2
    assert told["baseline"] == "second"
    assert told["differences"]["first_1"]["PESQ-WB"]["p"] == 1.0
    of_sdr = told["differences"]["first_1"]["SI-SDR"]
    assert of_sdr["p_holm"] == pytest.approx(2 * of_sdr["p"])  # 3 comparisons; LSD's p is smaller
    assert told["by"]["snr_db"]["2.5"]["first_1"]["SI-SDR"]["count"] == COUNT / 2
    assert told["problems"] == problems(spoilt)
    assert told["ranked"] == ["PESQ-WB", "SI-SDR", "L|SD"]
    assert told["ranks"]["second"]["mean"] == 3.5 / 3
    of_sdr = told["outcomes"]["first_1"]["SI-SDR"]
    assert of_sdr["share"] == of_sdr["better"] / of_sdr["count"]
    assert of_sdr["better"] + of_sdr["worse"] <= of_sdr["count"] == COUNT - 2
    assert of_sdr["noise"] == SDR.noise
    lost = told["worst"]["first_1"]["SI-SDR"]
    gains = {f"f{i:02}": A[i] - B[i] for i in np.argsort(A - B) if i != 4}  # f04 has none
    assert list(lost.items()) == list(gains.items())[:10]
    provenance = told["provenance"]
    assert provenance["command"] == "sgmse score"
    assert provenance["hashes"] == {"second": "abc"}
    assert provenance["measures"] == ["PESQ-WB", "SI-SDR", "L|SD"]
    assert {"numpy", "soxr", "python"} <= provenance["versions"].keys()
    assert provenance["bootstrap"]["seed"] == 0
    empty = replace(row("x", 0), values=dict.fromkeys(row("x", 0).values))
    nothing = to_json(Table(replace(spoilt, rows=(empty,))))
    assert nothing["systems"]["x"]["SI-SDR"]["mean"] is None
    assert nothing["baseline"] is None


def test_files(spoilt, tmp_path):
    folder = tmp_path / "a" / "b"
    assert write(Table(spoilt), folder, command="sgmse score x y") == folder
    write(Table(spoilt), folder, command="sgmse score x y")  # in place of the others
    assert sorted(p.name for p in folder.iterdir()) == [
        "comparisons.csv",
        "scores.csv",
        "summary.json",
        "summary.md",
        "summary.tex",
    ]
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert text.startswith(summary(Table(spoilt)))
    assert "Problems:\n\n- second/f03 (PESQ-WB): too short\n" in text
    assert "`sgmse score x y`" in text
    assert (folder / "scores.csv").read_text(encoding="utf-8") == to_csv(spoilt)
    with (folder / "comparisons.csv").open(newline="") as file:
        compared = list(csv.DictReader(file))
    assert [line["measure"] for line in compared] == ["PESQ-WB", "SI-SDR", "L|SD"]
    difference = Table(spoilt).differences["second"]["SI-SDR"]
    assert (compared[1]["system"], compared[1]["baseline"]) == ("second", "first_1")
    assert float(compared[1]["p"]) == difference.p < difference.p_holm
    assert int(compared[1]["worse"]) == Table(spoilt).outcomes["second"]["SI-SDR"].worse
    assert float(compared[1]["p_holm"]) == difference.p_holm
    assert (folder / "summary.tex").read_text(encoding="utf-8") == latex(Table(spoilt))
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["format"] == 1


def test_a_file_that_cannot_be_written_leaves_the_old_one(spoilt, tmp_path, monkeypatch):
    (tmp_path / "scores.csv").write_text("old")

    def full(self, content):
        self.touch()
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="full"):
        write(Table(spoilt), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]
    assert (tmp_path / "scores.csv").read_text() == "old"


@pytest.mark.slow
def test_parquet(spoilt, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write(Table(spoilt), tmp_path, parquet=True)
    table = parquet.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [line["SI-SDR"] for line in table[:COUNT]] == A.tolist()
    assert table[COUNT + 3]["PESQ-WB"] is None
    assert table[0]["seed"] is None


def test_parquet_without_its_package_is_refused_first(spoilt, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        write(Table(spoilt), tmp_path / "new", parquet=True)
    assert not (tmp_path / "new").exists()


def test_nothing_scored_is_no_number(scores):
    empty = [replace(r, values=dict.fromkeys(r.values)) for r in scores.rows[:2]]
    nothing = replace(scores, rows=tuple(empty))
    assert cells(summary(Table(nothing)))[2][1:4] == ["-", "-", "-"]
