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
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from typing_extensions import override

from sgmse.data._checked import Checked, Probability, Range, Within
from sgmse.data._crops import FAINT, FLOOR, PATIENCE, SILENCE, crop, is_faint, is_silent, odds, pick
from sgmse.data.babble import Babble
from sgmse.data.cache import CachedRecordings, cached
from sgmse.data.degradations import (
    Audio,
    Degradation,
    Linear,
    Room,
    Speed,
    active_power,
    add_noise,
    alike,
    decibels,
)
from sgmse.data.mono import warn_of_cancelling
from sgmse.data.pairs import Pair, match_all, recordings, recordings_by_name
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
            with _naming(f"data.{name}"):
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


@dataclass(frozen=True)
class MixedSpeech(TrainingData):
    """Noisy speech mixed on the fly, with the peak of the noisy audio drawn by the gain g:

        speech = clean_changes(crop),    noise = noise_changes(crop)
        noisy = g degradations(kept(room(speech) + noise))
        clean = g kept(early(room)(speech))

    Speech and noise are cropped at random places of random files. Speech that is too short is put
    somewhere in silence, noise that is too short is repeated. The signal-to-noise ratio is that of
    the active frames (`degradations.active_power`).

    Args:
        clean, noise: folders, of which all audio below them is used, or lists.
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
    """

    clean: Path = field(kw_only=True)
    noise: Path = field(kw_only=True)
    snr: Annotated[Range, Within(-100, 100)] = (-5.0, 20.0)
    clean_speed: Speed = field(default_factory=Speed)
    noise_speed: Speed = field(default_factory=lambda: Speed(0.5, (0.8, 1.25)))
    more_noise: Probability = 0.25
    most_noises: Annotated[int, Within(1)] = 2
    noise_level: Annotated[Range, Within(-100, 100)] = (-10.0, 10.0)
    clean_balance: float = 1.0
    noise_balance: float = 0.5
    clean_changes: tuple[Degradation, ...] = ()
    noise_changes: tuple[Degradation, ...] = ()
    babble: Babble | None = None
    room: Room | None = None

    folders = ("clean", "noise")

    @override
    def files(self, root: Path) -> tuple[Sequence[Path], Sequence[Path]]:
        with _naming("data.clean") as remedy:
            clean = recordings(root / self.clean, remedy)
        with _naming("data.noise") as remedy:
            noise = recordings(root / self.noise, remedy)
        talkers = self.babble.talkers[1] if self.babble else 0
        if talkers >= len(clean):
            raise RecipeError(
                f"data.babble.talkers: {talkers} talkers and the target need {talkers + 1} "
                f"recordings, and data.clean has {len(clean)}; ask for fewer, or for no babble "
                "with data.babble=null"
            )
        return clean, noise

    @override
    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> PairDataset:
        return _MixedDataset(self, seed, *self.decoded(root, cache, sample_rate))


