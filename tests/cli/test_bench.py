"""The command `sgmse bench`, as it is called."""

import json
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny

from sgmse.audio import Info, write
from sgmse.bench import run as bench
from sgmse.checkpoints import save

SUITE = """
sets: {mine: {clean: clean, noisy: noisy}}
systems:
  noisy: {class: Noisy}
  model: {class: Model, model: model}
  done: {class: Folder, folder: done}
measures: [si-sdr]
by: [snr_db]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a set of four, a model, finished files that are better, and a suite."""
    monkeypatch.chdir(tmp_path)
    noise = 0.1 * np.random.default_rng(9).standard_normal(1600)
    for i in range(4):
        clean = 0.1 * np.random.default_rng(i).standard_normal(1600)
        for name, level in (("clean", 0), ("noisy", 1), ("done", 0.5)):
            Path(name).mkdir(exist_ok=True)
            samples = (clean + level * noise)[None].astype(np.float32)
            write(f"{name}/{i}.wav", samples, Info(16000, subtype="FLOAT"))
    Path("index.csv").write_text("name,snr_db\n0,10\n1,10\n2,0\n3,0\n")
    Path("suite.yaml").write_text(SUITE)
    save(tiny.checkpoint(), "model")
    return tmp_path


@pytest.fixture
def reporting(monkeypatch, call):
    """Runs `sgmse bench suite.yaml` without worker processes: (exit code, stdout, stderr)."""
    original = bench.run_suite

    def here(suite, output, *, workers, progress):
        assert workers >= 1
        return original(suite, output, workers=0, progress=progress)

    monkeypatch.setattr(bench, "run_suite", here)

    return partial(call, "bench", "suite.yaml")


@pytest.fixture
def run(reporting):
    """The same without a report, which takes longer."""
    return partial(reporting, "--no-report")


def test_all_that_is_wrong_with_a_suite_is_said_a_line_each(run):
    text = "sets: {s: {clean: nowhere, noisy: nowhere}}\n"
    bad = text + "systems: {a/b: {class: Noisy}}\nmeasures: [si-sdt, estoy]\nseeds: [-1]\n"
    Path("suite.yaml").write_text(bad)
    code, _, err = run()
    assert (code, len(err)) == (1, 4)
    assert all(line.startswith("sgmse: error: suite.yaml: ") for line in err)
    systems = "systems: {a: {class: Folder, folder: x}, b: {class: Model, model: noone}}\n"
    Path("suite.yaml").write_text(text + systems + "measures: [si-sdr]\n")
    code, _, err = run()
    assert (code, len(err)) == (1, 2)
    assert err[0].startswith("sgmse: error: sets.s: ")
    assert err[1].startswith("sgmse: error: systems.b: ")


def test_a_suite_becomes_tables(run):
    code, out, err = run("-o", "a/b")
    assert (code, err) == (0, [])
    table, by_snr, against, *_ = out.split("\n\n")
    assert [line.split()[1] for line in table.splitlines()[2:]] == ["noisy", "model", "done"]
    assert len(by_snr.splitlines()) == 2 + 6
    assert against.startswith("| against noisy")
    assert out.endswith("the results are in a/b; 4 files were enhanced and 12 scored now\n")
    assert {path.name for path in Path("a/b").iterdir()} == {
        *("mine", "runs.jsonl", "scores.jsonl"),
        *("scores.csv", "comparisons.csv", "summary.md", "summary.json"),
        *("mine.tex", "figure.svg"),
    }
    assert len(list(Path("a/b/mine/model/unseeded").iterdir())) == 4
    told = json.loads(Path("a/b/summary.json").read_text())
    assert told["sets"]["mine"]["provenance"]["command"].startswith("sgmse ")
    assert told["systems"]["model"]["weights"]


def test_again_does_nothing_twice(run):
    _, first, _ = run()
    _, second, _ = run()
    assert second == first.replace(
        "4 files were enhanced and 12 scored", "0 files were enhanced and 0 scored"
    )
    assert Path("runs/bench/suite/scores.csv").exists()


def test_a_part_of_a_suite(run):
    code, out, _ = run("--files", "2", "--systems", "done,model", "-q")
    assert code == 0
    lines = out.split("\n\n")[0].splitlines()[2:]
    assert [(line.split()[1], line.split()[-4]) for line in lines] == [
        ("model", "2"),
        ("done", "2"),
    ]
    assert "against model" in out
    assert "the results are in" not in out


@pytest.mark.parametrize(
    ("bar", "code", "says"),
    [
        ("done:si-sdr=5", 0, None),
        ("done:si-sdr=7", 1, "SI-SDR of done is 6."),
        ("si-sdr=5", 1, "SI-SDR of model is"),
        ("noisy:si-sdr=-1", 0, None),
    ],
)
def test_bars(run, bar, code, says):
    found, _, err = run("--fail-under", bar)
    assert found == code
    assert says is None or err[-1].startswith(f"sgmse: error: {says}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fail-under", "x:si-sdr=5"], "no system is called 'x'; there are noisy, model, done"),
        (["--fail-under", "lsd=5"], "LSD is not scored"),
        (["--fail-under", "si-sdr"], "is no threshold"),
        (["--systems", "x"], "--systems: no system is called 'x'; there are noisy, model, done"),
        (["--report-files", "2"], "--report-files goes with --report"),
        (["--report", "--report-files", "0,9,"], "there is no recording '9' to listen to"),
    ],
)
def test_refusals_come_before_the_work(run, arguments, says):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert says in err[0]
    assert not Path("runs").exists()


