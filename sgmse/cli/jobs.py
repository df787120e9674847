"""Many recordings in one call: which files are meant, where each result goes, and the work on them.

jobs, problems = plan(["recordings/"], "clean/")
for job, error in run_jobs(jobs, lambda job, progress: enhance_file(job.source, job.target)):
    ...
"""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from sgmse.audio import FOREIGN, SUFFIXES, beside, find, info
from sgmse.enhancer import Progress
from sgmse.errors import ArgumentError, AudioError

KNOWN = FOREIGN | SUFFIXES.keys()  # suffixes by which a name is known to be meant for a file


@dataclass(frozen=True)
class Job:
    """A file, where its result goes, and its length in seconds (0 where it cannot be read)."""

    source: Path
    target: Path
    seconds: float = 0.0


class _Stopped(Exception):  # noqa: N818
    """Ends the work on a file that is no longer wanted."""


def plan(
    inputs: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    recursive: bool = False,
) -> tuple[list[Job], list[AudioError]]:
    """What an enhancement of `inputs` will read and write; nothing is touched.

    Of what folders and patterns mean, NAME_enhanced is left out where NAME is an input as well, and
    what lies below the output folder: an earlier call wrote it. A file that is named is an input.

    Args:
        inputs: files, folders and patterns, as `sgmse.audio.find` takes them.
        output: a file for a single input, or a folder, in which results keep their inputs' names
            and their places below a folder that was given; a name without the suffix of a format
            is a folder. Beside each input as NAME_enhanced if absent.
        format: of the results, such as "flac"; that of each input if absent.
        recursive: look into the folders inside folders too.

    Returns:
        The jobs, and an error for each folder or pattern without audio.

    Raises:
        ArgumentError: results that would overwrite each other or an input, several inputs for one
            file, an output file whose suffix contradicts `format`.
    """
    if format is not None and format not in SUFFIXES:
        raise ArgumentError(f"format must be one of {', '.join(SUFFIXES)}, not {format!r}")
    folder = None if output is None or _is_file(output) else Path(output)
    places, problems = _places(inputs, folder, recursive)
    if folder is not None:
        pairs = [
            (source, folder / (place.with_suffix(f".{format}") if format else place))
            for source, place in places.items()
        ]
    elif output is None:
        pairs = [(source, beside(source, format)) for source in places]
    elif len(places) > 1:
        raise ArgumentError(
            f"{len(places)} inputs cannot all be written to {output}; name a folder"
        )
    else:
        suffix = _suffix(output)
        if format and suffix in KNOWN and SUFFIXES.get(suffix) != SUFFIXES[format]:
            raise ArgumentError(f"{output} is no name for {format}; change one of them")
        pairs = [(source, Path(output)) for source in places]
    _refuse_collisions(pairs)
    return [Job(source, target, _seconds(source)) for source, target in pairs], problems


def run_jobs(
    jobs: Iterable[Job],
    work: Callable[[Job, Progress], object],
    *,
    workers: int = 1,
    progress: Progress = lambda seconds: None,
) -> Generator[tuple[Job, Exception | None], None, None]:
    """Do the jobs, and yield each as it ends, with its error if it failed.

    Closing the iterator, which Ctrl-C does too, stops what is under way at its next report.

    Args:
        jobs: what to do.
        work: does a job and reports seconds done to its second argument.
        workers: threads; with one, all happens in the caller's.
        progress: called with seconds done, by one thread at a time; they add up to the length of
            the jobs, whether these fail or not.
    """
    stopping, lock = threading.Event(), threading.Lock()

    def attempt(job: Job) -> Exception | None:
        done = 0.0

        def report(seconds: float) -> None:
            nonlocal done
            if stopping.is_set():
                raise _Stopped
            seconds = min(seconds, job.seconds - done)
            done += seconds
            with lock:
                progress(seconds)

        try:
            work(job, report)
            report(job.seconds)
        except Exception as error:
            report(job.seconds)
            return error
        return None

    if workers == 1:
        for job in jobs:
            yield job, attempt(job)
        return
    pool = ThreadPoolExecutor(workers)
    futures = {pool.submit(attempt, job): job for job in jobs}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)


def _suffix(path: str | Path) -> str:
    return Path(path).suffix[1:].lower()


def _is_file(output: str | Path) -> bool:
    path = Path(output)
    if path.is_dir() or str(output).endswith(("/", "\\")):
        return False
    return path.is_file() or _suffix(path) in KNOWN


def _places(
    inputs: Sequence[str | Path], output: Path | None, recursive: bool
) -> tuple[dict[Path, Path], list[AudioError]]:
    """Each file that is meant, once, with its place in an output folder; and what is none."""
    places: dict[Path, Path] = {}
    problems: list[AudioError] = []
    known: set[Path] = set()
    named: set[Path] = set()  # by themselves, not through a folder or a pattern
    results = None if output is None else output.resolve()
    for name in inputs:
        root = Path(name)
        try:
            files = find([name], recursive)
        except AudioError as error:
            problems.append(error)
            continue
        if files == [root]:
            named.add(root.resolve())
        if results is not None and root.resolve() in results.parents:
            files = [file for file in files if not file.resolve().is_relative_to(results)]
            if not files:
                problems.append(AudioError(root, "holds only earlier results", "name another one"))
        for file in files:
            if file.resolve() not in known:
                known.add(file.resolve())
                places[file] = file.relative_to(root) if root.is_dir() else Path(file.name)
    names = {(file.parent.resolve(), file.stem) for file in places}
    earlier = {
        file
        for file in places
        if file.resolve() not in named
        and file.stem.endswith("_enhanced")
        and (file.parent.resolve(), file.stem.removesuffix("_enhanced")) in names
    }
    return {file: place for file, place in places.items() if file not in earlier}, problems


def _refuse_collisions(pairs: Sequence[tuple[Path, Path]]) -> None:
    sources = {source.resolve(): source for source, _ in pairs}
    owners = dict(sources)
    for source, target in pairs:
        other = owners.setdefault(target.resolve(), source)
        if other != source:
            if target.resolve() in sources:
                why = "is an input; name another folder for the results, or leave that input out"
                hint = " (a pattern in quotes leaves earlier results out)"
            else:
                why = f"is where {other} goes; name another folder, or enhance them in two calls"
                hint = ""
            raise ArgumentError(f"{source} would be written to {target}, which {why}{hint}")


def _seconds(path: Path) -> float:
    """The length of a file, 0 where it cannot be read: that is reported when its turn comes."""
    try:
        return info(path).duration
    except (AudioError, OSError):
        return 0.0
