"""Training pairs of recordings that exist clean and noisy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from typing_extensions import override

from sgmse.data._crops import FLOOR, PATIENCE, is_faint
from sgmse.data.cache import CachedRecordings
from sgmse.data.degradations import (
    Audio,
)
from sgmse.data.training_pairs import PairDataset, TrainingData, audible, duration, section_pairs
from sgmse.errors import RecipeError


@dataclass(frozen=True)
class Paired(TrainingData):
    """Recordings that exist clean and noisy, in two folders, under the same names.

    Each epoch takes every pair once, in an order of its own, at a place of its own; what is too
    short is put in the middle of silence. Suffixes may differ.

    Args:
        clean, noisy: folders, or lists of the same ids.
    """

    clean: Path = field(kw_only=True)
    noisy: Path = field(kw_only=True)

    folders = ("clean", "noisy")

    @override
    def files(self, root: Path) -> tuple[Sequence[Path], Sequence[Path]]:
        pairs = section_pairs("data", root / self.clean, root / self.noisy)
        return [pair.clean for pair in pairs if pair.clean], [pair.enhanced for pair in pairs]

    @override
    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> PairDataset:
        return _PairedDataset(self, seed, *self.decoded(root, cache, sample_rate))


class _PairedDataset(PairDataset):
    """The pairs of `Paired`; partners have the same number."""

    def __init__(
        self, data: Paired, seed: int, clean: CachedRecordings, noisy: CachedRecordings
    ) -> None:
        super().__init__(seed, clean.sample_rate)
        self.data, self.clean, self.noisy = data, clean, noisy
        self.usable = np.flatnonzero(audible("data.noisy", noisy, FLOOR))
        for one, other in zip(clean.clips, noisy.clips, strict=True):
            if one.cancels != other.cancels:
                raise RecipeError(
                    f"data: the channels of {one.name} cancel each other "
                    f"{'clean' if one.cancels else 'noisy'}, and not in its partner; make one "
                    "channel of both"
                )
        for name, *lengths in zip(clean.names, clean.lengths, noisy.lengths, strict=True):
            if lengths[0] != lengths[1]:
                raise RecipeError(
                    f"data: {name} has {lengths[0]} samples clean but {lengths[1]} noisy; pairs "
                    "must be aligned and of one length"
                )

    @property
    @override
    def summary(self) -> str:
        return f"{len(self.usable)} pairs ({duration(self.clean.seconds)})"

    @override
    def draw(self, index: int, rng: Generator) -> tuple[Audio, Audio]:
        count = len(self.usable)
        epoch, place = divmod(index, count)
        order = _order(self.seed, epoch, count)
        for attempt in range(PATIENCE):  # at ten places of a recording, then of the next
            number = int(self.usable[order[(place + attempt // 10) % count]])
            clean, noisy = self.crop(number, rng)
            if not is_faint(noisy, self.noisy.levels[number], self.sample_rate):
                return self.data.finish(clean, noisy, rng, self.sample_rate)
        raise RecipeError(
            f"data.noisy: {PATIENCE} crops in a row hold nothing (60 dB below their recording), "
            f"such as of {self.noisy.names[number]}; check the recordings"
        )

    def crop(self, number: int, rng: Generator) -> tuple[Audio, Audio]:
        """Both of a pair at one place."""
        samples, length = self.data.samples, int(self.clean.lengths[number])
        start = int(rng.integers(0, max(length - samples, 0) + 1))
        missing = max(samples - length, 0)
        clean, noisy = (
            np.pad(recordings.read(number, start, samples), (missing // 2, missing - missing // 2))
            for recordings in (self.clean, self.noisy)
        )
        return clean, noisy


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of an epoch, drawn apart from the pairs themselves."""
    return np.random.default_rng([seed, epoch, count, 1]).permutation(count)
