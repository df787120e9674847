"""The command `sgmse enhance`: what it writes, prints and returns."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from argparse import Namespace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
import torch
from tiny import RATE, enhancer

import sgmse
from sgmse._device import Precision
from sgmse.audio import Info, _media, info, read, write
from sgmse.checkpoints import QualityName
from sgmse.cli.enhance import PRECISIONS, QUALITIES, SOLVERS, _shared
from sgmse.cli.main import main
from sgmse.enhancer import Enhancer
from sgmse.enhancer._segments import Segments
from sgmse.errors import RecordingWarning
from sgmse.solvers import NAMED, Exponential, Multistep, PredictorCorrector

TINY = enhancer()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def run(model, call):
    """Runs `sgmse enhance` with the tiny model: (exit code, lines of stdout, lines of stderr)."""

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        code, out, err = call("enhance", "--model", str(model), *arguments)
        return code, [untimed(line) for line in out.splitlines()], [*map(untimed, err)]

    return run


def untimed(line: str) -> str:
    """Without the time that it took, which has a form and no value."""
    timed = r"[0-9.]+ s in [0-9.]+ s, [0-9.]+ times real time"
    return re.sub(timed, "TIME", line).removesuffix("  (TIME)")


def make(name: str, channels: int = 1, samples: int = 1000, rate: int = RATE) -> np.ndarray:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    z = np.random.default_rng(samples).standard_normal((channels, samples))
    # quiet: what the random network adds must not be clipped
    write(name, 0.03 * z.clip(-3, 3), Info(rate, channels))
    return read(name)[0]


def names(folder: str = ".") -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


# Enhance


def test_the_first_command(run):
    audio = make("noisy.wav", channels=2)
    assert run("noisy.wav") == (0, ["noisy.wav -> noisy_enhanced.wav"], [])
    assert names() == ["noisy.wav", "noisy_enhanced.wav"]
    out, about = read("noisy_enhanced.wav")
    assert about == info("noisy.wav")
    np.testing.assert_allclose(out, TINY(audio, RATE).clip(-1, 1), atol=2**-15)


def test_a_tree_into_another(run):
    for name in ("in/a.wav", "in/deep/a.flac", "b.ogg"):
        make(name, samples=4800, rate=48000)
    code, out, err = run("in", "b.ogg", "-o", "out", "--recursive")
    assert (code, err) == (0, ["sgmse: 3 done; TIME"])
    assert out == [
        "in/a.wav -> out/a.wav",
        "in/deep/a.flac -> out/deep/a.flac",
        "b.ogg -> out/b.ogg",
    ]
    assert names("out") == ["a.wav", "b.ogg", "deep/a.flac"]
    for source, target in (line.split(" -> ") for line in out):
        assert info(source) == info(target)


def test_folders_that_are_not_looked_into_are_said(run):
    for name in ("in/a.wav", "in/b/b.wav", "in/.c/c.wav", "in/out/d.wav", "deep/e/f.wav"):
        make(name)
    Path("in/notes").mkdir()
    code, out, err = run("in", "-o", "in/out")
    assert (code, out) == (0, ["in/a.wav -> in/out/a.wav"])
    assert err == ["sgmse: in: what is in its folders is left out (in/b); --recursive takes it"]
    code, _, err = run("deep", "-o", "out")
    assert (code, len(err)) == (1, 1)
    assert run("in", "-o", "out", "--recursive")[2] == ["sgmse: 4 done; TIME"]


def test_another_format(run):
    make("a.wav")
    assert run("a.wav", "--format", ".FLAC")[0] == 0
    assert run("a.wav", "-o", "b.ogg")[0] == 0
    assert info("a_enhanced.flac").format == "FLAC"
    assert info("b.ogg").subtype == "VORBIS"


def test_patterns_that_no_shell_expands(run):
    make("a.wav")
    make("b.wav")
    for _ in range(2):  # the second time the results of the first are there
        code, out, _ = run("*.wav", "--overwrite")
        assert code == 0
        assert len(out) == 2
    assert names() == ["a.wav", "a_enhanced.wav", "b.wav", "b_enhanced.wav"]


def bad_files() -> dict[str, str]:
    """Files that cannot be enhanced, and what is said of each."""
    good = Path("good.wav").read_bytes()
    for name, value in (("nan.wav", np.nan), ("inf.wav", -np.inf)):
        soundfile.write(name, np.full(500, value, np.float32), RATE, "FLOAT")
    Path("zero_bytes.wav").touch()
    soundfile.write("no_samples.wav", np.zeros(0), RATE)
    Path("cut.wav").write_bytes(good[: len(good) // 2])
    Path("cut_header.wav").write_bytes(good[:20])
    Path("text.wav").write_text("This is no recording at all.")
    Path("song.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    make("noisy_flac.flac", samples=50000)
    flac = Path("noisy_flac.flac").read_bytes()
    Path("cut.flac").write_bytes(flac[: len(flac) // 2])
    Path("noisy_flac.flac").unlink()
    said = {
        "nan.wav": "sample 0 (0.000 s), channel 0 is NaN",
        "inf.wav": "sample 0 (0.000 s), channel 0 is infinite",
        "zero_bytes.wav": "is empty (0 bytes)",
        "no_samples.wav": "holds no samples",
        "cut.wav": "is cut off",
        "cut_header.wav": "is damaged or cut off in its header",
        "cut.flac": "is cut off or damaged",
        "text.wav": "is not audio that can be read",
        "song.m4a": "is damaged or cut off (Invalid data",
        "absent.wav": "no such file",
        "empty_folder": "no audio files there",
    }
    Path("empty_folder").mkdir()
    if os.geteuid() != 0:  # who may read everything
        Path("locked.wav").write_bytes(good)
        Path("locked.wav").chmod(0)
        said["locked.wav"] = "cannot be read (Permission denied); check its permissions"
    return said


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_bad_files_get_one_line_each_and_the_others_are_done(run, jobs):
    make("good.wav")
    make("better.wav")
    said = bad_files()
    before = names()
    code, out, err = run("good.wav", *said, "better.wav", "-o", "out", "-j", jobs)
    assert code == 1
    assert sorted(out) == ["better.wav -> out/better.wav", "good.wav -> out/good.wav"]
    assert err.pop() == f"sgmse: 2 done, {len(said)} failed; TIME"
    assert len(err) == len(said)
    for name, problem in said.items():
        assert [line for line in err if line.startswith(f"sgmse: error: {name}: {problem}")], (
            name,
            err,
        )
    assert names() == sorted([*before, "out/better.wav", "out/good.wav"])


def test_a_fault_of_ours_is_called_one_and_the_others_are_done(run, monkeypatch):
    for name in ("a.wav", "b.wav", "c.wav"):
        make(name)
    Path("d.wav").write_text("no audio")
    original = Segments.enhanced

    def broken(self, segment, *arguments, **options):
        broken.calls += 1
        if broken.calls == 2:
            raise IndexError("something\nunforeseen")
        return original(self, segment, *arguments, **options)

    broken.calls = 0
    monkeypatch.setattr(Segments, "enhanced", broken)
    code, out, err = run("a.wav", "b.wav", "c.wav", "d.wav")
    assert code == 70
    assert err[0].startswith("sgmse: error: d.wav: is not audio")
    assert err[1] == "sgmse: error: b.wav: IndexError: something unforeseen"
    assert err[2:] == [
        "sgmse: 2 done, 2 failed; TIME",
        "sgmse: this is a fault of sgmse and not of the recording; please report it with what the "
        "same command says with --debug",
    ]
    assert out == ["a.wav -> a_enhanced.wav", "c.wav -> c_enhanced.wav"]
    assert names() == ["a.wav", "a_enhanced.wav", "b.wav", "c.wav", "c_enhanced.wav", "d.wav"]


def test_debug_shows_where_errors_come_from(run):
    Path("d.wav").write_text("no audio")
    code, _, err = run("d.wav", "--debug")
    assert code == 1
    assert err[0] == "Traceback (most recent call last):"
    assert err[-1].startswith("sgmse: error: d.wav: is not audio")


def test_existing_results_are_kept_without_overwrite(run):
    make("a.wav")
    Path("a_enhanced.wav").write_text("precious")
    code, out, err = run("a.wav")
    assert (code, out) == (1, [])
    assert err == [
        "sgmse: error: a_enhanced.wav: exists already; use --skip-existing or --overwrite, or "
        "choose another name with -o"
    ]
    assert Path("a_enhanced.wav").read_text() == "precious"
    assert run("a.wav", "--overwrite")[0] == 0
    assert info("a_enhanced.wav").frames == 1000


@pytest.mark.parametrize("target", ["a.wav", ".", "link.wav"])
def test_the_input_is_never_overwritten(run, target):
    make("a.wav")
    Path("link.wav").symlink_to("a.wav")
    before = Path("a.wav").read_bytes()
    code, _, err = run("a.wav", "-o", target, "--overwrite")
    assert code == 1
    assert "is the input itself; choose another name" in err[0]
    assert Path("a.wav").read_bytes() == before


def test_collisions_are_refused_before_any_work(run, monkeypatch):
    make("x/a.wav")
    make("y/a.wav")
    monkeypatch.setattr(sgmse, "load", None)
    code, out, err = run("x/a.wav", "y/a.wav", "-o", "out")
    assert (code, out, len(err)) == (1, [], 1)
    assert "out/a.wav, which is where x/a.wav goes" in err[0]
    code, _, err = run("x", "y", "-o", "out.wav")
    assert (code, err) == (
        1,
        ["sgmse: error: 2 inputs cannot all be written to out.wav; name a folder"],
    )
    code, _, err = run("*.mp3")
    assert code == 1
    assert err == ["sgmse: error: *.mp3: no audio files there; check the folder and the suffix"]
    assert names() == ["x/a.wav", "y/a.wav"]


def test_several_jobs_give_the_same_files(run):
    inputs = []
    for i in range(6):
        inputs.append(f"{i}.wav")
        make(inputs[-1], channels=1 + i % 3, samples=700 * (i + 1), rate=[16000, 22050][i % 2])
    options = ("--solver", "sde", "--steps", "2", "--seed", "7")
    assert run(*inputs, "-o", "one", *options)[0] == 0
    code, out, _ = run(*inputs, "-o", "three", "-j", "3", *options)
    assert code == 0
    assert len(out) == 6
    for name in inputs:
        one, three = (read(f"{place}/{name}")[0] for place in ("one", "three"))
        # another number of threads may sum in another order: one step of 16 bit
        np.testing.assert_allclose(one, three, atol=2**-15)


def test_options_reach_the_enhancer(run):
    audio = make("a.wav", channels=2)

    def result(*options: str) -> np.ndarray:
        assert run("a.wav", "--overwrite", *options)[0] == 0
        return read("a_enhanced.wav")[0]

    np.testing.assert_array_equal(result("--dry", "1"), audio)
    half = (audio + TINY(audio, RATE)) / 2
    np.testing.assert_allclose(result("--dry", "0.5"), half.clip(-1, 1), atol=2**-15)
    weak = TINY(audio, RATE, strength=0.5)
    np.testing.assert_allclose(result("--strength", "0.5"), weak.clip(-1, 1), atol=2**-15)
    solvers = {
        "ode": Exponential(start=0.0),
        "ode2": Multistep(start=0.0),
        "sde": Exponential(eta=1.0),
        "sde2": Multistep(eta=1.0),
        "pc": PredictorCorrector(),
    }
    assert dict(NAMED) == solvers
    assert get_args(QualityName) == QUALITIES
    assert get_args(Precision) == PRECISIONS
    assert tuple(NAMED) == SOLVERS  # which the parser knows without torch
    for name, solver in solvers.items():
        steps = max(3, solver.fewest_steps)
        expected = TINY.with_sampler(solver, steps)(audio, RATE, seed=5).clip(-1, 1)
        got = result("--solver", name, "--steps", f"{steps}", "--seed", "5", "--device", "cpu")
        np.testing.assert_allclose(got, expected, atol=2**-14)
    other = result("--solver", "sde", "--steps", "3", "--seed", "6")
    assert (
        np.abs(other - TINY.with_sampler(Exponential(eta=1.0), 3)(audio, RATE, seed=5)).max() > 1e-3
    )


@pytest.mark.parametrize("solver", ["ode", "ode2"])
def test_an_ode_is_deterministic_on_a_bridge(run, solver):
    make("a.wav")
    assert TINY.model.sde.pinned
    for seed in ("1", "2"):
        assert run("a.wav", "-o", f"{seed}.wav", "--solver", solver, "--steps", "3", "--seed", seed)
    np.testing.assert_array_equal(read("1.wav")[0], read("2.wav")[0])


def test_short_files_are_done_side_by_side(monkeypatch):
    """A core each, as they are one piece each; long ones have pieces enough."""
    told = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def at_once(*seconds: float, jobs: int | None = None, threads: int | None = None) -> int:
        options = Namespace(jobs=jobs, threads=threads, verbose=False)
        return _shared(options, enhancer(), [Namespace(seconds=s) for s in seconds])

    assert [at_once(3, 3, 3), at_once(3), at_once(3, 100), at_once(100, 100)] == [2, 1, 1, 1]
    assert [at_once(3, 3, jobs=1), at_once(3, 3, threads=1)] == [1, 1]
    assert at_once(3, 3, 3, threads=8) == 3
    assert told == [1, 2, 2, 2, 2, 1, 2]


def test_a_quality_is_its_sampler(call):
    make("a.wav", samples=2000)
    results = {}
    for name, options in {
        "fast": ("--quality", "fast"),
        "one": ("--steps", "0"),
        "balanced": ("--quality", "balanced"),
        "plain": (),
        "gentle": ("--quality", "gentle"),
        "gentle but strong": ("--quality", "gentle", "--strength", "0.8"),
        "weak": ("--strength", "0.4"),
    }.items():
        assert call("enhance", "a.wav", "-o", f"{name}.wav", *options)[0] == 0
        results[name] = read(f"{name}.wav")[0]
    assert np.array_equal(results["fast"], results["one"])
    assert np.array_equal(results["balanced"], results["plain"])
    assert not np.array_equal(results["fast"], results["plain"])
    assert np.array_equal(results["gentle but strong"], results["plain"])
    assert np.array_equal(results["gentle"], results["weak"])
    assert not np.array_equal(results["gentle"], results["plain"])


def test_a_model_without_qualities_says_so(run):
    make("a.wav")
    code, out, err = run("a.wav", "--quality", "best")
    assert (code, out, len(err)) == (1, [], 1)
    assert "has no quality 'best'; leave it out, or name the model default" in err[0]
    assert not Path("a_enhanced.wav").exists()


def test_shifts_that_bring_nothing_are_said_and_done(run):
    make("a.wav")
    code, _, err = run("a.wav", "--shifts", "9")
    assert code == 0
    assert "--shifts 9 takes 9 times as long as 1; of the default model, 4 bring" in err[0]
    assert not run("a.wav", "--shifts", "4", "--overwrite")[2]


def test_quiet_and_verbose_contradict_each_other(run):
    make("a.wav")
    code, out, err = run("a.wav", "-q", "-v")
    assert (code, out) == (1, [])
    assert err == ["sgmse: error: -q and -v contradict each other; choose one"]


def test_a_solver_that_needs_more_steps_is_refused_before_any_work(run):
    make("a.wav")
    for steps in ([], ["--steps", "9"]):  # the model itself takes one
        code, out, err = run("a.wav", "--solver", "pc", *steps)
        assert (code, out, len(err)) == (1, [], 1)
        assert "PredictorCorrector makes recordings worse in fewer than 10 steps; what" in err[0]
    assert names() == ["a.wav"]
    assert run("a.wav", "--solver", "pc", "--steps", "10")[0] == 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_clipped_samples_are_reported(run, monkeypatch, jobs):
    for name in ("a.wav", "b.wav"):
        make(name)
    write("float.wav", np.full((1, 1000), 0.1, np.float32), Info(RATE, subtype="FLOAT"))
    monkeypatch.setattr(Segments, "enhanced", lambda self, segment, *_: 2 * (1e3 * segment,))
    inputs = ("a.wav", "b.wav", "float.wav")
    code, out, err = run(*inputs, "-o", "out", "-j", jobs)
    assert (code, len(out)) == (0, 3)
    remedy = r"--clip-mode rescale \(clip_mode='rescale'\) scales the result instead"
    assert err.pop() == "sgmse: 3 done; TIME"
    assert [line for line in out if "out/float.wav" in line] == ["float.wav -> out/float.wav"]
    assert "a.wav -> out/a.wav  (TIME; 1 warning)" in out
    for line, name in zip(sorted(err), ("a.wav", "b.wav"), strict=True):
        assert re.fullmatch(
            rf"sgmse: warning: out/{name}: [1-9]\d* samples were clipped; {remedy}", line
        )
    assert run(*inputs, "-o", "out", "-j", jobs, "--overwrite", "--quiet") == (0, [], [])


def test_files_that_are_named_are_never_dropped(run):
    make("a.wav")
    make("a_enhanced.wav")
    before = Path("a_enhanced.wav").read_bytes()
    code, out, err = run("a.wav", "a_enhanced.wav", "--overwrite")
    assert (code, out, len(err)) == (1, [], 1)
    assert "a.wav would be written to a_enhanced.wav, which is an input" in err[0]
    assert Path("a_enhanced.wav").read_bytes() == before
    code, out, _ = run("a.wav", "a_enhanced.wav", "-o", "out")
    assert (code, names("out")) == (0, ["a.wav", "a_enhanced.wav"])


def test_quiet_prints_errors_only(run):
    make("a.wav")
    assert run("a.wav", "-q") == (0, [], [])
    code, out, err = run("a.wav", "--quiet")
    assert (code, out, len(err)) == (1, [], 1)


def test_objects_for_programs(model, call, monkeypatch):
    """Nothing but an object a line on stdout; what people are told stays on stderr."""
    make("a.wav", channels=2, samples=8000)
    make("b.wav")
    make("out/b.wav")
    Path("c.wav").write_text("no audio")

    def warned(self, *arguments, **options):
        warnings.warn("a.wav: loud", RecordingWarning, stacklevel=1)
        return original(self, *arguments, **options)

    original = Enhancer.enhance_file
    monkeypatch.setattr(Enhancer, "enhance_file", warned)
    words = ("--model", str(model), "--json", "-o", "out", "--skip-existing")
    code, out, err = call("enhance", "a.wav", "b.wav", "c.wav", "none*.wav", *words)
    facts = {fact["source"]: fact for fact in map(json.loads, out.splitlines())}
    assert code == 1
    assert {name: fact["status"] for name, fact in facts.items()} == {
        "a.wav": "done",
        "b.wav": "skipped",
        "c.wav": "failed",
        "none*.wav": "failed",
    }
    a = facts["a.wav"]
    assert (a["target"], a["seconds"], a["sample_rate"], a["channels"], a["error"]) == (
        "out/a.wav",
        8000 / RATE,
        RATE,
        2,
        None,
    )
    assert a["times_real_time"] == pytest.approx(a["seconds"] / a["elapsed"], rel=0.01)
    assert a["warnings"] == ["a.wav: loud"]
    assert facts["c.wav"]["error"].startswith("c.wav: is not audio")
    assert "sgmse: warning: a.wav: loud" in err
    assert untimed(err[-1]) == "sgmse: 1 done, 1 skipped, 2 failed; TIME"
    code, quiet, err = call("enhance", "a.wav", *words, "--overwrite", "-q")
    assert (code, quiet, len(err)) == (1, "", 1)  # --skip-existing and --overwrite
    code, quiet, err = call("enhance", "a.wav", *words[:-1], "--overwrite", "-q")
    assert (code, err, json.loads(quiet)["warnings"]) == (0, [], ["a.wav: loud"])


def test_a_call_that_was_interrupted_goes_on(run, monkeypatch):
    for name in ("a.wav", "b.wav", "c.wav"):
        make(name)
    with monkeypatch.context() as patch:
        original = Enhancer.enhance_file

        def interrupted(self, source, *arguments, **options):
            if source.name == "b.wav":
                raise KeyboardInterrupt
            return original(self, source, *arguments, **options)

        patch.setattr(Enhancer, "enhance_file", interrupted)
        assert run(".", "-o", "out")[0] == 130
    monkeypatch.setattr(sgmse, "load", loads := Counted(sgmse.load))
    code, out, err = run(".", "-o", "out", "--skip-existing")
    assert (code, out) == (0, ["b.wav -> out/b.wav", "c.wav -> out/c.wav"])
    assert err == ["sgmse: 2 done, 1 skipped; TIME"]
    make("d.wav")  # and the results of a call without -o are no inputs of the next one
    assert len(run(".")[1]) == 4
    left = "sgmse: .: what is in its folders is left out (out); --recursive takes it"
    assert run(".", "--skip-existing") == (0, [], [left, "sgmse: 4 skipped"])
    for name in ("d.wav", "d_enhanced.wav"):
        Path(name).unlink()
    # nothing is left to do: the model is not even loaded
    assert run(".", "-o", "out", "--skip-existing") == (0, [], ["sgmse: 3 skipped"])
    code, out, err = run(".", "-o", "out")
    assert (code, out, len(err)) == (1, [], 1)
    assert "exist already (3 of 3 results)" in err[0]
    assert loads.count == 2


class Counted:
    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *arguments, **options):
        self.count += 1
        return self.function(*arguments, **options)


def test_verbose_says_what_is_done(run):
    make("a.wav", channels=2)
    make("b.wav")
    make("d.wav")
    make("out/b.wav")
    options = ("-v", "--skip-existing", "--threads", "6", "-j", "3", "--solver", "sde")
    _, out, err = run("a.wav", "b.wav", "d.wav", "-o", "out", *options)
    assert sorted(out) == ["a.wav -> out/a.wav", "d.wav -> out/d.wav"]
    text = "\n".join(err)
    for part in ("sampler Exponential(eta=1.0)", "device cpu, threads 3 for each file", "SlimUNet"):
        assert part in text
    assert torch.get_num_threads() == 3
    assert "sgmse: b.wav: skipped, out/b.wav exists" in err
    assert f"sgmse: a.wav: {RATE} Hz, channels 2, 0.06 s, done in " in text
    assert run("a.wav", "b.wav", "-o", "x", "--threads", "1", "-j", "3")[0] == 0
    assert torch.get_num_threads() == 1


def test_formats_that_need_the_extra_are_counted_where_it_is_missing(run, monkeypatch):
    make("in/a.wav")
    for name in ("in/b.m4a", "in/c.M4A", "in/d.wma", "only/x.m4a"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"whatever")
    monkeypatch.setattr(_media, "is_installed", lambda: False)
    install = "pip install 'sgmse-toolkit[media]'"
    code, out, err = run("in", "-o", "out")
    assert (code, out) == (1, ["in/a.wav -> out/a.wav"])
    assert err == [
        f"sgmse: error: in: 2 files of m4a need the package 'av'; {install}",
        f"sgmse: error: in: a file of wma needs the package 'av'; {install}",
        "sgmse: 1 done, 2 failed; TIME",
    ]
    problem = f"sgmse: error: only: a file of m4a needs the package 'av'; {install}"
    assert run("only", "-o", "out") == (1, [], [problem])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_an_absent_device_is_one_line(run):
    make("a.wav")
    code, out, err = run("a.wav", "--device", "cuda")
    assert (code, out, len(err)) == (1, [], 1)
    assert re.match(r"sgmse: error: device 'cuda' is not available \(.*\); use 'cpu'", err[0])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wav.scp", "is an input or a result"),
        ("./in/a.wav", "is an input or a result"),
        ("out/a.wav", "is an input or a result"),
        ("other.flac", "is the name of a recording"),
        ("in", "is a folder"),
    ],
)
def test_a_list_of_failures_takes_no_place_of_a_recording(name, words, run):
    make("in/a.wav")
    make("other.flac")
    Path("wav.scp").write_text("a in/a.wav\n")
    before = {file: Path(file).read_bytes() for file in names()}
    code, out, (line,) = run("wav.scp", "-o", "out", "--failures", name)
    assert (code, out) == (1, [])
    assert line.startswith(f"sgmse: error: --failures {Path(name)}: {words}; name")
    assert {file: Path(file).read_bytes() for file in names()} == before


def test_a_name_in_no_encoding_stops_no_other(run):
    make("a.wav")
    make("b.wav")
    Path("b.wav").rename(os.fsdecode(b"caf\xe9.wav"))
    code, out, err = run(".")
    assert (code, out) == (1, ["a.wav -> a_enhanced.wav"])
    assert err[0].startswith("sgmse: error: caf\\udce9")
    assert "name in no encoding" in err[0]
    code, _, err = run("a.wav", "-o", os.fsdecode(b"caf\xe8.wav"))
    assert (code, len(err)) == (1, 1)
    assert "is a name in no encoding; choose another" in err[0]


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_bar_reaches_its_end(model, monkeypatch, jobs):
    for i in range(3):
        make(f"{i}.wav", channels=5, samples=40000, rate=48000)
    Path("bad.wav").write_text("no audio")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["enhance", "--model", str(model), ".", "-o", "out", "-j", jobs]) == 1
    text = sys.stderr.getvalue()
    assert re.search(r"enhancing   0% \|.*\| 0 of 2 s, \? left", text)
    assert re.search(r"enhancing 100% \|[█#]+\| 2 of 2 s, 00:00 left", text)
    assert "sgmse: \x1b[31merror:\x1b[0m bad.wav: is not audio" in text


def test_no_bar_where_nothing_can_be_read(model, monkeypatch):
    Path("bad.wav").write_text("no audio")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["enhance", "--model", str(model), "bad.wav"]) == 1
    assert sys.stderr.getvalue().startswith("sgmse: error: bad.wav: is not audio")


# Interruption


def test_an_interrupt_leaves_nothing_partial(run, monkeypatch):
    for name in ("a.wav", "b.wav", "c.wav"):
        make(name)
    original = Segments.enhanced

    def interrupted(self, segment, *arguments, **options):
        if list(Path("out").glob(".b.wav.*.part")):  # b.wav is under way
            raise KeyboardInterrupt
        return original(self, segment, *arguments, **options)

    monkeypatch.setattr(Segments, "enhanced", interrupted)
    code, out, err = run("a.wav", "b.wav", "c.wav", "-o", "out")
    assert (code, out) == (130, ["a.wav -> out/a.wav"])
    assert err == ["sgmse: interrupted; finished files are kept; --skip-existing goes on"]
    assert names("out") == ["a.wav"]


@pytest.mark.slow
def test_an_interrupt_stops_several_jobs(model):
    """A real SIGINT while two files are written."""
    make("in/short.wav", samples=100)
    make("in/x0.wav", samples=RATE)
    minutes = np.tile(read("in/x0.wav")[0], 300)
    for i in range(3):
        write(f"in/x{i}.wav", minutes, Info(RATE))
    command = ["enhance", "in", "-o", "out", "-j", "2", "--model", str(model)]
    child = subprocess.Popen(
        [sys.executable, "-m", "sgmse", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have told their children to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(Path().glob("out/.x*.part")):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == "sgmse: interrupted; finished files are kept; --skip-existing goes on\n"
    assert set(names("out")) <= {"short.wav"}  # it may have been done before
    assert {untimed(line) for line in out.splitlines()} <= {
        f"in/{name} -> out/{name}" for name in names("out")
    }


def test_an_interrupt_before_the_work(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    make("a.wav")
    monkeypatch.setattr(sgmse, "load", interrupt)
    assert run("a.wav") == (
        130,
        [],
        ["sgmse: interrupted; finished files are kept; --skip-existing goes on"],
    )
