"""The command `sgmse score`, as it is called."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, write
from sgmse.cli import reports
from sgmse.metrics import si_sdr
from sgmse.scoring import scores as scoring

RATE = 8000
CLEAN = [0.1 * np.random.default_rng(i).standard_normal(400) for i in range(4)]
NOISE = 0.1 * np.random.default_rng(9).standard_normal(400)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: clean/, noisy/ and good/ with files 0 to 3, and an index."""
    monkeypatch.chdir(tmp_path)
    for name, level in (("clean", 0), ("noisy", 1), ("good", 0.5)):
        for i, clean in enumerate(CLEAN):
            save(f"{name}/{i}.wav", clean + level * NOISE)
    Path("index.csv").write_text("name,snr_db\n0,10\n1,10\n2,0\n3,0\n")
    return tmp_path


@pytest.fixture
def run(monkeypatch, call):
    """Runs `sgmse score`, SI-SDR alone, without worker processes: (exit code, stdout, stderr)."""
    map_unordered = scoring.map_unordered
    monkeypatch.setattr(
        scoring, "map_unordered", lambda f, items, workers, died=None: map_unordered(f, items, 0)
    )

    return partial(call, "score", "--measures", "si-sdr")


def save(name: str, signal: np.ndarray) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    write(name, signal[None].astype(np.float32), Info(RATE, subtype="FLOAT"))


def test_one_folder(run):
    code, out, err = run("clean", "good")
    assert (code, err) == (0, [])
    lines = out.splitlines()
    assert lines[0].split() == [
        "|",
        "system",
        "|",
        "SI-SDR",
        "[dB]",
        "|",
        "files",
        "|",
        "problems",
        "|",
    ]
    mean = np.mean([si_sdr(c, c + 0.5 * NOISE, RATE) for c in CLEAN])
    assert lines[2].startswith(f"| good   | {mean:.2f} ± 0.")
    assert len(lines) == 3


def test_side_by_side_by_facts_and_into_files(run, folder):
    arguments = ["clean", "noisy", "mine=good", "--by", "snr_db", "--baseline", "mine", "-o", "a/b"]
    code, out, err = run(*arguments)
    assert (code, err) == (0, [])
    assert "| snr_db | system | SI-SDR" in out
    assert "| against mine |" in out
    assert out.endswith("\nthe results are in a/b\n")
    assert sorted(p.name for p in Path("a/b").iterdir()) == [
        "comparisons.csv",
        "scores.csv",
        "scores.jsonl",
        "summary.json",
        "summary.md",
        "summary.tex",
    ]
    told = json.loads(Path("a/b/summary.json").read_text())
    assert told["systems"].keys() == {"noisy", "mine"}
    command = (
        "sgmse score --measures si-sdr clean noisy mine=good --by snr_db --baseline mine -o a/b"
    )
    assert told["provenance"]["command"] == command
    again = run(*arguments)
    assert again[1] == out.removesuffix("\n") + "; 8 files were scored earlier\n"


def test_problems_are_told_with_their_reasons(run):
    save("good/1.wav", 0 * CLEAN[1])
    Path("good/2.wav").unlink()
    code, out, err = run("clean", "good")
    assert code == 0
    assert out.splitlines()[2].split()[-4:-1] == ["3", "|", "1"]
    assert err[0].startswith("sgmse: warning: good/1: estimate is silent")
    assert err[1:] == ["sgmse: warning: clean/2.wav has no partner in good"]


def test_many_problems_are_counted(run, monkeypatch):
    monkeypatch.setattr(reports, "SHOWN", 2)
    for i in range(3):
        save(f"good/{i}.wav", 0 * CLEAN[i])
    assert run("clean", "good")[2][2:] == ["sgmse: warning: and 1 more; -o DIR writes them all"]


def test_delays_are_told_unless_quiet(run):
    for i, clean in enumerate(CLEAN):
        save(f"good/{i}.wav", np.pad(clean, (8, 0)))
    code, out, err = run("clean", "good")
    assert [line.split(":")[2].split(",")[0] for line in err] == [
        " 4 of 4 files differ in length",
        " 4 of 4 files are shifted",
    ]
    assert "typically by 1.0 ms (late is positive); not compensated, see --align" in err[1]
    assert run("clean", "good", "-q") == (code, out, [])
    aligned = run("clean", "good", "--align")[2]
    assert aligned[-2].endswith("; compensated")


def test_bars(run):
    assert run("clean", "good", "--fail-under", "si-sdr=5")[0] == 0
    code, out, err = run("clean", "good", "--fail-under", "si-sdr=5", "--fail-under", "si-sdr=50")
    assert code == 1
    assert out  # the table all the same
    assert len(err) == 1
    assert err[0].startswith("sgmse: error: SI-SDR of good is ")
    assert err[0].endswith(", under 50")
    assert run("clean", "noisy", "good", "--fail-under", "si-sdr=5")[0] == 0  # noisy is none of it


def test_nothing_scored_is_an_error(run):
    for i in range(4):
        save(f"good/{i}.wav", 0 * CLEAN[i])
    code, _, err = run("clean", "good", "-q")
    assert code == 1
    assert err[-1] == "sgmse: error: no file could be scored"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["good", "--measures", "x"], "no measure is called 'x'; known are pesq-wb"),
        (["good", "--fail-under", "stoi=1"], "STOI is not scored; add it to --measures"),
        (["good", "--baseline", "x"], "no system is called 'x'; there are good"),
        (["good", "--by", "noise"], "index.csv has no column 'noise'; it has snr_db"),
        (["absent"], "there is no folder absent; check the spelling"),
        (["a=good", "a=noisy"], "two folders are called 'a'; give them different names: NAME=DIR"),
        (["good", "--measures", "si-sir"], "SI-SIR needs the noisy recordings"),
        (["good", "--report", "--report-files", "9,"], "there is no recording '9' to listen to"),
    ],
)
def test_misuse_is_one_line_before_any_work(arguments, says, run, monkeypatch):
    monkeypatch.setattr(scoring, "score_pair", None)
    code, out, err = run("clean", *arguments, "-o", "out")
    assert (code, out, len(err)) == (1, "", 1)
    assert says in err[0]
    assert not Path("out").exists()


