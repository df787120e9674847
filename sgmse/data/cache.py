"""Audio folders decoded once into a file that is mapped into memory.

Decoding while training is too slow, and a corpus may exceed the memory; a crop out of a mapped file
costs microseconds, and worker processes share its pages. The name of a cache file holds a digest of
the names, sizes and times of the files that it was made of: a changed folder gives another name, so
that a cache is never stale; the old one of that folder is removed.
"""

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sgmse import audio
from sgmse._files import whole, write_whole

FORMAT = 1
FULL_SCALE = 32767


class Clips:
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
        about = json.loads(index.read_text(encoding="utf-8"))
        self.sample_rate: int = about["sample_rate"]
        self.names: list[str] = [name for name, _, _ in about["clips"]]
        self.lengths = np.array([length for _, length, _ in about["clips"]], np.int64)
        self._scales = np.array([scale for _, _, scale in about["clips"]], np.float32)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._samples = np.memmap(index.with_suffix(".pcm"), np.int16, "r")

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        # A worker opens the file anew; pickling a map would copy the corpus.
        return Clips, (self.index,)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def seconds(self) -> float:
        """Length of them all."""
        return float(self.lengths.sum()) / self.sample_rate

    def read(self, clip: int, start: int = 0, samples: int | None = None) -> NDArray[np.float32]:
        """Float32 (samples,) from `start`, fewer where the clip ends before."""
        left = int(self.lengths[clip]) - start
        begin = int(self._starts[clip]) + start
        count = left if samples is None else min(samples, left)
        return self._samples[begin : begin + count].astype(np.float32) * self._scales[clip]


def cached(
    folder: Path,
    cache: Path,
    sample_rate: int,
    *,
    progress: Callable[[Iterable[Path], str], Iterable[Path]] | None = None,
) -> Clips:
    """The recordings in a folder and its subfolders, decoded into `cache` unless they are there.

    Each is what `read_mono` gives.

    Raises `AudioError` for a folder without audio and a file that cannot be read.
    """
    files = audio.find([folder], recursive=True)
    stats = [(file.relative_to(folder).as_posix(), file.stat()) for file in files]
    key = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    text = json.dumps([FORMAT, sample_rate, key])
    digest = sha256(text.encode()).hexdigest()[:16]
    index = cache / f"{folder.name}-{digest}.json"
    if index.exists() and index.with_suffix(".pcm").exists():
        return Clips(index)
    place = str(folder.resolve())
    cache.mkdir(parents=True, exist_ok=True)
    clips = []
    with whole(index.with_suffix(".pcm")) as part, part.open("wb") as samples:
        for file in (progress or _bar)(files, f"reading {folder.name}"):
            clip = read_mono(file, sample_rate)
            scale = float(np.abs(clip).max()) / FULL_SCALE
            samples.write(np.rint(clip / (scale or 1)).astype(np.int16).tobytes())
            clips.append((file.relative_to(folder).as_posix(), len(clip), scale))
    about = {"sample_rate": sample_rate, "folder": place, "clips": clips}
    write_whole(index, json.dumps(about).encode())
    _forget(cache, place, sample_rate, keep=index)
    return Clips(index)


def read_mono(file: Path, sample_rate: int) -> NDArray[np.float32]:
    """The mean of the channels at a rate, float32 (samples,). Raises `AudioError`."""
    samples, about = audio.read(file)
    mono = samples.mean(axis=0)
    if about.sample_rate == sample_rate:
        return mono
    return audio.resample(torch.from_numpy(mono), about.sample_rate, sample_rate).numpy()


def _bar(files: Iterable[Path], label: str) -> Iterable[Path]:
    return tqdm(files, desc=label, unit="file", leave=False)


def _forget(cache: Path, place: str, sample_rate: int, keep: Path) -> None:
    """Remove what was decoded from the same folder before it changed."""
    for index in cache.glob("*.json"):
        about: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        same = about.get("folder") == place and about.get("sample_rate") == sample_rate
        if same and index != keep:
            index.with_suffix(".pcm").unlink(missing_ok=True)
            index.unlink(missing_ok=True)
