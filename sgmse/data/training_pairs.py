"""Training pairs (clean, noisy), each float32 (samples,) at one sample rate.

A pair is a function of the seed and its number alone: number i is the same with any number of
worker processes, and a training that resumes at step n goes on with pair n * batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sgmse import audio
from sgmse.data.babble import Babble
from sgmse.data.cache import Clips, cached
from sgmse.data.crops import SILENCE, crop, odds, pick
from sgmse.data.degradations import (
    Audio,
    Degradation,
    Linear,
    Range,
    Room,
    Speed,
    add_noise,
    alike,
    check_range,
    decibels,
)
from sgmse.errors import AudioError, RecipeError

PATIENCE = 100  # silent crops, until the folder is called silent


@dataclass(frozen=True)
class Source(ABC):
    """Where training pairs come from; subclasses are frozen dataclasses.

    Args:
        samples: length of a pair.
        peak: range in dB, relative to full scale, of the peak of the noisy audio.
    """

    samples: int
    peak: Range = (-10.0, 0.0)

    #: The fields that name folders.
    folders: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_range(self, 1, samples=self.samples)
        check_range(self, -60, 0, peak=self.peak)

    def check(self, root: Path) -> list[list[str]]:
        """The names in each folder. Raises `RecipeError` for what can be seen without decoding."""
        return [recordings(f"data.{name}", root / getattr(self, name)) for name in self.folders]

    def read(self, root: Path, cache: Path, sample_rate: int) -> list[Clips]:
        """The decoded folders, those with relative names below `root`; first all are checked."""
        self.check(root)
        return [
            read_folder(f"data.{name}", root / getattr(self, name), cache, sample_rate)
            for name in self.folders
        ]

    @abstractmethod
    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> "Pairs":
        """The pairs of the folders. Raises `RecipeError` for a folder that cannot be used."""

    def levelled(self, clean: Audio, noisy: Audio, rng: Generator) -> tuple[Audio, Audio]:
        """Both with one gain, so that the peak of the noisy audio lies in its range."""
        gain = decibels(rng.uniform(*self.peak)) / (float(np.abs(noisy).max()) or 1.0)
        return clean * np.float32(gain), noisy * np.float32(gain)


class Pairs(Dataset[tuple[Tensor, Tensor]], ABC):
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


@dataclass(frozen=True)
class MixedSpeech(Source):
    """Noisy speech mixed on the fly, with the peak of the noisy audio drawn by the gain g:

        speech = clean_changes(crop),    noise = noise_changes(crop)
        noisy = g degradations(kept(room(speech) + noise))
        clean = g kept(early(room)(speech))

    Speech and noise are cropped at random places of random files. Speech that is too short is put
    somewhere in silence, noise that is too short is repeated. The signal-to-noise ratio is that of
    the active frames (`degradations.active_power`).

    Args:
        clean, noise: folders; all audio below them is used.
        snr: range in dB.
        clean_speed, noise_speed: changes of speed.
        more_noise: probability of a second noise on top of the first, then of a third, and so on.
        most_noises: at most so many at once.
        noise_level: range in dB of a further noise against what its file has.
        clean_balance, noise_balance: a file is drawn with a probability proportional to its length
            to this power: 1 treats all seconds alike, 0 all files.
        clean_changes: what happens to the speech, in this order, before all else: a `NoiseGate`
            takes out of it what noise it has.
        noise_changes: what happens to each noise, in this order, before its level is set: a colour
            makes many noises of one.
        babble: talkers in place of a noise; none if absent.
        room: reverberation; the speech alone has it, and the early part belongs to the target.
        kept: what then happens to mixture and target alike, in this order: a model learns to leave
            it as it is.
        degradations: what then happens to the mixture alone, in this order: a model learns to
            undo it.
    """

    clean: Path = field(kw_only=True)
    noise: Path = field(kw_only=True)
    snr: Range = (-5.0, 20.0)
    clean_speed: Speed = field(default_factory=Speed)
    noise_speed: Speed = field(default_factory=lambda: Speed(0.5, (0.8, 1.25)))
    more_noise: float = 0.25
    most_noises: int = 2
    noise_level: Range = (-10.0, 10.0)
    clean_balance: float = 1.0
    noise_balance: float = 0.5
    clean_changes: tuple[Degradation, ...] = ()
    noise_changes: tuple[Degradation, ...] = ()
    babble: Babble | None = None
    room: Room | None = None
    kept: tuple[Linear, ...] = ()
    degradations: tuple[Degradation, ...] = ()

    folders = ("clean", "noise")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, -100, 100, snr=self.snr, noise_level=self.noise_level)
        check_range(self, 0, 1, more_noise=self.more_noise)
        check_range(self, 1, most_noises=self.most_noises)

    def check(self, root: Path) -> list[list[str]]:  # noqa: D102
        names = super().check(root)
        talkers = self.babble.talkers[1] if self.babble else 0
        if talkers >= len(names[0]):
            raise RecipeError(
                f"data.babble.talkers: {talkers} talkers and the target need {talkers + 1} "
                f"recordings, and data.clean has {len(names[0])}; ask for fewer, or for no babble "
                "with data.babble=null"
            )
        return names

    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> "Pairs":  # noqa: D102
        clean, noise = self.read(root, cache, sample_rate)
        return _Mixtures(self, clean, noise, seed)


class _Mixtures(Pairs):
    """The pairs of `MixedSpeech`."""

    def __init__(self, source: MixedSpeech, clean: Clips, noise: Clips, seed: int) -> None:
        super().__init__(seed, clean.sample_rate)
        self.source, self.clean, self.noise = source, clean, noise
        self.clean_odds = odds(clean, source.clean_balance)
        self.noise_odds = odds(noise, source.noise_balance)

    @property
    def summary(self) -> str:
        return (
            f"{len(self.clean)} files of speech ({_duration(self.clean.seconds)}), "
            f"{len(self.noise)} of noise ({_duration(self.noise.seconds)})"
        )

    def draw(self, index: int, rng: Generator) -> tuple[Audio, Audio]:
        source = self.source
        clip, clean = self.speech(rng)
        for change in source.clean_changes:
            clean = change(clean, rng, self.sample_rate)
        room = source.room
        clean, noisy = (clean, clean) if room is None else room(clean, rng, self.sample_rate)
        noise = self.some_noise(clip, rng)
        for _ in range(1, source.most_noises):
            if rng.random() >= source.more_noise:
                break
            noise = noise + np.float32(
                decibels(rng.uniform(*source.noise_level))
            ) * self.some_noise(clip, rng)
        noisy = add_noise(noisy, noise, rng.uniform(*source.snr), self.sample_rate)
        clean, noisy = alike(source.kept, clean, noisy, rng, self.sample_rate)
        for degradation in source.degradations:
            noisy = degradation(noisy, rng, self.sample_rate)
        return source.levelled(clean, noisy, rng)

    def speech(self, rng: Generator) -> tuple[int, Audio]:
        """A crop that is not silent, and the number of its clip."""
        speed, samples = self.source.clean_speed, self.source.samples
        for _ in range(PATIENCE):
            factor = speed.draw(rng)
            clip = pick(self.clean_odds, rng)
            found = crop(self.clean, clip, speed.needs(samples, factor), rng)
            speech = speed.apply(found, factor, samples)
            if np.mean(speech**2) > SILENCE:
                return clip, speech
        raise RecipeError(
            f"data.clean: {PATIENCE} crops in a row are silent (below -60 dB); check the recordings"
        )

    def some_noise(self, target: int, rng: Generator) -> Audio:
        """A crop of noise, or a babble without the target's clip, with its changes."""
        babble, speed, samples = self.source.babble, self.source.noise_speed, self.source.samples
        if babble and rng.random() < babble.probability:
            noise = babble(self.clean, target, samples, rng)
        else:
            factor = speed.draw(rng)
            clip = pick(self.noise_odds, rng)
            found = crop(self.noise, clip, speed.needs(samples, factor), rng, repeat=True)
            noise = speed.apply(found, factor, samples)
        for change in self.source.noise_changes:
            noise = change(noise, rng, self.sample_rate)
        return noise


