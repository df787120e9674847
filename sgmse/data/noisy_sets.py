"""Fixed noisy test sets from a folder of clean speech and one of noise.

Of speech s and noise n, mixture number i of the set with seed S is

    clean = c s,   noisy = c (s + g n),   snr = 10 log10(P(s) / P(g n)),   c = min(1, 0.99 / peak)

with P the power of the active frames (`sgmse.data.degradations.active_power`) and the peak that
of s and s + g n, so that neither clips and their levels stay in their ratio. Where a recording is
cut is drawn from the generator of (S, i). Speech, noise and SNRs take turns: each recording is used
once in a random order, then once more in another one, and so on, and the SNRs go round. So a set is
a function of the seed and of the names and contents of the files.

Several noises at once have equal active power; of a folder of speech they are a babble. What spoils
the mixture, a codec or an overdrive, does so after noise and speech have come together, and belongs
to the noisy file alone; c is then set by what came of it.
"""

import csv
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from functools import partial
from math import ceil, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import Generator, default_rng
from tqdm import tqdm

from sgmse import audio
from sgmse._extras import require
from sgmse._files import whole_folder
from sgmse._pool import Pool
from sgmse.data._crops import PATIENCE, is_faint, is_silent
from sgmse.data.degradations import Audio, Degradation, Room, active_power, add_noise
from sgmse.data.mono import mono, read_mono, warn_of_cancelling
from sgmse.data.pairs import INDEX, recordings
from sgmse.errors import ArgumentError, AudioError, MixError, RecordingWarning

ROUNDING = 2.0**-30 / 12  # the power of the error of 16 bits
CEILING = 0.99  # what a peak may be
FORMATS = ("flac", "wav")  # codings that lose nothing
SPEECH, NOISE, PLACES = range(3)  # streams of random numbers of a seed

Skipped = tuple[Path, str]  # a recording, and why
Bar = Callable[..., Any]  # tqdm with some settings
Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # map, by several


