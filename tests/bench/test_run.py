"""A suite, run. In this process: systems of the tests cannot be imported by workers."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from recordings import RATE, noisy_set, save

from sgmse import checkpoints, metrics
from sgmse.audio import read
from sgmse.bench._programs import Command
from sgmse.bench._systems import Folder, Noisy, SignalEnhancer
from sgmse.bench.models import Model
from sgmse.bench.run import run_suite
from sgmse.bench.suite import NoisySet, Suite, load_suite
from sgmse.enhancer import Enhancer
from sgmse.errors import SuiteError, SystemFailedError
from sgmse.metrics.measures import Measure
from sgmse.scoring import scores as scoring
from sgmse.solvers import Exponential

NAMES = ("a/0", "a/1", "b/0")
CALLS: list[tuple[float, int]] = []  # (level, seed) of each recording that is enhanced


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a set of three recordings and what an index says of two."""
    monkeypatch.chdir(tmp_path)
    CALLS.clear()
    noisy_set(*NAMES, suffix=".flac")
    Path("index.csv").write_text("name,snr_db\na/0,5\na/1,10\n")
    return tmp_path


@dataclass(frozen=True)
class Draws(SignalEnhancer):
    """Adds noise of a level, which a seed changes, and fails on the recordings that are given."""

    level: float = 0.01
    fails: tuple[int, ...] = ()
    error: Exception = SystemFailedError("it hurts")  # noqa: RUF009

    @property
    def seeded(self):
        return self.level > 0

    def require(self):
        if self.level < 0:
            raise ValueError("the level is negative")

    def load_signal(self):
        recordings = []

        def enhance(samples, sample_rate, seed):
            if len(samples) != 1600:
                return samples  # to warm up
            recordings.append(seed)
            CALLS.append((self.level, seed))
            if len(recordings) - 1 in self.fails:
                raise self.error
            noise = np.random.default_rng(seed).standard_normal(1600)
            return (0.9 * samples + self.level * noise).astype(np.float32)

        return lambda: enhance


SUITE = Suite(
    {"set": NoisySet(Path("clean"), Path("noisy"))},
    {"noisy": Noisy(), "quiet": Draws(0.01), "plain": Draws(0.0)},
    seeds=(3, 4),
    measures=("si-sdr", "lsd"),
    by=("snr_db",),
)


def table(outcome) -> list[tuple]:
    """What of a table must not depend on how it came about: all but times and memory."""
    return [(row.key, row.values, row.problems, row.fingerprint) for row in outcome.scores.rows]


def test_every_system_every_seed_every_recording():
    outcome = run_suite(SUITE, "out")
    assert [row.key for row in outcome.scores.rows] == [
        *(("set", "noisy", None, name) for name in NAMES),
        *(("set", "quiet", seed, name) for seed in (3, 4) for name in NAMES),
        *(("set", "plain", None, name) for name in NAMES),
    ]
    assert {p.relative_to("out").as_posix() for p in Path("out").rglob("*.wav")} == {
        f"set/{folder}/{name}.wav"
        for folder in ("quiet/3", "quiet/4", "plain/unseeded")
        for name in NAMES
    }
    for row in outcome.scores.rows:
        made = {
            None: Path("noisy") if row.system == "noisy" else Path("out/set/plain/unseeded"),
        }.get(row.seed, Path(f"out/set/quiet/{row.seed}"))
        suffix = "flac" if row.system == "noisy" else "wav"
        clean, enhanced = read(f"clean/{row.name}.wav")[0], read(made / f"{row.name}.{suffix}")[0]
        assert row.values["SI-SDR"] == metrics.si_sdr(clean[0], enhanced[0], RATE)
    first, second = (outcome.scores.rows[i] for i in (3, 6))
    assert first.values != second.values  # by seed
    facts = {row.name: row.facts.get("snr_db") for row in outcome.scores.rows}
    assert facts == {"a/0": "5", "a/1": "10", "b/0": None}


def test_what_it_took():
    outcome = run_suite(SUITE, "out")
    assert [run.system for run in outcome.runs] == 6 * ["quiet"] + 3 * ["plain"]
    for run in outcome.runs:
        assert run.duration == 0.1
        assert 0 < run.seconds < 5
        assert run.evaluations is None
    columns = [set(row.facts) - {"snr_db"} for row in outcome.scores.rows]
    assert columns == 3 * [set()] + 9 * [{"real_time_factor"}]
    row, run = outcome.scores.rows[3], outcome.runs[0]
    assert float(row.facts["real_time_factor"]) == pytest.approx(run.seconds / 0.1, rel=1e-3)
    assert outcome.enhanced == 9


