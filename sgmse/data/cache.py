"""Recordings decoded once into a file that is mapped into memory.

Decoding while training is too slow, and a corpus may exceed the memory; a crop out of a mapped file
costs microseconds, and worker processes share its pages. The name of a cache file holds a digest of
the names, sizes, times and inodes of the files that it was made of: a changed folder gives another
name, so that a cache is never stale. What is in the one of the folder as it was before, file by
file with the same contents, is copied; then that is removed. All cores decode. What is done when it
is interrupted is not done again, and processes that need the same wait for the one that decodes.
"""

import errno
import json
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm import tqdm

from sgmse._files import write_whole
from sgmse.data.degradations import Audio, frame_powers, strong_mean
from sgmse.data.mono import Mono, mono
from sgmse.errors import DataError, RecordingWarning

FORMAT = 2
FULL_SCALE = 32767
SAMPLE = np.dtype(np.int16)
FULL = (errno.ENOSPC, errno.EDQUOT)


class Kept(NamedTuple):
    """What an index says of a recording.

    Args:
        name: relative to the folder, with "/"; the whole path of what lies elsewhere.
        length: in samples.
        scale: of a step of the samples.
        level: mean power of its active frames (`active_power`).
        loudest: mean power of its strongest frame, which that of no part exceeds.
        cancels: whether it is one channel of several that cancel each other.
        digest: of the contents of the file.
    """

    name: str
    length: int
    scale: float
    level: float
    loudest: float
    cancels: bool
    digest: str


class CachedRecordings:
    """The recordings of one folder or list: mono, at one rate, 16 bits below the peak of each.

    Args:
        index: the .json file that `cached` made; the samples lie beside it as .pcm.

    Attributes:
        clips: what is known of each, in order.
        names: of the files, relative to the folder, with "/"; whole paths of what lies elsewhere.
        lengths: in samples.
        levels, loudest: mean powers, of the active frames and of the strongest one.
        sample_rate: in Hz.
    """

    def __init__(self, index: Path) -> None:
        about = _read(index)
        if about is None:
            raise DataError(f"{index} is damaged; remove it, and the recordings are decoded again")
        self.index = index
        self.sample_rate = about.sample_rate
        self.clips = about.clips
        self.names = [clip.name for clip in self.clips]
        self.lengths = np.array([clip.length for clip in self.clips], np.int64)
        self.levels = np.array([clip.level for clip in self.clips])
        self.loudest = np.array([clip.loudest for clip in self.clips])
        self._scales = np.array([clip.scale for clip in self.clips], np.float32)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._samples = np.memmap(_samples_of(index), SAMPLE, "r")

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        # A worker opens the file anew; pickling a map would copy the corpus.
        return CachedRecordings, (self.index,)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def seconds(self) -> float:
        """Length of them all."""
        return float(self.lengths.sum()) / self.sample_rate

    def read(self, number: int, start: int = 0, samples: int | None = None) -> Audio:
        """Float32 (samples,) of a recording from `start`, fewer where it ends before."""
        left = int(self.lengths[number]) - start
        begin = int(self._starts[number]) + start
        count = left if samples is None else min(samples, left)
        part: Audio = self._samples[begin : begin + count].astype(np.float32) * self._scales[number]
        return part

    def steps(self, number: int) -> NDArray[np.int16]:
        """All samples of a recording as they are kept."""
        begin = int(self._starts[number])
        steps: NDArray[np.int16] = self._samples[begin : begin + int(self.lengths[number])]
        return steps


class _About(NamedTuple):
    """What an index holds."""

    folder: str
    sample_rate: int
    clips: list[Kept]


def cached(files: Sequence[Path], folder: Path, cache: Path, sample_rate: int) -> CachedRecordings:
    """Recordings of a folder or list, in this order, decoded into `cache` unless they are there.

    Each is what `sgmse.data.mono` gives. Says of which ones only one channel is used.

    Raises `AudioError` for a file that cannot be read, `DataError` for a disk that is full.
    """
    # What lies elsewhere, as the recordings of a list may, has its whole path as its name.
    names = [
        (file.relative_to(folder) if file.is_relative_to(folder) else file.absolute()).as_posix()
        for file in files
    ]
    index = cache / f"{folder.name}-{_digest(names, files, sample_rate)}.json"
    if _read(index) is None:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(index):
            if _read(index) is None:  # nobody else has made it meanwhile
                if index.exists():
                    warnings.warn(
                        f"{index}: is damaged; {folder} is decoded again",
                        RecordingWarning,
                        stacklevel=2,
                    )
                _make(index, names, folder, sample_rate)
    return CachedRecordings(index)


