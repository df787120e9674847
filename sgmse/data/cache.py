"""Recordings decoded once into a file that is mapped into memory.

Decoding while training is too slow, and a corpus may exceed the memory; a crop out of a mapped file
costs microseconds, and worker processes share its pages. The name of a cache file holds a digest of
the names, sizes and times of the files that it was made of: a changed folder gives another name, so
that a cache is never stale; the old one of that folder is removed.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sgmse._files import whole, write_whole
from sgmse.data.degradations import Audio
from sgmse.data.mono import read_mono

FORMAT = 1
FULL_SCALE = 32767


class CachedRecordings:
    """The recordings of one folder: mono, at one rate, 16 bits below the peak of each.

    Args:
        index: the .json file that `cached` made; the samples lie beside it as .pcm.

    Attributes:
        names: of the files, relative to the folder, with "/".
        lengths: in samples.
        sample_rate: in Hz.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        about = _read_json(index)
        self.sample_rate: int = about["sample_rate"]
        self.names: list[str] = [name for name, _, _ in about["clips"]]
        self.lengths = np.array([length for _, length, _ in about["clips"]], np.int64)
        self._scales = np.array([scale for _, _, scale in about["clips"]], np.float32)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._samples = np.memmap(index.with_suffix(".pcm"), np.int16, "r")

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


def cached(files: Sequence[Path], folder: Path, cache: Path, sample_rate: int) -> CachedRecordings:
    """Recordings below a folder, in this order, decoded into `cache` unless they are there.

    Each is what `read_mono` gives. Raises `AudioError` for a file that cannot be read.
    """
    names = [file.relative_to(folder).as_posix() for file in files]
    stats = [file.stat() for file in files]
    key = [(name, s.st_size, s.st_mtime_ns) for name, s in zip(names, stats, strict=True)]
    text = json.dumps([FORMAT, sample_rate, key])
    digest = sha256(text.encode()).hexdigest()[:16]
    index = cache / f"{folder.name}-{digest}.json"
    if index.exists() and index.with_suffix(".pcm").exists():
        return CachedRecordings(index)
    cache.mkdir(parents=True, exist_ok=True)
    clips = []
    with whole(index.with_suffix(".pcm")) as part, part.open("wb") as samples:
        bar = tqdm(files, f"reading {folder.name}", unit="file", leave=False)
        for name, file in zip(names, bar, strict=True):
            recording = read_mono(file, sample_rate)
            scale = float(np.abs(recording).max()) / FULL_SCALE
            samples.write(np.rint(recording / (scale or 1)).astype(np.int16).tobytes())
            clips.append((name, len(recording), scale))
    about = {"sample_rate": sample_rate, "folder": str(folder.resolve()), "clips": clips}
    write_whole(index, json.dumps(about).encode())
    _remove_older(cache, about, keep=index)
    return CachedRecordings(index)


def _remove_older(cache: Path, about: dict[str, Any], keep: Path) -> None:
    """Remove what was decoded from the same folder before it changed."""
    for index in cache.glob("*.json"):
        other = _read_json(index)
        same = all(other.get(key) == about[key] for key in ("folder", "sample_rate"))
        if same and index != keep:
            index.with_suffix(".pcm").unlink(missing_ok=True)
            index.unlink(missing_ok=True)


def _read_json(index: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
    return about