def test_what_there_is_to_listen_to():
    outcome = run_suite(
        replace(SUITE, systems={**SUITE.systems, "fails": Draws(0.02, (0,))}), "out"
    )
    assert list(outcome.audio) == [("set", name) for name in NAMES]
    assert outcome.audio["set", "a/0"] == {
        "clean": Path("clean/a/0.wav"),
        "noisy": Path("noisy/a/0.flac"),
        "quiet": Path("out/set/quiet/3/a/0.wav"),
        "plain": Path("out/set/plain/unseeded/a/0.wav"),
        "fails": Path("out/set/fails/4/a/0.wav"),
    }


def test_a_model_of_ours_is_counted_and_hashed():
    checkpoints.save(tiny.checkpoint(), "model")
    systems = {"noisy": Noisy(), "two steps": Model("model", Exponential(eta=1.0), 2)}
    outcome = run_suite(replace(SUITE, systems=systems, seeds=(0,)), "out")
    assert {run.evaluations for run in outcome.runs} == {2}
    assert outcome.scores.rows[3].facts["evaluations"] == "2"
    assert outcome.conditions["two steps"]["weights"] == Model("model").conditions()["weights"]


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("interrupted", [False, True])
def test_other_weights_are_taken(interrupted):
    def progress(stage, done, total):
        if interrupted and done == 1:
            raise Stop

    model = tiny.checkpoint()
    suite = replace(SUITE, systems={"model": Model("model")})
    checkpoints.save(model, "model")
    try:
        run_suite(suite, "out", progress=progress)
    except Stop:
        assert interrupted
    model.model.parts["network"].head.bias.data[1] += 0.1
    checkpoints.save(model, "model")
    outcome = run_suite(replace(suite, systems={"model": Model("model")}), "out")
    assert outcome.enhanced == 3
    noisy, made = read("noisy/b/0.flac")[0], read("out/set/model/unseeded/b/0.wav")[0]
    np.testing.assert_allclose(made, Enhancer.of(model)(noisy, RATE), atol=1e-5)


def test_nothing_is_done_twice(monkeypatch):
    first = run_suite(SUITE, "out")
    before = len(CALLS)
    assert before == 9
    monkeypatch.setattr(scoring, "score_pair", None)  # would raise
    again = run_suite(SUITE, "out")
    assert len(CALLS) == before
    assert (again.enhanced, again.scores.reused) == (0, 12)
    assert table(again) == table(first)
    assert again.runs == first.runs  # times, too


@pytest.mark.parametrize("at", [("enhancing", 1), ("enhancing", 5), ("scoring", 4)])
def test_an_interrupted_run_goes_on_where_it_stopped(at, monkeypatch):
    whole = run_suite(SUITE, "whole")
    CALLS.clear()
    scored = []
    score_pair = scoring.score_pair

    def counted(pair, *arguments, **options):
        scored.append(pair.enhanced)
        return score_pair(pair, *arguments, **options)

    monkeypatch.setattr(scoring, "score_pair", counted)

    def progress(stage, done, total):
        assert total == {"enhancing": 9, "scoring": 12}[stage]
        if (stage, done) == at:
            raise Stop

    with pytest.raises(Stop):
        run_suite(SUITE, "out", progress=progress)
    done = len(CALLS)
    assert done == (at[1] if at[0] == "enhancing" else 9)
    # What a process that is killed leaves behind.
    rest = Path("out/set/quiet/4/b/.0.wav.12345678.part")
    rest.parent.mkdir(parents=True, exist_ok=True)
    if at[0] == "enhancing":
        rest.touch()
    told = []
    outcome = run_suite(SUITE, "out", progress=lambda *about: told.append(about))
    assert told[0] == ("enhancing", done, 9)
    assert len(CALLS) == 9
    assert len(scored) == len(set(scored)) == 12
    assert table(outcome) == table(whole)
    assert not rest.exists()


def test_only_what_changed_is_made_again():
    first = run_suite(SUITE, "out")
    CALLS.clear()
    save("noisy/a/1.flac", read("noisy/b/0.flac")[0] / 2)  # another recording
    save("out/set/quiet/4/b/0.wav", np.zeros(9))  # someone's mistake
    Path("out/set/plain/unseeded/a/0.wav").unlink()
    second = run_suite(SUITE, "out")
    assert sorted(CALLS) == [(0.0, 0), (0.0, 0), (0.01, 3), (0.01, 4), (0.01, 4)]
    same = [a == b for a, b in zip(table(first), table(second), strict=True)]
    assert [name for name, s in zip(4 * NAMES, same, strict=True) if not s] == 4 * ["a/1"]
    CALLS.clear()
    run_suite(replace(SUITE, systems=SUITE.systems | {"quiet": Draws(0.02)}), "out")
    assert sorted(CALLS) == 3 * [(0.02, 3)] + 3 * [(0.02, 4)]


