"""Training pairs (clean, noisy), each float32 (samples,) at one sample rate.

A pair is a function of the seed and its number alone: number i is the same with any number of
worker processes, and a training that resumes at step n goes on with pair n * batch.

The settings are the section `data` of a recipe: errors of its folders name its keys.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sgmse.data._checked import Checked, Range, Within
from sgmse.data._crops import FAINT, PATIENCE
from sgmse.data.cache import CachedRecordings, cached
from sgmse.data.degradations import (
    Audio,
    Degradation,
    Linear,
    active_power,
    alike,
    decibels,
)
from sgmse.data.mono import warn_of_cancelling
from sgmse.data.pairs import Pair, match_all, recordings_by_name
from sgmse.errors import AudioError, DataError, RecipeError, RecordingWarning


@dataclass(frozen=True)
class TrainingData(Checked, ABC):
    """Where training pairs come from, and what befalls them; subclasses are frozen dataclasses.

    Args:
        samples: length of a pair.
        peak: range in dB, relative to full scale, of the peak of the noisy audio.
        kept: what happens to noisy and clean audio alike, in this order: a model learns to leave it
            as it is.
        degradations: what then happens to the noisy audio alone, in this order: a model learns to
            undo it.
    """

    samples: Annotated[int, Within(1)]
    peak: Annotated[Range, Within(-60, 0)] = (-10.0, 0.0)
    kept: tuple[Linear, ...] = field(default=(), kw_only=True)
    degradations: tuple[Degradation, ...] = field(default=(), kw_only=True)

    #: The fields that name folders.
    folders: ClassVar[tuple[str, str]]

    @abstractmethod
    def files(self, root: Path) -> tuple[Sequence[Path], Sequence[Path]]:
        """The recordings of each folder, those with relative names below `root`.

        Raises `RecipeError` for what can be seen without decoding.
        """

    @abstractmethod
    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> "PairDataset":
        """The pairs of the folders. Raises `RecipeError` for a folder that cannot be used."""

    def decoded(self, root: Path, cache: Path, sample_rate: int) -> list[CachedRecordings]:
        """The recordings of each folder; all `files` are looked for before any is decoded."""
        decoded = []
        for name, files in zip(self.folders, self.files(root), strict=True):
            with naming(f"data.{name}"):
                folder = root / getattr(self, name)
                found = cached(files, folder, cache, sample_rate)
                warn_of_cancelling([folder / clip.name for clip in found.clips if clip.cancels])
                decoded.append(found)
        return decoded

    def finish(
        self, clean: Audio, noisy: Audio, rng: Generator, sample_rate: int
    ) -> tuple[Audio, Audio]:
        """Both after `kept`, `degradations`, and one gain that puts the noisy peak in its range.

        What would leave next to nothing of the noisy audio is drawn again.
        """
        level = active_power(noisy, sample_rate)
        for _ in range(PATIENCE):
            clean_kept, spoilt = alike(self.kept, clean, noisy, rng, sample_rate)
            for degradation in self.degradations:
                spoilt = degradation(spoilt, rng, sample_rate)
            if active_power(spoilt, sample_rate) >= FAINT * level:
                break
        else:
            raise RecipeError(
                f"data.kept, data.degradations: {PATIENCE} times in a row they left next to "
                "nothing of a recording; take out what is too strong"
            )
        clean, noisy = clean_kept, spoilt
        gain = decibels(rng.uniform(*self.peak)) / (float(np.abs(noisy).max()) or 1.0)
        return clean * np.float32(gain), noisy * np.float32(gain)


class PairDataset(Dataset[tuple[Tensor, Tensor]], ABC):
    """Pairs without end, by their number."""

    def __init__(self, seed: int, sample_rate: int) -> None:
        self.seed = seed
        self.sample_rate = sample_rate

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        clean, noisy = self.draw(index, np.random.default_rng([self.seed, index]))
        return torch.from_numpy(clean), torch.from_numpy(noisy)

    @abstractmethod
    def draw(self, index: int, rng: Generator) -> tuple[Audio, Audio]:
        """Pair number `index`."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """How much there is, for people."""


class ConsecutiveBatches(Sampler[list[int]]):
    """Batches of consecutive numbers, for one of several processes that share the work.

    Step k of process r of w takes the numbers start + (k w + r) batch to that plus batch - 1.
    """

    def __init__(self, start: int, steps: int, batch: int, rank: int = 0, world: int = 1) -> None:
        self.start, self.steps, self.batch = start, steps, batch
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.steps):
            first = self.start + (step * self.world + self.rank) * self.batch
            yield list(range(first, first + self.batch))


def section_pairs(section: str, clean: Path, noisy: Path) -> list[Pair]:
    """The pairs of two folders of a section of a recipe, sorted by name.

    Raises `RecipeError`, which names the key, for folders that lack a recording.
    """
    with naming(f"{section}.clean") as remedy:
        clean_files = recordings_by_name(clean, remedy)
    with naming(f"{section}.noisy") as remedy:
        noisy_files = recordings_by_name(noisy, remedy)
    with naming(section):
        return match_all(clean_files, noisy_files)


@contextmanager
def naming(key: str) -> Iterator[str]:
    """Make errors of recordings those of the key of a recipe; gives the remedy of a lost folder."""
    without = "; validation=null trains without" if key.startswith("validation.") else ""
    try:
        yield f"say where the data lie with --data FOLDER, or set {key}=FOLDER{without}"
    except (AudioError, DataError) as error:
        raise RecipeError(f"{key}: {error}") from error


def audible(key: str, recordings: CachedRecordings, least: float) -> NDArray[np.bool_]:
    """Which recordings have a frame of that mean power; the others are said, and left out.

    Raises `RecipeError` where none has.
    """
    loud: NDArray[np.bool_] = recordings.loudest >= least
    silent = [recordings.names[number] for number in np.flatnonzero(~loud)]
    limit = f"below {10 * np.log10(least):.0f} dB"
    if len(silent) == len(recordings):
        raise RecipeError(f"{key}: all {len(silent)} recordings are silent ({limit}); check them")
    if silent:
        more = ", ..." if len(silent) > 5 else ""
        warnings.warn(
            f"{key}: {len(silent)} of {len(recordings)} recordings are silent ({limit}) and left "
            f"out: {', '.join(silent[:5])}{more}",
            RecordingWarning,
            stacklevel=2,
        )
    return loud


def duration(seconds: float) -> str:
    """Of recordings, for people."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