@dataclass(frozen=True)
class Paired(Source):
    """Recordings that exist clean and noisy, in two folders, under the same names.

    Each epoch takes every pair once, in an order of its own, at a place of its own; what is too
    short is put in the middle of silence. Suffixes may differ.

    Args:
        clean, noisy: folders.
        kept: what happens to both alike, in this order.
        degradations: what then happens to the noisy audio in addition, in this order.
    """

    clean: Path = field(kw_only=True)
    noisy: Path = field(kw_only=True)
    kept: tuple[Linear, ...] = ()
    degradations: tuple[Degradation, ...] = ()

    folders = ("clean", "noisy")

    def check(self, root: Path) -> list[list[str]]:  # noqa: D102
        names = super().check(root)
        matched("data", *names)
        return names

    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> "Pairs":  # noqa: D102
        clean, noisy = self.read(root, cache, sample_rate)
        return _Recordings(self, clean, noisy, seed)


class _Recordings(Pairs):
    """The pairs of `Paired`."""

    def __init__(self, source: Paired, clean: Clips, noisy: Clips, seed: int) -> None:
        super().__init__(seed, clean.sample_rate)
        self.source, self.clean, self.noisy = source, clean, noisy
        self.matches = matched("data", clean.names, noisy.names)
        for c, n in self.matches:
            if clean.lengths[c] != noisy.lengths[n]:
                raise RecipeError(
                    f"data: {clean.names[c]} has {clean.lengths[c]} samples clean but "
                    f"{noisy.lengths[n]} noisy; pairs must be aligned and of one length"
                )

    @property
    def summary(self) -> str:
        return f"{len(self.matches)} pairs ({_duration(self.clean.seconds)})"

    def draw(self, index: int, rng: Generator) -> tuple[Audio, Audio]:
        samples = self.source.samples
        epoch, place = divmod(index, len(self.matches))
        c, n = self.matches[_order(self.seed, epoch, len(self.matches))[place]]
        length = int(self.clean.lengths[c])
        start = int(rng.integers(0, max(length - samples, 0) + 1))
        missing = max(samples - length, 0)
        clean, noisy = (
            np.pad(clips.read(clip, start, samples), (missing // 2, missing - missing // 2))
            for clips, clip in ((self.clean, c), (self.noisy, n))
        )
        clean, noisy = alike(self.source.kept, clean, noisy, rng, self.sample_rate)
        for degradation in self.source.degradations:
            noisy = degradation(noisy, rng, self.sample_rate)
        return self.source.levelled(clean, noisy, rng)


class Consecutive(Sampler[list[int]]):
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


def matched(key: str, clean: list[str], noisy: list[str]) -> list[tuple[int, int]]:
    """Numbers of the names that are equal but for their suffixes.

    Raises `RecipeError` for names without a partner; it names the `key` in the recipe.
    """
    left, right = (
        {str(PurePosixPath(n).with_suffix("")): i for i, n in enumerate(names)}
        for names in (clean, noisy)
    )
    alone = sorted(left.keys() ^ right.keys())
    if alone:
        side = "clean but not noisy" if alone[0] in left else "noisy but not clean"
        raise RecipeError(
            f"{key}: {len(alone)} of the pairs are incomplete, such as {alone[0]!r}, which is "
            f"{side}; give both files the same name"
        )
    return [(left[name], right[name]) for name in sorted(left)]


def recordings(key: str, folder: Path) -> list[str]:
    """Names, relative to it, of the recordings in the folder that the recipe has under `key`.

    Raises `RecipeError` if there are none.
    """
    if not folder.is_dir():
        raise RecipeError(
            f"{key}: there is no folder {folder}; say where the data lie with --data FOLDER, "
            f"or set {key}=FOLDER"
        )
    try:
        files = audio.find([folder], recursive=True)
    except AudioError as error:
        raise RecipeError(f"{key}: {error}") from error
    return [file.relative_to(folder).as_posix() for file in files]


def read_folder(key: str, folder: Path, cache: Path, sample_rate: int) -> Clips:
    """The recordings in that folder. Raises `RecipeError` for one that cannot be read."""
    try:
        return cached(folder, cache, sample_rate)
    except AudioError as error:
        raise RecipeError(f"{key}: {error}") from error


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of an epoch, drawn apart from the pairs themselves."""
    return np.random.default_rng([seed, epoch, count, 1]).permutation(count)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