@dataclass(frozen=True)
class Mixer:
    """How recordings are mixed.

    Args:
        snr: the ratios of speech to noise that take turns, in dB.
        seed: of all that is random.
        sample_rate: of the set, in Hz.
        seconds: longer speech is cut to so much, at a random place.
        shortest: shorter recordings are skipped, in seconds.
        reverb: share of the speech that is heard in a simulated room; what of it is heard as one
            with the direct sound belongs to the clean file (`sgmse.data.degradations.Room`).
        noises: so many at once.
        degradations: what spoils the noisy file, in this order.
    """

    snr: tuple[float, ...]
    seed: int = 0
    sample_rate: int = 16000
    seconds: float | None = None
    shortest: float = 1.0
    reverb: float = 0.0
    noises: int = 1
    degradations: tuple[Degradation, ...] = ()

    def __post_init__(self) -> None:
        if not self.snr or not all(isfinite(snr) and abs(snr) <= 100 for snr in self.snr):
            raise ArgumentError(f"snr must be one or more ratios in [-100, 100] dB, not {self.snr}")
        if self.seed < 0:
            raise ArgumentError(f"seed must not be negative, not {self.seed}")
        if not 1000 <= self.sample_rate <= 384000:
            raise ArgumentError(
                f"sample_rate must lie in [1000, 384000] Hz, not {self.sample_rate}"
            )
        if not self.shortest > 0:
            raise ArgumentError(f"shortest must be positive, not {self.shortest}")
        if self.seconds is not None and not self.shortest <= self.seconds:
            raise ArgumentError(
                f"seconds must be at least the {self.shortest:g} s of the shortest recording, "
                f"not {self.seconds}"
            )
        if not 0 <= self.reverb <= 1:
            raise ArgumentError(f"reverb must be a share, 0 to 1, not {self.reverb}")
        if self.noises < 1:
            raise ArgumentError(f"noises must be at least 1, not {self.noises}")

    def judge(self, file: Path) -> "Verdict":
        """Whether a recording can be used."""
        try:
            about = audio.info(file)
            if about.duration < self.shortest:
                return Verdict(f"{about.duration:.2f} s long, below {self.shortest:g} s")
            # At its own rate, which is cheaper, unless the set has less of a band.
            samples, cancels = mono(file, min(about.sample_rate, self.sample_rate))
        except AudioError as error:
            return Verdict(f"{error.args[1]}; {error.args[2]}")
        return Verdict("silent, below -60 dB" if is_silent(samples) else None, cancels)

    def mix(
        self, number: int, name: str, speech: "Source", noises: Sequence["Source"]
    ) -> tuple[Audio, Audio, "Mixture"]:
        """Clean and noisy audio (samples,) of mixture `number` of a set, and how it came about."""
        rng = default_rng([self.seed, PLACES, number])
        if self.seconds is None or audio.info(speech.path).duration <= self.seconds:
            voice, speech_offset = read_mono(speech.path, self.sample_rate), 0.0
        else:
            length = round(self.seconds * self.sample_rate)
            voice, speech_offset = self.cut(speech.path, length, rng)
        parts = [self.cut(noise.path, len(voice), rng) for noise in noises]
        background, noise_offset = parts[0]
        for part, _ in parts[1:]:
            background = add_noise(background, part, 0.0, self.sample_rate)
        snr = self.snr[number % len(self.snr)]
        room = bool(rng.random() < self.reverb)
        clean, heard = Room(1.0)(voice, rng, self.sample_rate) if room else (voice, voice)
        noisy = add_noise(heard, background, snr, self.sample_rate)
        for degradation in self.degradations:
            noisy = degradation(noisy, rng, self.sample_rate)
        peak = max(float(np.abs(clean).max()), float(np.abs(noisy).max()))
        gain = np.float32(min(1.0, CEILING / peak))
        places = " + ".join(noise.place for noise in noises)
        groups = " + ".join(dict.fromkeys(noise.group for noise in noises))
        spoilt = " + ".join(type(degradation).__name__ for degradation in self.degradations)
        drawn = speech_offset, noise_offset, snr, float(gain), room, spoilt
        sources = speech.place, speech.group, places, groups
        mixture = Mixture(*(name, *sources, *drawn, len(voice) / self.sample_rate, self.seed))
        return clean * gain, noisy * gain, mixture

    def cut(self, file: Path, samples: int, rng: Generator) -> tuple[Audio, float]:
        """A random part of a recording that is not silent, (samples,); where that starts, in s.

        A recording that is shorter is repeated.
        """
        rate = audio.info(file).sample_rate
        recording = read_mono(file, rate)
        needed = ceil(samples * rate / self.sample_rate)
        places = len(recording) - needed + 1 if needed <= len(recording) else len(recording)
        for _ in range(PATIENCE):
            start = int(rng.integers(places))
            part = recording.take(np.arange(start, start + needed), mode="wrap")
            if is_silent(part):
                continue
            resampled = audio.resample(torch.from_numpy(part), rate, self.sample_rate, samples)
            wave: Audio = resampled.numpy()
            if not is_faint(wave, active_power(part, rate), self.sample_rate):
                return wave, start / rate
        raise MixError(f"{file}: {PATIENCE} places in a row are silent; leave it out")


class Verdict(NamedTuple):
    """Why a recording cannot be used, if so; whether its channels cancel each other."""

    problem: str | None
    cancels: bool = False


class Source(NamedTuple):
    """A recording, its place in its folder, and the first folder on the way there, "" if none."""

    path: Path
    place: str
    group: str


@dataclass(frozen=True)
class Mixture:
    """A line of the index: a mixture, and what it was made of.

    Args:
        name: of both files, without suffix.
        speech, noise: places of the recordings in their folders, or ids in their lists; " + "
            between those of several noises.
        speaker, noise_source: the first folders on the way there, if any.
        speech_offset, noise_offset: where the parts start, in seconds; that of the first noise.
        snr_db: of the active frames, in dB.
        gain: common to the clean and the noisy file; 1 unless one would clip.
        room: whether the speech is in a simulated one.
        degradations: what spoils the noisy file, if it happens.
        seconds: length.
        seed: of the set.
    """

    name: str
    speech: str
    speaker: str
    noise: str
    noise_source: str
    speech_offset: float
    noise_offset: float
    snr_db: float
    gain: float
    room: bool
    degradations: str
    seconds: float
    seed: int


@dataclass(frozen=True)
class MixedSet:
    """A set that was made: where, what of, and what was skipped, with the reason."""

    folder: Path
    mixtures: tuple[Mixture, ...]
    skipped: tuple[Skipped, ...]