def _digest(names: Sequence[str], files: Sequence[Path], sample_rate: int) -> str:
    """Another one for other files, contents or rates, as far as the file system tells."""
    stats = [file.stat() for file in files]
    key = [
        (name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
        for name, s in zip(names, stats, strict=True)
    ]
    return sha256(json.dumps([FORMAT, sample_rate, key]).encode()).hexdigest()[:16]


@contextmanager
def _alone(index: Path) -> Iterator[None]:
    """Where no other process makes that index; the system lets go of what one that died held."""
    lock = FileLock(index.with_name(f".{index.stem}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tqdm.write(f"another process decodes into {index.parent}; waiting for it", sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(index: Path, names: Sequence[str], folder: Path, sample_rate: int) -> None:
    """Decode what no earlier cache has, and leave the index when all is there."""
    about = _About(str(folder.resolve()), sample_rate, [])
    older = {
        clip.digest: (recordings, number)
        for recordings in _older(index, about)
        for number, clip in enumerate(recordings.clips)
    }

    def decoded(name: str) -> tuple[Kept, NDArray[np.int16]]:
        with (folder / name).open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        if digest in older:
            recordings, number = older[digest]
            return recordings.clips[number]._replace(name=name), recordings.steps(number)
        return _clip(name, mono(folder / name, sample_rate), sample_rate, digest)

    part, notes = (index.with_name(f".{index.stem}.{kind}") for kind in ("part", "clips"))
    done = _resumed(part, notes)
    with part.open("ab") as samples, notes.open("a", encoding="utf-8") as lines:
        try:
            bar = _Bar(names, len(done), folder.name, sample_rate)
            for clip, steps in bar(_in_order(decoded, names[len(done) :])):
                samples.write(steps.tobytes())
                samples.flush()  # first the samples, then the line that says that they are there
                lines.write(json.dumps(clip) + "\n")
                lines.flush()
                done.append(clip)
        except OSError as error:
            if error.errno in FULL:
                raise DataError(
                    f"the disk of {index.parent} is full after {len(done)} of {len(names)} "
                    f"recordings of {folder}; make room, or set trainer.cache=FOLDER to another "
                    "place; what is decoded is not decoded again"
                ) from error
            raise
    part.replace(_samples_of(index))
    write_whole(index, json.dumps(about._replace(clips=done)._asdict()).encode())
    notes.unlink()
    for other in _older(index, about):
        for path in (other.index, _samples_of(other.index)):
            with suppress(OSError):  # another process may have it open
                path.unlink(missing_ok=True)


def _clip(
    name: str, recording: Mono, sample_rate: int, digest: str
) -> tuple[Kept, NDArray[np.int16]]:
    samples, cancels = recording
    scale = float(np.abs(samples).max()) / FULL_SCALE
    powers = frame_powers(samples, sample_rate)
    level, loudest = strong_mean(powers), float(powers.max())
    clip = Kept(name, len(samples), scale, level, loudest, cancels, digest)
    return clip, np.rint(samples / (scale or 1)).astype(SAMPLE)


def _in_order(
    work: Callable[[str], tuple[Kept, NDArray[np.int16]]], names: Sequence[str]
) -> Iterator[tuple[Kept, NDArray[np.int16]]]:
    """work(name) of each, by as many threads as there are cores: decoders let others work."""
    threads = os.cpu_count() or 1
    waiting = iter(names)
    with ThreadPoolExecutor(threads) as pool:
        # No more at once than can be used soon: they are in memory.
        running: deque[Future[tuple[Kept, NDArray[np.int16]]]] = deque(
            pool.submit(work, name) for name in islice(waiting, 2 * threads)
        )
        try:
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(work, name) for name in islice(waiting, 1))
                yield result
        finally:
            for future in running:
                future.cancel()


def _resumed(part: Path, notes: Path) -> list[Kept]:
    """What an interrupted decoding of the same files has done; the samples are cut to that."""
    clips: list[Kept] = []
    size = part.stat().st_size if part.exists() else 0
    ends = 0
    for line in notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []:
        clip = _parsed(line)
        if clip is None or ends + clip.length * SAMPLE.itemsize > size:
            break
        ends += clip.length * SAMPLE.itemsize
        clips.append(clip)
    if part.exists():
        os.truncate(part, ends)
    notes.write_text("".join(f"{json.dumps(clip)}\n" for clip in clips), encoding="utf-8")
    return clips


def _parsed(line: str) -> Kept | None:
    try:
        return Kept(*json.loads(line))
    except (ValueError, TypeError):
        return None


def _older(index: Path, about: _About) -> list[CachedRecordings]:
    """What was decoded of the same folder before it changed; what is no index is not ours."""
    others = {path: _read(path) for path in index.parent.glob("*.json") if path != index}
    return [
        CachedRecordings(path) for path, other in others.items() if other and other[:2] == about[:2]
    ]


def _read(index: Path) -> _About | None:
    """What an index says; None where there is none, whole and with all of its samples."""
    try:
        values: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        about = _About(values["folder"], values["sample_rate"], [Kept(*c) for c in values["clips"]])
        size = _samples_of(index).stat().st_size
    except (OSError, ValueError, TypeError, KeyError):
        return None
    whole = SAMPLE.itemsize * sum(clip.length for clip in about.clips) == size
    return about if whole and size else None


def _samples_of(index: Path) -> Path:
    return index.with_suffix(".pcm")


class _Bar:
    """Shows how many files are done, and how much faster than they sound."""

    def __init__(self, names: Sequence[str], done: int, what: str, sample_rate: int) -> None:
        self.rate = sample_rate
        self.bar = tqdm(
            total=len(names),
            initial=done,
            desc=f"reading {what}",
            unit="file",
            leave=False,
            mininterval=0.2 if sys.stderr.isatty() else 30,  # a log needs few lines
        )

    def __call__(
        self, clips: Iterator[tuple[Kept, NDArray[np.int16]]]
    ) -> Iterator[tuple[Kept, NDArray[np.int16]]]:
        """The same, as they come."""
        samples, start = 0, monotonic()
        with self.bar:
            for clip, steps in clips:
                yield clip, steps
                samples += clip.length
                speed = samples / self.rate / max(monotonic() - start, 1e-3)
                self.bar.set_postfix_str(f"{speed:.0f} x real time", refresh=False)
                self.bar.update()
