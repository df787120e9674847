"""What is meant by names on the command line, and the work on many files at a time."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, write
from sgmse.cli.jobs import Job, plan, run_jobs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a.wav, b.flac, in/c.wav, in/deep/c.wav, in/deep/d.ogg and texts."""
    monkeypatch.chdir(tmp_path)
    Path("in/deep").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "in/c.wav", "in/deep/c.wav", "in/deep/d.ogg"):
        make(name)
    for name in ("in/notes.txt", "notes.txt"):
        Path(name).write_text("no audio")
    return tmp_path


def make(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write(name, np.full((1, 800), 0.1, np.float32), Info(16000))


def planned(*inputs: str, **options) -> dict[str, str]:
    jobs, problems = plan(inputs, **options)
    assert problems == []
    assert all(job.seconds == 0.05 for job in jobs)
    return {job.source.as_posix(): job.target.as_posix() for job in jobs}


def test_results_go_beside_their_inputs():
    assert planned("a.wav", "in/c.wav") == {
        "a.wav": "a_enhanced.wav",
        "in/c.wav": "in/c_enhanced.wav",
    }
    assert planned("in") == {"in/c.wav": "in/c_enhanced.wav"}
    assert planned("b.flac", format="mp3") == {"b.flac": "b_enhanced.mp3"}


def test_a_folder_keeps_names_and_places():
    assert planned("a.wav", "in", output="out", recursive=True) == {
        "a.wav": "out/a.wav",
        "in/c.wav": "out/c.wav",
        "in/deep/c.wav": "out/deep/c.wav",
        "in/deep/d.ogg": "out/deep/d.ogg",
    }
    assert planned("in", output="out", format="flac") == {"in/c.wav": "out/c.flac"}
    assert planned("in/deep/d.ogg", output=Path("out")) == {"in/deep/d.ogg": "out/d.ogg"}


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ("out", "out/a.wav"),
        ("out/", "out/a.wav"),
        ("out.wav/", "out.wav/a.wav"),
        ("out.v2", "out.v2/a.wav"),
        ("in", "in/a.wav"),
        (".", "a.wav"),
        ("out.wav", "out.wav"),
        ("out.FLAC", "out.FLAC"),
        ("new/out.mp3", "new/out.mp3"),
        ("out.m4a", "out.m4a"),  # refused when it is written: a folder is not what was meant
        ("notes.txt", "notes.txt"),  # there already, as a file
        ("b.flac", "b.flac"),
    ],
)
def test_file_or_folder(output, target):
    assert planned("a.wav", output=output) == {"a.wav": target}


def test_a_folder_named_like_a_file_is_a_folder():
    Path("set.wav").mkdir()
    assert planned("a.wav", output="set.wav") == {"a.wav": "set.wav/a.wav"}


@pytest.mark.parametrize("pattern", ["*.wav", "*", "[ab].*", "**/*.wav"])
def test_patterns(pattern):
    jobs = planned(pattern, output="out") if pattern != "**/*.wav" else planned(pattern)
    assert "a.wav" in jobs
    assert ("b.flac" in jobs) == (pattern in ("*", "[ab].*"))
    assert not any(name.endswith(".txt") for name in jobs)


def test_earlier_results_are_no_inputs():
    for name in ("a_enhanced.wav", "in/c_enhanced.flac", "other_enhanced.wav", "_enhanced.wav"):
        make(name)
    # other_enhanced.wav has no original here: someone's own name
    own = {
        "other_enhanced.wav": "other_enhanced_enhanced.wav",
        "_enhanced.wav": "_enhanced_enhanced.wav",
    }
    everything = {"a.wav": "a_enhanced.wav", "b.flac": "b_enhanced.flac"} | own
    assert planned(".") == planned("*.*") == everything
    assert planned("in") == {"in/c.wav": "in/c_enhanced.wav"}
    assert planned("in", output="out") == {"in/c.wav": "out/c.wav"}
    assert planned("a_enhanced.wav") == {"a_enhanced.wav": "a_enhanced_enhanced.wav"}


def test_a_file_that_is_named_is_an_input_whatever_its_name():
    make("a_enhanced.wav")
    both = {"a.wav": "out/a.wav", "a_enhanced.wav": "out/a_enhanced.wav"}
    assert planned("a.wav", "a_enhanced.wav", output="out") == both
    assert planned("a_enhanced.wav", "a*.wav", output="out") == both
    assert planned("a*.wav", "./a_enhanced.wav", output="out") == both
    assert planned("a*.wav", output="out") == {"a.wav": "out/a.wav"}
    with pytest.raises(
        ValueError, match=r"written to a_enhanced\.wav, which is an input; .* quotes"
    ):
        plan(["a.wav", "a_enhanced.wav"])