class _MixedDataset(PairDataset):
    """The pairs of `MixedSpeech`."""

    def __init__(
        self, data: MixedSpeech, seed: int, clean: CachedRecordings, noise: CachedRecordings
    ) -> None:
        super().__init__(seed, clean.sample_rate)
        self.data, self.clean, self.noise = data, clean, noise
        audible = _audible("data.clean", clean, SILENCE), _audible("data.noise", noise, FLOOR)
        self.clean_odds = odds(clean, data.clean_balance, audible[0])
        self.noise_odds = odds(noise, data.noise_balance, audible[1])

    @property
    @override
    def summary(self) -> str:
        return (
            f"{len(self.clean)} files of speech ({_duration(self.clean.seconds)}), "
            f"{len(self.noise)} of noise ({_duration(self.noise.seconds)})"
        )

    @override
    def draw(self, index: int, rng: Generator) -> tuple[Audio, Audio]:
        data = self.data
        number, clean, noisy = self.draw_speech(rng)
        noise = self.draw_noise(number, rng)
        for _ in range(1, data.most_noises):
            if rng.random() >= data.more_noise:
                break
            gain = np.float32(decibels(rng.uniform(*data.noise_level)))
            noise = noise + gain * self.draw_noise(number, rng)
        noisy = add_noise(noisy, noise, rng.uniform(*data.snr), self.sample_rate)
        return data.finish(clean, noisy, rng, self.sample_rate)

    def draw_speech(self, rng: Generator) -> tuple[int, Audio, Audio]:
        """The number of a recording, and a crop of it: the target, and as it is heard in a room."""
        data, speed, samples = self.data, self.data.clean_speed, self.data.samples
        for _ in range(PATIENCE):
            factor = speed.draw(rng)
            number = pick(self.clean_odds, rng)
            part = crop(self.clean, number, speed.needs(samples, factor), rng)
            speech = speed.apply(part, factor, samples)
            if is_silent(speech):
                continue
            target = speech
            for change in data.clean_changes:
                target = change(target, rng, self.sample_rate)
            target, heard = (
                (target, target) if data.room is None else data.room(target, rng, self.sample_rate)
            )
            if not is_faint(target, active_power(speech, self.sample_rate), self.sample_rate):
                return number, target, heard
        raise RecipeError(
            f"data.clean: {PATIENCE} crops in a row are silent (below -60 dB), as they are or by "
            "data.clean_changes; check the recordings"
        )

    def draw_noise(self, target: int, rng: Generator) -> Audio:
        """A crop of noise, or a babble without the recording of the target, with its changes.

        A crop in which the noise pauses is drawn again, of another file, too.
        """
        babble, speed, samples = self.data.babble, self.data.noise_speed, self.data.samples
        for _ in range(PATIENCE):
            if babble and rng.random() < babble.probability:
                noise, level = babble(self.clean, target, samples, rng), 0.0
            else:
                factor = speed.draw(rng)
                number = pick(self.noise_odds, rng)
                part = crop(self.noise, number, speed.needs(samples, factor), rng, repeat=True)
                noise, level = speed.apply(part, factor, samples), self.noise.levels[number]
            before = active_power(noise, self.sample_rate)
            if before < max(FAINT * level, FLOOR):
                continue
            for change in self.data.noise_changes:
                noise = change(noise, rng, self.sample_rate)
            if not is_faint(noise, before, self.sample_rate):
                return noise
        raise RecipeError(
            f"data.noise: {PATIENCE} crops in a row hold no noise (60 dB below that of their "
            "recording), as they are or by data.noise_changes; check the recordings"
        )


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
        self.usable = np.flatnonzero(_audible("data.noisy", noisy, FLOOR))
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
        return f"{len(self.usable)} pairs ({_duration(self.clean.seconds)})"

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
    with _naming(f"{section}.clean") as remedy:
        clean_files = recordings_by_name(clean, remedy)
    with _naming(f"{section}.noisy") as remedy:
        noisy_files = recordings_by_name(noisy, remedy)
    with _naming(section):
        return match_all(clean_files, noisy_files)


@contextmanager
def _naming(key: str) -> Iterator[str]:
    """Make errors of recordings those of the key of a recipe; gives the remedy of a lost folder."""
    try:
        yield f"say where the data lie with --data FOLDER, or set {key}=FOLDER"
    except (AudioError, DataError) as error:
        raise RecipeError(f"{key}: {error}") from error


def _audible(key: str, recordings: CachedRecordings, least: float) -> NDArray[np.bool_]:
    """Which recordings have a frame of that mean power; the others are said, and left out.

    Raises `RecipeError` where none has.
    """
    audible: NDArray[np.bool_] = recordings.loudest >= least
    silent = [recordings.names[number] for number in np.flatnonzero(~audible)]
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
    return audible


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of an epoch, drawn apart from the pairs themselves."""
    return np.random.default_rng([seed, epoch, count, 1]).permutation(count)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
