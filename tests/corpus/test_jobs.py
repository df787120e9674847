"""The work on many files at a time, and what is said of it."""

import json
import threading
import time
import warnings
from pathlib import Path

import pytest

from sgmse.cli.console import warnings_said
from sgmse.corpus.jobs import Job, Outcome, run_jobs, speed, summary
from sgmse.errors import AudioError, RecordingWarning

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
    ended = run_jobs(JOBS, work, workers=workers, progress=calls.append)
    outcomes = {outcome.job: outcome for outcome in ended}
    assert set(outcomes) == set(JOBS)
    assert [type(outcomes[job].error) for job in JOBS] == [
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
    assert [outcome.job for outcome in ended] == JOBS
    assert set(threads) == {threading.current_thread()}


def test_workers_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)
    ended = run_jobs(JOBS[:3], lambda job, progress: meeting.wait(), workers=3)
    assert all(outcome.error is None for outcome in ended)


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
    assert next(outcomes).job == JOBS[0]
    outcomes.close()
    assert set(started) == set(cleaned) <= set(JOBS[:3])


def test_an_interrupt_passes_through_one_worker():
    def work(job, progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(JOBS, work))


# What is said


@pytest.mark.parametrize("workers", [1, 3])
def test_each_outcome_has_its_own_warnings_and_time(workers, capsys):
    meeting = threading.Barrier(workers, timeout=20)

    def work(job, progress):
        meeting.wait()
        for number in range(int(job.seconds) - 1):
            warnings.warn(f"{job.source}:\n{number}", RecordingWarning, stacklevel=1)
            time.sleep(0.001)

    with warnings_said(quiet=True):
        outcomes = list(run_jobs(JOBS[:3], work, workers=workers))
    assert capsys.readouterr() == ("", "")
    for outcome in outcomes:
        count = int(outcome.job.seconds) - 1
        assert list(outcome.warnings) == [f"{outcome.job.source}: {i}" for i in range(count)]
        assert outcome.elapsed >= 0.001 * count


def test_an_outcome_is_a_line_for_people_and_an_object_for_programs():
    job = Job(Path("a.wav"), Path("b.wav"), 8.0, 48000, 2)
    done = Outcome(job, elapsed=1.25)
    assert done.line() == "a.wav -> b.wav  (8.0 s in 1.2 s, 6.4 times real time)"
    assert Outcome(job, None, ("x",), 4.0).line().endswith(" 2.0 times real time; 1 warning)")
    assert Outcome(job, None, ("x", "y"), 4.0).line().endswith("; 2 warnings)")
    facts = {
        "source": "a.wav",
        "target": "b.wav",
        "picture": None,
        "status": "done",
        "seconds": 8.0,
        "elapsed": 1.25,
        "times_real_time": 6.4,
        "sample_rate": 48000,
        "channels": 2,
        "warnings": [],
        "lost": [],
        "error": None,
    }
    assert json.loads(done.as_json()) == facts
    unknown = dict.fromkeys(("seconds", "elapsed", "times_real_time", "sample_rate", "channels"))
    failed = Outcome(Job(Path("x")), AudioError("x", "is\nempty", "no"))
    assert json.loads(failed.as_json()) == facts | unknown | {
        "source": "x",
        "target": None,
        "picture": None,
        "status": "failed",
        "error": "x: is empty; no",
    }
    assert Outcome(job, skipped=True).status == "skipped"


def test_the_summary_counts_and_times_what_was_done():
    done, skipped = Outcome(Job(Path("a"), seconds=9.0)), Outcome(Job(Path("b")), skipped=True)
    failed = Outcome(Job(Path("c"), seconds=3.0), ValueError())
    assert summary([done, skipped, failed, done], 4.0) == (
        "2 done, 1 skipped, 1 failed; 18.0 s in 4.0 s, 4.5 times real time"
    )
    assert summary([skipped, skipped], 1.0) == "2 skipped"
    assert speed(7200.0, 10.0) == "120.0 min in 10.0 s, 720 times real time"
    assert speed(0.0, 0.0) == "0.0 s in 0.0 s, 0.0 times real time"