def test_a_suite_that_is_none(run):
    Path("suite.yaml").write_text(SUITE + "seed: 1")
    code, _, err = run()
    assert code == 1
    assert err == [
        "sgmse: error: suite.yaml: Suite does not take 'seed' (did you mean 'seeds'?); it takes "
        "sets, systems, seeds, measures, by, baseline, align, tolerance, files"
    ]


def test_a_system_without_scores_fails(run):
    for path in Path("done").iterdir():
        path.write_bytes(b"")
    code, out, err = run("-q")
    assert code == 1
    assert err[-1] == "sgmse: error: done has no score"
    assert err[0].startswith("sgmse: warning: done/0: ")
    assert "| done" in out


def labels(page: str) -> list[str]:
    """Of the players on a page, in order."""
    return re.findall(r'<audio [^>]*aria-label="([^"]*)"', page)


def headings(page: str) -> list[str]:
    return re.findall(r"<h3><bdi>(.*?)</bdi>", page)


@pytest.mark.slow
def test_a_report_is_made_unasked(reporting):
    pytest.importorskip("matplotlib")
    code, out, err = reporting("-o", "a/b")
    assert (code, err) == (0, [])
    assert out.endswith("scored now\nthe report is a/b/report.html\n")
    page = Path("a/b/report.html").read_text(encoding="utf-8")
    assert labels(page) == ["clean", "noisy", "model", "done"] * 4
    assert "Quality against evaluations" in page
    assert "Quality against real-time factor" in page
    assert "Quality by snr_db" in page
    assert "<small>baseline</small>" in page
    assert str(Path.cwd()) not in page


@pytest.mark.slow
def test_what_is_in_the_report(reporting):
    pytest.importorskip("matplotlib")
    suite = SUITE.replace("sets: {", "sets: {other: {clean: clean, noisy: done}, ")
    Path("suite.yaml").write_text(suite)
    options = ("--systems", "noisy,model", "-q", "-o", "out")
    code, out, err = reporting(*options, "--report-files", "mine/3,0")
    assert (code, err) == (0, [])
    assert "report" not in out
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert headings(page) == ["3", "0", "0"]
    tables = re.findall(r"<caption><bdi>(.*?)</bdi>", page)
    assert tables == ["all sets", "other", "mine"]
    assert {path.name for path in Path("out").glob("*.svg")} == {"other.svg", "mine.svg"}
    assert reporting(*options, "--report-files", "2")[0] == 0
    assert len(headings(Path("out/report.html").read_text(encoding="utf-8"))) == 2
    code, out, err = reporting(*options, "--report-files", "2", "--report-megabytes", "0.001")
    assert code == 1
    assert out  # the tables all the same
    assert "more than 0.001 MB; allow more" in err[-1]


@pytest.mark.slow
def test_without_the_packages_of_reports(reporting, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    remedy = "a report needs the package 'jinja2': pip install 'sgmse-toolkit[report]'"
    for asked in (["--report"], ["--report-files", "1"], ["--report-megabytes", "2"]):
        assert reporting(*asked, "-o", "out") == (1, "", [f"sgmse: error: {remedy}"])
        assert not Path("out").exists()
    code, out, err = reporting("-o", "out")
    assert code == 0
    assert out.endswith("12 scored now\n")
    assert err == [f"sgmse: no report.html: {remedy}"]
    assert not Path("out/report.html").exists()
    assert reporting("-o", "out", "-q")[2] == []
    assert reporting("-o", "out", "--no-report")[2] == []


def test_an_interrupt_says_how_to_go_on(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "map_unordered", interrupted)
    code, out, err = run("-o", "out")
    assert (code, out) == (130, "")
    assert err == ["sgmse: interrupted; what is done is kept in out: call again to go on"]


@pytest.mark.slow
def test_the_tables_of_a_folder_are_made_anew(run, call, folder):
    run("-o", "out", "--no-report", "-q")
    made = Path("out/summary.md").read_text("utf-8")
    for name in ("summary.md", "comparisons.csv", "figure.svg"):
        Path("out", name).unlink()
    for name in ("clean", "noisy", "done"):  # no recording is needed
        Path(name).rename(f"gone-{name}")
    code, out, _ = call("bench", "out", "--fail-under", "done:si-sdr=99")
    assert code == 1
    assert out.startswith("| system")
    assert out.endswith("the results are in out; nothing was scored\n")
    assert Path("out/summary.md").read_text("utf-8") == made
    assert Path("out/comparisons.csv").exists()
    code, _, _ = call("bench", "out", "-o", "other", "-q")
    assert code == 0
    assert Path("other/scores.csv").read_bytes() == Path("out/scores.csv").read_bytes()
    assert Path("other/summary.md").read_text("utf-8") == made
    for options, says in (
        (("out", "--files", "2"), "--files goes with a suite, not with a folder of results"),
        (("model",), "model has no results of a suite, scores.csv and summary.json"),
    ):
        code, _, err = call("bench", *options)
        assert code != 0
        assert says in err[-1]