def mix(
    clean: str | Path,
    noise: str | Path,
    output: str | Path,
    mixer: Mixer,
    *,
    count: int | None = None,
    format: str = "flac",  # noqa: A002
    overwrite: bool = False,
    workers: int | Pool = 1,
    quiet: bool = False,
) -> MixedSet:
    """Write a set: output/clean/NNN.flac, output/noisy/NNN.flac and output/index.csv.

    The folder appears when all is done, or not at all.

    Args:
        clean, noise: folders of recordings, looked into to any depth, or lists of some (see
            `sgmse.audio.listed`). Their channels are averaged.
        output: the folder of the set.
        mixer: how to mix.
        count: mixtures; as many as there is speech that can be used if absent.
        format: "flac" or "wav", both with 16 bits.
        overwrite: replace a set that is there.
        workers: threads, or a pool of processes elsewhere (`sgmse.corpus.workers_of`); they change
            nothing but the time.
        quiet: show no progress.

    Raises:
        DataError: folders without recordings that can be used, a set that exists (`MixError`).
        MissingPackageError: what simulates rooms is not installed.
    """
    clean, noise, output = Path(clean), Path(noise), Path(output).absolute()
    if format not in FORMATS:
        raise MixError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    for what, number in (("count", count), ("workers", workers)):
        if isinstance(number, int) and number < 1:
            raise MixError(f"{what} must be at least 1, not {number}")
    if mixer.reverb:
        require("pyroomacoustics", "a simulated room", "train")
    speech_sources, noise_sources = _sources(clean, "clean"), _sources(noise, "noise")
    elsewhere = (
        source.path
        for folder, sources in ((clean, speech_sources), (noise, noise_sources))
        for source in sources
        if not source.path.is_relative_to(folder)  # what a list names
    )
    _check_output(output, overwrite, (clean, noise, *elsewhere))
    # None: no bar if stderr is no terminal.
    bar = partial(tqdm, leave=False, unit="file", disable=True if quiet else None)
    with whole_folder(output) as part, _spread(workers) as pool:
        voices, mute = _usable(speech_sources, SPEECH, count, mixer, pool, bar)
        # Of several at once, one more: what is heard itself is none of them.
        needed = count if count is None or mixer.noises == 1 else count * mixer.noises + 1
        noises, still = _usable(noise_sources, NOISE, needed, mixer, pool, bar)
        total = len(voices) if count is None else count
        voices = _turns(voices, total, mixer.seed, SPEECH)
        noises = _turns(noises, max(total * mixer.noises, len(noises)), mixer.seed, NOISE)
        groups = _apart(voices, noises, mixer.noises)
        digits = max(3, len(str(total - 1)))
        for folder in ("clean", "noisy"):
            (part / folder).mkdir()

        write = _Writing(mixer, part, format, digits, tuple(voices), tuple(map(tuple, groups)))
        made = list(bar(pool(write, range(total)), "mixing", total))
        mixtures = tuple(mixture for mixture, _ in made)
        lost = [mixture.name for mixture, is_lost in made if is_lost]
        _write_index(part / INDEX, mixtures)
    if lost:
        warnings.warn(
            f"{output}: the noise of {len(lost)} of {total} mixtures, such as {min(lost)}, is lost "
            "in the rounding to 16 bits; ask for a lower --snr, or louder speech",
            RecordingWarning,
            stacklevel=2,
        )
    return MixedSet(output, mixtures, (*mute, *still))


@dataclass(frozen=True)
class _Writing:
    """Makes mixture `number` of a set, and says how it came about and whether its noise is lost."""

    mixer: Mixer
    folder: Path
    format: str
    digits: int
    voices: tuple[Source, ...]
    noises: tuple[tuple[Source, ...], ...]

    def __call__(self, number: int) -> tuple[Mixture, bool]:
        name = f"{number:0{self.digits}}"
        speech, noises = self.voices[number], self.noises[number]
        clean, noisy, mixture = self.mixer.mix(number, name, speech, noises)
        for kind, wave in (("clean", clean), ("noisy", noisy)):
            path = self.folder / kind / f"{name}.{self.format}"
            audio.write(path, wave[None], audio.Info(self.mixer.sample_rate))
        return mixture, active_power(noisy - clean, self.mixer.sample_rate) < ROUNDING


def _sources(folder: Path, what: str) -> list[Source]:
    """The recordings below a folder or of a list, in an order that no file system has a part in."""
    if (named := audio.listed(folder)) is not None:
        places = sorted((name, file) for name, file in named.items())
    else:
        files = recordings(folder, f"name the one with the {what} recordings")
        places = sorted((file.relative_to(folder).as_posix(), file) for file in files)
    return [Source(file, place, place[: max(place.find("/"), 0)]) for place, file in places]


