"""What a benchmark compares: systems, which have or make an enhanced file of each noisy one.

    System            has `files` (Noisy, Folder), or can `load` what makes them (Model, Command)
    SignalEnhancer    a System that makes an array of an array (the peers)

A system is a frozen dataclass that says all that decides what comes out. To add one, derive it of
one of these, and name it in the table `sgmse.bench.suite.SYSTEMS` if suites in YAML shall know it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from typing_extensions import override

from sgmse import audio
from sgmse._files import whole
from sgmse.data.pairs import Pair, match_names, recordings_by_name
from sgmse.errors import ArgumentError, ArgumentTypeError, SystemFailedError
from sgmse.scoring.provenance import About, versions

Signal = NDArray[np.float32]  # (samples,)

WARM_UP = 0.5  # seconds of noise that are enhanced first: what a library does once is not timed


class Usage(NamedTuple):
    """What it took to enhance a file; None for what is not known.

    Args:
        seconds: without loading, reading and writing.
        evaluations: of the network that refines, for each piece of the recording.
        memory: bytes that this process held at most until now.
        at_once: recordings that were enhanced at the same time, and share the seconds.
    """

    seconds: float
    evaluations: float | None = None
    memory: int | None = None
    at_once: int = 1


#: (audio (samples,), rate in Hz, seed) -> (samples,), enhanced and without delay.
EnhanceSignal = Callable[[Signal, int, int], Signal]
#: (noisy file, enhanced file, seed) -> what it took. The enhanced file appears whole or not at all.
EnhanceFile = Callable[[Path, Path, int], Usage]
#: The same of many at once: for each what it took, or why there is none.
EnhanceFiles = Callable[[Sequence[tuple[Path, Path, int]]], list[Usage | Exception]]


class System:
    """Something that enhances; subclasses are frozen dataclasses with `files` or `load`."""

    @property
    def seeded(self) -> bool:
        """Whether a seed changes what comes out."""
        return False

    def rooted(self, folder: Path) -> Self:
        """The same with its relative paths taken from a folder."""
        return replace(self, **rooted_paths(self, folder))  # type: ignore[type-var]

    @property
    def at_once(self) -> int:
        """How many recordings are to be enhanced at once, in one process, by `load_together`."""
        return 1

    def on(self, device: str) -> Self:
        """The same on a device of torch, if it runs on one and does not say on which."""
        return self

    def require(self) -> None:
        """Raise `ValueError` or `ImportError` with the remedy if it cannot run."""

    def conditions(self) -> Mapping[str, str]:
        """What the enhanced files depend on beside the noisy ones and the seed."""
        return {"system": repr(self), **versions()}

    def about(self, conditions: Mapping[str, str]) -> About:
        """What a reader of the tables is told of it, and of its `conditions`."""
        return About(repr(self))

    def files(self, pairs: Sequence[Pair], set_name: str) -> Mapping[str, Path] | None:
        """Finished ones of a set, by the names of its pairs; None if they are to be made.

        Raises `ValueError` if there should be some and are none.
        """
        return None

    def load(self) -> EnhanceFile:
        """What makes them, with all that is loaded once for many files.

        Raises `ArgumentTypeError` for a class that has neither them nor what makes them.
        """
        raise ArgumentTypeError(f"{type(self).__name__} overrides neither files nor load")

    def load_together(self) -> EnhanceFiles:
        """What makes many at once; asked for where `at_once` is more than 1."""
        raise ArgumentTypeError(f"{type(self).__name__} does not override load_together")


class SignalEnhancer(System, ABC):
    """A system that makes an array of an array, each channel by itself."""

    @abstractmethod
    def load_signal(self) -> Callable[[], EnhanceSignal]:
        """What gives, for each channel of each recording, one with a state of its own.

        Only the call of what it gives is timed.
        """

    @override
    def load(self) -> EnhanceFile:
        """Files, their channels and the clock are taken care of here."""
        fresh = self.load_signal()
        fresh()(warm_up(16000), 16000, 0)

        def enhance(source: Path, target: Path, seed: int) -> Usage:
            noisy, about = audio.read(source)
            states = [fresh() for _ in noisy]
            start = perf_counter()
            clean = [
                state(channel, about.sample_rate, seed)
                for state, channel in zip(states, noisy, strict=True)
            ]
            seconds = perf_counter() - start
            write_exact(target, checked(clean, noisy), about.sample_rate)
            return Usage(seconds, None, peak_memory())

        return enhance

    def enhance(self, samples: Signal, sample_rate: int, seed: int = 0) -> Signal:
        """One recording (samples,) at a rate in Hz; loads what is needed each time."""
        clean = self.load_signal()()(samples, sample_rate, seed)
        return checked([clean], samples[None]).squeeze(0)


@dataclass(frozen=True)
class Noisy(System):
    """The noisy recordings as they are: what all others must improve."""

    @override
    def files(self, pairs: Sequence[Pair], set_name: str) -> Mapping[str, Path]:
        return {pair.name: pair.enhanced for pair in pairs}

    @override
    def conditions(self) -> Mapping[str, str]:
        """Nothing that the files do not show."""
        return {"system": "the noisy recordings"}

    @override
    def about(self, conditions: Mapping[str, str]) -> About:
        return About("the noisy recordings as they are")


@dataclass(frozen=True)
class Folder(System):
    """Files made elsewhere; named like the noisy ones, whatever their format.

    Args:
        folder: where they are; {set} in it stands for the name of the set.
    """

    folder: Path

    @override
    def files(self, pairs: Sequence[Pair], set_name: str) -> Mapping[str, Path]:
        """Those of the same places as the pairs, or of the same names if these are unique."""
        folder = Path(str(self.folder).replace("{set}", set_name))
        there = recordings_by_name(folder)
        names = match_names([pair.name for pair in pairs], there)
        if not names:
            raise ArgumentError(
                f"no recording in {folder} has the name of a noisy one, such as {pairs[0].name!r}"
            )
        return {name: there[place] for name, place in names.items()}

    @override
    def conditions(self) -> Mapping[str, str]:
        """Nothing that the files do not show."""
        return {"system": "finished files"}

    @override
    def about(self, conditions: Mapping[str, str]) -> About:
        """Not where they lie."""
        return About("finished files")


def rooted_paths(value: Any, folder: Path) -> dict[str, Any]:
    """The fields of a dataclass that are paths, relative ones taken from a folder."""
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: folder / path for name, path in values.items() if isinstance(path, Path)}


def write_exact(target: Path, samples: Signal, sample_rate: int) -> None:
    """Write (channels, samples) as 32 bit float WAV: not rounded, never clipped, whole or not.

    libsndfile would write the time of day into it, so that equal results had unequal files.
    """
    with whole(target) as part:
        wavfile.write(part, sample_rate, samples.T)


def checked(clean: list[Signal], noisy: Signal) -> Signal:
    """The channels of a result (channels, samples). Raises `SystemFailedError` for what is none."""
    shapes = {np.shape(channel) for channel in clean}
    if shapes != {noisy.shape[1:]}:
        raise SystemFailedError(
            f"of {noisy.shape[1]} samples it made an array of shape {shapes.pop()}"
        )
    result = np.asarray(clean, np.float32)
    if not np.isfinite(result).all():
        raise SystemFailedError("it made samples that are not finite")
    return result


def warm_up(sample_rate: int) -> Signal:
    """Noise (samples,) that is enhanced before anything is timed."""
    samples = np.random.default_rng(0).standard_normal(round(WARM_UP * sample_rate))
    return 0.1 * samples.astype(np.float32)


def peak_memory() -> int | None:
    """Bytes that this process held at most; None where the system does not say."""
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    lines = dict(line.partition(":")[::2] for line in text.splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
