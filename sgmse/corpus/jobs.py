"""The work on many recordings in one call, and what became of each.

for outcome in run_jobs(jobs, lambda job, progress: enhance_file(job.source, job.target)):
    ...
"""

import json
import re
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from sgmse.audio import Source
from sgmse.corpus.remarks import gathered
from sgmse.enhancer import Progress
from sgmse.errors import told

STANDARD = Path("-")  # stdin as an input, stdout as a result


@dataclass(frozen=True)
class Job:
    """A file and where its result goes; seconds, Hz and channels of the file, 0 if unknown.

    `opened` is what is read where the source is no file but stdin; `picture` is where both are
    drawn, if they are.
    """

    source: Path
    target: Path | None = None
    seconds: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    opened: BinaryIO | None = None
    picture: Path | None = None

    @property
    def sound(self) -> Source:
        """The recording itself: what is open, else the file."""
        return self.source if self.opened is None else self.opened

    @property
    def place(self) -> Source | None:
        """Where the result goes: the target, or stdout."""
        return sys.stdout.buffer if self.target == STANDARD else self.target


@dataclass(frozen=True)
class Lost:
    """A recording within a file that is not in its result, and why."""

    source: Path
    error: Exception


@dataclass(frozen=True)
class Made:
    """What was made of a file that holds many recordings: seconds of them, and which are lost."""

    seconds: float = 0.0
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Args:
        job: what was to be done.
        error: why it was not.
        warnings: what there is to know of the result, a line each.
        elapsed: seconds that it took.
        skipped: whether nothing was done, since the result is there already.
        lost: of a file that holds many recordings, those that are not in the result.
    """

    job: Job
    error: Exception | None = None
    warnings: Sequence[str] = ()
    elapsed: float = 0.0
    skipped: bool = False
    lost: Sequence[Lost] = ()

    @classmethod
    def of(
        cls,
        job: Job,
        error: Exception | None,
        warnings: Sequence[str],
        elapsed: float,
        made: object = None,
    ) -> "Outcome":
        """Of a job, with what its work gave: `Made` of a file that holds many recordings."""
        if not isinstance(made, Made):
            return cls(job, error, warnings, elapsed)
        job = replace(job, seconds=made.seconds)
        return cls(job, error, warnings, elapsed, lost=made.lost)

    @property
    def status(self) -> str:
        """Of "done", "skipped" and "failed"."""
        return "failed" if self.error is not None else "skipped" if self.skipped else "done"

    def line(self) -> str:
        """For people: what was written, of how much, how fast, and how much was warned of."""
        facts = [speed(self.job.seconds, self.elapsed)]
        if count := len(self.lost):
            facts.append(f"{count} recording{'s' * (count > 1)} lost")
        if count := len(self.warnings):
            facts.append(f"{count} warning{'s' * (count > 1)}")
        made = str(self.job.target) + (f", {self.job.picture}" if self.job.picture else "")
        line = f"{self.job.source} -> {made}  ({'; '.join(facts)})"
        return re.sub(r"[\0-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], line)

    def as_json(self) -> str:
        """For programs: an object in a line; what is not known is null."""
        job, elapsed = self.job, self.elapsed
        timed = job.seconds and elapsed and self.error is None
        facts = {
            "source": str(job.source),
            "target": None if job.target is None else str(job.target),
            "picture": None if job.picture is None else str(job.picture),
            "status": self.status,
            "seconds": round(job.seconds, 6) or None,
            "elapsed": round(elapsed, 6) or None,
            "times_real_time": round(job.seconds / elapsed, 3) if timed else None,
            "sample_rate": job.sample_rate or None,
            "channels": job.channels or None,
            "warnings": list(self.warnings),
            "lost": [str(lost.source) for lost in self.lost],
            "error": None if self.error is None else " ".join(told(self.error).split()),
        }
        return json.dumps(facts)

    def failures(self) -> list[str]:
        """A line, as `as_json`, for the file if it failed, else for each recording that is lost."""
        if self.error is not None:
            return [self.as_json() + "\n"]
        lost = [Outcome(replace(self.job, source=one.source), one.error) for one in self.lost]
        return [replace(one, job=replace(one.job, seconds=0.0)).as_json() + "\n" for one in lost]


def summary(outcomes: Sequence[Outcome], elapsed: float) -> str:
    """How many files were done, skipped and failed, and how fast those that were done."""
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in ("done", "skipped", "failed")
    }
    seconds = sum(outcome.job.seconds for outcome in outcomes if outcome.status == "done")
    numbers = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    if lost := sum(len(outcome.lost) for outcome in outcomes):
        numbers += f", {lost} recording{'s' * (lost > 1)} lost"
    return f"{numbers}; {speed(seconds, elapsed)}" if counts["done"] else numbers


def speed(seconds: float, elapsed: float) -> str:
    """Seconds of audio, and the time that they took."""
    times = seconds / max(elapsed, 1e-6)
    digits = 1 if times < 100 else 0
    return f"{_duration(seconds)} in {_duration(elapsed)}, {times:.{digits}f} times real time"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.1f} min"


class _Stopped(Exception):  # noqa: N818
    """Ends the work on a file that is no longer wanted."""


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[[Job, Progress], object],
    *,
    workers: int = 1,
    progress: Progress = lambda seconds: None,
) -> Generator[Outcome, None, None]:
    """Do the jobs, and yield what became of each as it ends.

    Closing the iterator, which Ctrl-C does too, stops what is under way at its next report.

    Args:
        jobs: what to do.
        work: does a job and reports seconds done to its second argument; `Made` if that is not
            all to be said.
        workers: threads; with one, all happens in the caller's.
        progress: called with seconds done, by one thread at a time; they add up to the length of
            the jobs, whether these fail or not.
    """
    stopping, lock = threading.Event(), threading.Lock()

    def attempt(job: Job) -> Outcome:
        done = 0.0
        start = perf_counter()

        def report(seconds: float) -> None:
            nonlocal done
            if stopping.is_set():
                raise _Stopped
            seconds = min(seconds, job.seconds - done)
            done += seconds
            with lock:
                progress(seconds)

        failure: Exception | None = None
        made: object = None
        with gathered() as warnings:
            try:
                made = work(job, report)
            except _Stopped:
                raise
            except Exception as error:
                failure = error
        elapsed = perf_counter() - start
        report(job.seconds)
        return Outcome.of(job, failure, tuple(warnings), elapsed, made)

    if workers == 1:
        for job in jobs:
            yield attempt(job)
        return
    pool = ThreadPoolExecutor(workers)
    futures = [pool.submit(attempt, job) for job in jobs]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)