def test_more_systems_sets_and_measures_are_added():
    run_suite(replace(SUITE, systems={"quiet": Draws(0.01)}, seeds=(3,)), "out")
    CALLS.clear()
    more = replace(SUITE, measures=("si-sdr", "lsd", "segsnr"), sets={**SUITE.sets, "half": HALF})
    outcome = run_suite(more, "out")
    assert len(CALLS) == 9 - 3 + 9
    assert len(outcome.scores.rows) == 24
    assert all(len(row.values) == 3 for row in outcome.scores.rows)
    assert {row.set for row in outcome.scores.rows} == {"set", "half"}


HALF = NoisySet(Path("clean"), Path("noisy"))


def test_a_system_that_fails_is_listed_and_tried_again():
    outcome = run_suite(replace(SUITE, systems={"quiet": Draws(0.01, fails=(1,))}), "out")
    row = outcome.scores.rows[1]
    assert row.name == "a/1"
    assert row.values == {"SI-SDR": None, "LSD": None}
    assert row.problems == dict.fromkeys(("SI-SDR", "LSD"), "not enhanced: it hurts")
    assert row.facts == {"snr_db": "10"}
    assert [bool(r.problems) for r in outcome.scores.rows] == [False, True] + 4 * [False]
    CALLS.clear()
    again = run_suite(replace(SUITE, systems={"quiet": Draws(0.01, fails=(1,))}), "out")
    assert CALLS == [(0.01, 3)]
    assert not any(row.problems for row in again.scores.rows)


@pytest.mark.parametrize(
    ("error", "says"),
    [(IndexError("3"), "IndexError: 3"), (OSError(28, "full"), "[Errno 28] full")],
)
def test_an_unexpected_error_is_told_from_others(error, says):
    outcome = run_suite(replace(SUITE, systems={"a": Draws(0.0, (0,), error)}), "out")
    assert outcome.scores.rows[0].problems["LSD"] == f"not enhanced: {says}"


FATAL = """
import os, signal
from dataclasses import dataclass
from sgmse.bench._systems import SignalEnhancer

@dataclass(frozen=True)
class Fatal(SignalEnhancer):
    seeded = False

    def load_signal(self):
        def enhance(samples, sample_rate, seed):
            if len(samples) == 1600 and samples[0] > 0:
                os.kill(os.getpid(), signal.SIGSEGV)
            return samples

        return lambda: enhance
"""


@pytest.mark.slow
def test_a_process_that_dies_of_a_recording_costs_that_recording(monkeypatch, folder):
    (folder / "fatal.py").write_text(FATAL)
    monkeypatch.syspath_prepend(folder)
    system = importlib.import_module("fatal").Fatal()
    outcome = run_suite(replace(SUITE, systems={"fatal": system}), "out", workers=2)
    firsts = [read(Path("noisy") / f"{name}.flac")[0][0, 0] for name in NAMES]
    assert {first > 0 for first in firsts} == {False, True}
    for row, first in zip(outcome.scores.rows, firsts, strict=True):
        problem = {"SI-SDR": "not enhanced: the process died (SIGSEGV)"} if first > 0 else {}
        assert {k: v for k, v in row.problems.items() if k == "SI-SDR"} == problem


def test_what_an_earlier_system_made_is_not_taken_for_that_of_one_that_fails():
    run_suite(replace(SUITE, systems={"a": Draws(0.0)}), "out")
    outcome = run_suite(replace(SUITE, systems={"a": Draws(0.0, fails=(1,))}), "out")
    assert [bool(row.problems) for row in outcome.scores.rows] == [False, True, False]
    assert not Path("out/set/a/unseeded/a/1.wav").exists()


def test_nothing_works():
    outcome = run_suite(replace(SUITE, systems={"a": Draws(0.0, fails=(0, 1, 2))}), "out")
    assert [row.values["LSD"] for row in outcome.scores.rows] == 3 * [None]
    assert outcome.unscored() == ["a has no score"]


def test_finished_files():
    for name in NAMES[:2]:
        save(f"done/set/{name}.wav", read(f"noisy/{name}.flac")[0] / 2)
    systems = {"noisy": Noisy(), "done": Folder(Path("done/{set}"))}
    outcome = run_suite(replace(SUITE, systems=systems), "out")
    rows = outcome.scores.rows
    assert [row.values["SI-SDR"] for row in rows[3:5]] == pytest.approx(
        [row.values["SI-SDR"] for row in rows[:2]], abs=1e-4
    )
    assert rows[5].problems["LSD"] == "the folder lacks this recording"
    assert outcome.runs == ()
    assert not list(Path("out").rglob("*.wav"))