def _usable(
    sources: Sequence[Source],
    stream: int,
    count: int | None,
    mixer: Mixer,
    pool: Spread,
    bar: Bar,
) -> tuple[list[Source], list[Skipped]]:
    """As many of the recordings as `count` mixtures need; those that were skipped on the way."""
    good: list[Source] = []
    bad: list[Skipped] = []
    folded: list[Path] = []
    wanted = len(sources) if count is None else min(count, len(sources))
    label = f"reading {('speech', 'noise')[stream]}"
    waiting = _turns(sources, len(sources), mixer.seed, stream)
    while waiting and len(good) < wanted:
        batch, waiting = waiting[: wanted - len(good)], waiting[wanted - len(good) :]
        paths = [source.path for source in batch]
        verdicts = list(bar(pool(mixer.judge, paths), label, len(batch)))
        for source, (problem, cancels) in zip(batch, verdicts, strict=True):
            if problem:
                bad.append((source.path, problem))
                continue
            good.append(source)
            folded += [source.path] * cancels
    if not good:
        path, problem = bad[0]
        raise MixError(f"none of {len(sources)} recordings can be used, such as {path}: {problem}")
    warn_of_cancelling(folded)
    return good, bad


def _turns(sources: Sequence[Source], count: int, seed: int, stream: int) -> list[Source]:
    """`count` of them: all in a random order, then all in another one, and so on."""
    rounds = (
        default_rng([seed, stream, turn]).permutation(len(sources))
        for turn in range(ceil(count / len(sources)))
    )
    return [sources[i] for order in rounds for i in order][:count]


def _write_index(path: Path, mixtures: Sequence[Mixture]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in fields(Mixture))
        writer.writerows(map(_text, astuple(mixture)) for mixture in mixtures)


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.9g}" if isinstance(value, float) else value


@contextmanager
def _spread(workers: int | Pool) -> Iterator[Spread]:
    """What maps a function over items, in their order; left, by Ctrl-C too, it begins nothing."""
    if isinstance(workers, Pool):
        yield partial(_in_order, workers)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: Pool, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """What a pool makes of items, as soon as those before are done; of equal ones it is equal."""
    listed = list(items)
    done: dict[Any, Any] = {}
    waiting = iter(listed)
    following = next(waiting, None)
    with closing(pool.map_unordered(function, listed)) as results:
        for item, result in results:
            done[item] = result
            while following in done:
                yield done[following]
                following = next(waiting, None)


def _check_output(output: Path, overwrite: bool, sources: Sequence[Path]) -> None:
    """Refuse to destroy what is no set, or what the set is made of."""
    for source in (source.resolve() for source in sources):
        if source.is_relative_to(output.resolve()) or output.resolve().is_relative_to(source):
            raise MixError(f"{output} and {source} lie in one another; name another output folder")
    if not output.exists():
        return
    if not overwrite:
        raise MixError(f"{output} exists; name another folder, or use --overwrite (overwrite=True)")
    entries = {path.name for path in output.iterdir()} if output.is_dir() else {"a file"}
    foreign = sorted(entries - {"clean", "noisy", INDEX})
    if foreign or (entries and INDEX not in entries):
        what = f"it holds {foreign[0]}" if foreign else f"it has no {INDEX}"
        raise MixError(f"{output} is no set that could be replaced: {what}; name another folder")


def _apart(voices: Sequence[Source], noises: Sequence[Source], size: int) -> list[list[Source]]:
    """As many noises for each voice, none of which is the same recording as the voice or another.

    Where they are, in folders that hold the same recordings, the next one in turn that may be takes
    the place. Raises `MixError` where there are too few.
    """
    groups = []
    for number, voice in enumerate(voices):
        group: list[Source] = []
        for i in range(number * size, (number + 1) * size):
            turn = (noises[(i + k) % len(noises)] for k in range(len(noises)))
            taken = {source.path.resolve() for source in (voice, *group)}
            found = next((source for source in turn if source.path.resolve() not in taken), None)
            if found is None:
                raise MixError(
                    f"{voice.place} needs {size} other recordings of noise, and there are fewer; "
                    "ask for fewer --noises, or name a folder with more"
                )
            group.append(found)
        groups.append(group)
    return groups