def test_the_output_folder_is_no_input():
    make("in/out/c.wav")
    make("in/out/deep/c.wav")
    assert planned("in", output="in/out", recursive=True) == {
        "in/c.wav": "in/out/c.wav",
        "in/deep/c.wav": "in/out/deep/c.wav",
        "in/deep/d.ogg": "in/out/deep/d.ogg",
    }
    # around the input, or the input itself, it excludes nothing
    assert planned("in", output=".") == {"in/c.wav": "c.wav"}
    assert planned("in", output="in") == {"in/c.wav": "in/c.wav"}
    make("only/out/x.wav")
    jobs, problems = plan(["only"], "only/out", recursive=True)
    assert jobs == []
    assert [str(p) for p in problems] == ["only: holds only earlier results; name another one"]


def test_a_file_named_twice_is_done_once():
    Path("link.wav").symlink_to("a.wav")
    names = ["a.wav", "./a.wav", "in/../a.wav", str(Path("a.wav").absolute()), "*.wav", "link.wav"]
    assert planned(*names) == {"a.wav": "a_enhanced.wav"}


def test_what_is_not_there_stops_no_other():
    jobs, problems = plan(["absent.wav", "*.aiff", "a.wav", "notes.txt"])
    assert [(j.source.name, j.seconds) for j in jobs] == [
        ("absent.wav", 0),
        ("a.wav", 0.05),
        ("notes.txt", 0),
    ]
    assert [str(p) for p in problems] == [
        "*.aiff: no audio files there; check the folder and the suffix"
    ]


@pytest.mark.parametrize(
    ("inputs", "options", "says"),
    [
        (["a.wav", "b.flac"], {"output": "x.wav"}, r"2 inputs cannot all be written to x\.wav"),
        (["in/c.wav", "in/deep/c.wav"], {"output": "out"}, "out/c.wav, which is where in/c.wav go"),
        (["a.wav", "b.flac"], {"output": "in", "format": "c"}, "format must be one of wav"),
        (["a.wav"], {"output": "x.wav", "format": "flac"}, r"x\.wav is no name for flac"),
        (["a.wav"], {"output": "x.m4a", "format": "flac"}, r"x\.m4a is no name for flac"),
        (["a.wav", "in/a.wav"], {"output": "in"}, r"written to in/a\.wav, which is an input"),
    ],
)
def test_contradictions_are_refused_before_any_work(inputs, options, says):
    make("in/a.wav")
    with pytest.raises(ValueError, match=says):
        plan(inputs, **options)


def test_twins_by_format_are_refused():
    make("b.wav")
    with pytest.raises(ValueError, match=r"b_enhanced\.wav, which is where b"):
        plan(["b.wav", "b.flac"], format="wav")
    assert len(planned("b.wav", "b.flac")) == 2
    assert planned("a.wav", output="x.oga", format="ogg") == {"a.wav": "x.oga"}


# Running

JOBS = [Job(Path(f"{i}.wav"), Path(f"{i}.out"), seconds=i) for i in range(1, 6)]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_and_errors_are_handed_back(workers):
    def work(job, progress):
        progress(job.seconds / 2)
        if job.seconds == 2:
            raise ValueError("two")
        if job.seconds == 3:
            raise AssertionError  # whatever it is, the others go on
        progress(job.seconds)  # more than there is

    calls = []
    outcomes = dict(run_jobs(JOBS, work, workers=workers, progress=calls.append))
    assert set(outcomes) == set(JOBS)
    assert [type(outcomes[job]) for job in JOBS] == [
        type(None),
        ValueError,
        AssertionError,
        type(None),
        type(None),
    ]
    assert sum(calls) == pytest.approx(15)
    assert min(calls) >= 0


def test_one_worker_stays_in_this_thread_and_in_order():
    threads = []
    ended = run_jobs(JOBS, lambda job, progress: threads.append(threading.current_thread()))
    assert [job for job, _ in ended] == JOBS
    assert set(threads) == {threading.current_thread()}


def test_workers_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)
    assert all(e is None for _, e in run_jobs(JOBS[:3], lambda j, p: meeting.wait(), workers=3))


def test_closing_stops_what_runs_and_drops_what_waits():
    started, cleaned = [], []

    def work(job, progress):
        started.append(job)
        try:
            while job is not JOBS[0]:
                progress(0)
                time.sleep(0.001)
        finally:
            cleaned.append(job)

    outcomes = run_jobs(JOBS, work, workers=2)
    assert next(outcomes) == (JOBS[0], None)
    outcomes.close()
    assert set(started) == set(cleaned) <= set(JOBS[:3])


def test_an_interrupt_passes_through_one_worker():
    def work(job, progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(JOBS, work))