def test_the_noisy_input_of_a_known_set_is_checked():
    for name in NAMES:
        for kind in ("clean", "noisy"):
            suffix = "wav" if kind == "clean" else "flac"
            path = f"vb/{kind}_testset_wav/p232_00{NAMES.index(name)}.wav"
            save(path, read(f"{kind}/{name}.{suffix}")[0])
    suite = replace(SUITE, sets={"vb": NoisySet(root=Path("vb"))}, by=())
    outcome = run_suite(suite, "out")
    mean = np.mean([row.values["SI-SDR"] for row in outcome.scores.rows_of("noisy")])
    assert outcome.checks == (
        "VoiceBank-DEMAND: 3 files, 824 published; the means of a part differ",
        f"VoiceBank-DEMAND: SI-SDR of the noisy input {mean:.3f}, published 8.45 ± 0.1: differs by "
        f"{mean - 8.45:+.3g}",
    )
    without = replace(suite, systems={"plain": Draws(0.0)})
    assert run_suite(without, "out").checks == ()


@dataclass(frozen=True)
class Needy(Draws):
    def require(self):
        raise ImportError("it needs a package: pip install it")


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"systems": {"a": Noisy(), "b": Draws(-1.0)}}, SuiteError, "^systems.b: the level is neg"),
        ({"systems": {"b": Needy()}}, ImportError, "^systems.b: it needs a package: pip install"),
        ({"systems": {"b": Model("absent")}}, SuiteError, "^systems.b: no model 'absent'"),
        (
            {"systems": {"b": Command("no-such-program {input} {output}")}},
            SuiteError,
            "^systems.b: there is no program",
        ),
        (
            {"systems": {"b": Folder(Path("x"))}},
            SuiteError,
            "^systems.b, sets.set: there is no fol",
        ),
        (
            {"sets": {"s": NoisySet(Path("x"), Path("y"))}},
            SuiteError,
            "^sets.s: there is no folder",
        ),
        ({"by": ("speaker",)}, SuiteError, "no set tells 'speaker'"),
    ],
)
def test_all_is_checked_before_any_work(changes, error, says):
    with pytest.raises(error, match=says):
        run_suite(replace(SUITE, **changes), "out")
    assert not Path("out").exists()
    assert CALLS == []


def test_a_missing_package_of_a_measure_is_told_before_any_work():
    needy = Measure("needy", metrics.lsd, extra="mos", packages=("no_such_package",))
    with pytest.raises(ImportError, match="no_such_package"):
        run_suite(replace(SUITE, measures=(needy,)), "out")
    assert not Path("out").exists()


def test_files_are_aligned_and_trimmed_as_the_suite_says():
    noisy = read("noisy/a/0.flac")[0]
    save("late/a/0.wav", np.pad(noisy, ((0, 0), (40, 0))))
    suite = replace(SUITE, systems={"noisy": Noisy(), "late": Folder(Path("late"))}, files=1)
    found = {}
    for align, tolerance in ((False, 0.1), (True, 0.1), (False, 0.001)):
        rows = run_suite(replace(suite, align=align, tolerance=tolerance), "out").scores.rows
        found[align, tolerance] = [row.values["SI-SDR"] for row in rows]
    assert found[True, 0.1][1] == pytest.approx(found[True, 0.1][0], abs=0.01)
    assert found[False, 0.1][1] < -10
    assert found[False, 0.001][1] is None


# With processes

TEXT = """
sets: {set: {clean: clean, noisy: noisy}}
systems:
  copy: {class: Command, line: "COMMAND tool.py {input} {output} {seed}"}
  noisy: {class: Noisy}
seeds: [0, 1]
measures: [si-sdr, lsd]
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_any_number_of_workers():
    Path("tool.py").write_text(
        "import shutil, sys, time; time.sleep(0.5); shutil.copy(*sys.argv[1:3]);"
        "open('log', 'a').write(sys.argv[3])"
    )
    Path("suite.yaml").write_text(TEXT.replace("COMMAND", sys.executable))
    command = [sys.executable, "-m", "sgmse", "bench", "suite.yaml", "-q", "-o", "out", "-j", "2"]
    process = subprocess.Popen(command, start_new_session=True)
    runs = Path("out/runs.jsonl")
    until = time.monotonic() + 60
    while not (runs.exists() and len(runs.read_text().splitlines()) >= 2):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(runs.read_text().splitlines())
    assert 2 <= kept < 6
    whole = run_suite(load_suite("suite.yaml"), "whole")
    Path("log").unlink()
    subprocess.run(command, check=True)
    assert len(Path("log").read_text()) == 6 - kept
    again = run_suite(load_suite("suite.yaml"), "out")
    assert (again.enhanced, again.scores.reused) == (0, 9)
    assert table(again) == table(whole)
    assert len(Path("out/scores.jsonl").read_text().splitlines()) == 9
    assert json.loads(Path("out/summary.json").read_text())["workers"] == 2