def test_a_short_name_of_a_measure_says_which_one_it_is(run):
    code, out, err = run("clean", "good", "--measures", "Pesq,si-sdr")
    assert code == 0
    assert "PESQ-WB" in out.splitlines()[0]
    assert err[0].endswith("Pesq is taken as pesq-wb; others are pesq-nb, pesq-wb-c2, pesq-nb-c2")
    assert "taken" not in "".join(run("clean", "good", "--measures", "pesq,si-sdr", "-q")[2])


def test_the_references_in_the_place_of_results_are_said_to_be(run):
    _, _, err = run("clean", "good", "same=clean")
    assert err[0].endswith("same: clean is the folder of the references itself, which scores best")


def test_options_that_need_another(run):
    words = "sgmse: error: --parquet goes with -o DIR, which says where"
    assert run("clean", "good", "--parquet") == (1, "", [words])
    words = "sgmse: error: --report goes with -o DIR, which says where"
    assert run("clean", "good", "--report") == (1, "", [words])
    words = "sgmse: error: --report-megabytes goes with --report"
    assert run("clean", "good", "-o", "out", "--report-megabytes", "3") == (1, "", [words])
    Path("index.csv").unlink()
    assert (
        "--by snr_db needs an index of the recordings"
        in run("clean", "good", "--by", "snr_db")[2][0]
    )


def test_a_report(run):
    pytest.importorskip("matplotlib")
    Path("index.csv").write_text("name,snr_db,noise\n0,10,a\n1,10,b\n2,0,a\n3,0,b\n")
    arguments = ["clean", "mine=good", "--noisy", "noisy", "-o", "out"]
    code, out, err = run(*arguments, "--by", "snr_db", "--report", "--report-files", "3,1")
    assert (code, err) == (0, [])
    assert out.endswith("\nthe results are in out\nthe report is out/report.html\n")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert re.findall(r"<h3><bdi>(.*?)</bdi>", page) == ["3", "1"]
    assert re.findall(r'<audio [^>]*aria-label="(.*?)"', page) == ["clean", "noisy", "mine"] * 2
    assert "Quality by snr_db" in page
    assert "Quality by noise" not in page
    assert "sgmse score --measures" in page
    assert "report" not in run(*arguments, "--report", "--report-files", "0", "-q")[1]
    assert "<audio" not in Path("out/report.html").read_text(encoding="utf-8")


def test_a_report_needs_its_packages(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run("clean", "good", "-o", "out", "--report")
    assert (code, out) == (1, "")
    assert err == [
        "sgmse: error: a report needs the package 'matplotlib': pip install 'sgmse-toolkit[report]'"
    ]
    assert not Path("out").exists()


def test_an_interrupt_says_what_is_kept(run, monkeypatch):
    score_pair = scoring.score_pair
    calls = []

    def interrupted(*arguments, **options):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return score_pair(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_pair", interrupted)
        code, out, err = run("clean", "good", "-o", "out")
        assert (code, out) == (130, "")
        assert err == ["sgmse: interrupted; what is done is kept in out: call again to go on"]
        calls.clear()
        assert run("clean", "good")[2] == [
            "sgmse: interrupted; nothing was kept, -o DIR would have"
        ]
    assert "; 2 files were scored earlier" in run("clean", "good", "-o", "out")[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_all_processes_at_once_and_the_next_call_goes_on():
    long = np.random.default_rng(0).standard_normal(30 * RATE)
    for i in range(30):
        save(f"clean/{i}.wav", 0.1 * long)
        save(f"good/{i}.wav", 0.1 * long + 0.01 * np.roll(long, i + 1))
    arguments = ["score", "clean", "good", "--measures", "stoi,estoi", "-o", "out", "-j", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sgmse", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background may have told their children to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    journal = Path("out/scores.jsonl")
    while not journal.exists() or journal.read_text().count("\n") < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    start = time.monotonic()
    out, err = process.communicate(timeout=60)  # until no worker is left that holds its pipes
    assert time.monotonic() - start < 20  # machines may be busy
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1].startswith("sgmse: interrupted; what is done is kept in out")
    assert "Traceback" not in err
    kept = journal.read_text().count("\n")
    assert 3 <= kept < 30
    done = subprocess.run(
        [sys.executable, "-m", "sgmse", *arguments], capture_output=True, check=True
    )
    assert f"{kept} files were scored earlier" in done.stdout.decode()
    assert journal.read_text().count("\n") == 30


@pytest.mark.slow
def test_torch_is_waited_for_by_none_who_does_not_need_it():
    """Its import takes longer than to score a few files."""
    code = (
        "import sys\nfrom sgmse.cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    main(['score', 'clean', 'noisy', '--measures', 'si-sdr', '-j', '1', '-q'])\n"
        "    sys.exit('torch' in sys.modules)"
    )
    Path("short.py").write_text(code)
    subprocess.run([sys.executable, "short.py"], check=True, stdout=subprocess.DEVNULL)
