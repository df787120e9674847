"""What a benchmark runs: something that has, or makes, an enhanced file of a noisy one.

A system is a frozen dataclass that says all that decides what comes out. `require` refuses, before
any work, what cannot run. A `Maker` loads in `opened` what it needs, once for many files; those
that work on arrays are `Waves`: files, channels and time are taken care of here. More are in
`ours`, `peers`, `programs`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from sgmse import audio
from sgmse._files import whole
from sgmse.data.pairs import Pair, recordings
from sgmse.errors import ArgumentError, SystemFailedError
from sgmse.scoring.provenance import versions

Signal = NDArray[np.float32]  # (samples,)

WARM_UP = 0.5  # seconds of noise that are enhanced first: what a library does once is not timed


class Work(NamedTuple):
    """What an enhanced file took; None for what is not known.

    Args:
        seconds: without loading, reading and writing.
        evaluations: of the network that refines, for each piece of the recording.
        memory: bytes that this process held at most until now.
    """

    seconds: float
    evaluations: float | None = None
    memory: int | None = None


#: (audio (samples,), rate in Hz, seed) -> (samples,), enhanced and without delay.
Wave = Callable[[Signal, int, int], Signal]
#: (noisy file, enhanced file, seed) -> what it took. The enhanced file appears whole or not at all.
Enhance = Callable[[Path, Path, int], Work]


class System(ABC):
    """Something that enhances; subclasses are frozen dataclasses."""

    def ready(self, pairs: Sequence[Pair], which: str) -> Mapping[str, Path] | None:
        """Files of the set `which` that are there, by the names of pairs; None if it makes them."""
        return None

    @property
    def seeded(self) -> bool:
        """Whether a seed changes what comes out."""
        return False

    def below(self, root: Path) -> "System":
        """The same with relative paths taken from `root`."""
        return self

    @abstractmethod
    def require(self) -> None:
        """Raise `ValueError` or `ImportError` with the remedy if it cannot run."""

    def conditions(self) -> Mapping[str, str]:
        """What the enhanced files depend on beside the noisy ones and the seed."""
        return {"system": repr(self), **versions()}


class Maker(System):
    """A system that makes the enhanced files; the others have them `ready`."""

    @abstractmethod
    def opened(self) -> Enhance:
        """Ready to enhance files."""


@dataclass(frozen=True)
class Noisy(System):
    """The noisy recordings as they are: what all others must improve."""

    def ready(self, pairs: Sequence[Pair], which: str) -> Mapping[str, Path]:
        """The noisy files."""
        return {pair.name: pair.noisy for pair in pairs if pair.noisy is not None}

    def conditions(self) -> Mapping[str, str]:
        """Nothing that the files do not show."""
        return {"system": "the noisy recordings"}

    def require(self) -> None:
        """Nothing is needed."""


@dataclass(frozen=True)
class Folder(System):
    """Finished files, made elsewhere; named like the noisy ones, whatever their format.

    Args:
        folder: where they are; {set} in it stands for the name of the set.
    """

    folder: Path

    def ready(self, pairs: Sequence[Pair], which: str) -> Mapping[str, Path]:
        """Its files of the same places as the pairs, or of the same names if these are unique."""
        folder = Path(str(self.folder).replace("{set}", which))
        files = recordings(folder)
        counts = Counter(map(_last, files))
        names = {_last(name): name for name in files if counts[_last(name)] == 1}
        asked = Counter(_last(pair.name) for pair in pairs)
        found = {}
        for pair in pairs:
            alike = names.get(_last(pair.name)) if asked[_last(pair.name)] == 1 else None
            if (name := pair.name if pair.name in files else alike) is not None:
                found[pair.name] = files[name]
        if not found:
            raise ArgumentError(
                f"no recording in {folder} has the name of a noisy one, such as {pairs[0].name!r}"
            )
        return found

    def conditions(self) -> Mapping[str, str]:
        """Nothing that the files do not show."""
        return {"system": "finished files"}

    def below(self, root: Path) -> "Folder":
        """The folder below `root`."""
        return replace(self, folder=root / self.folder)

    def require(self) -> None:
        """Nothing that `ready` does not ask for."""


def _last(name: str) -> str:
    return name.rpartition("/")[2]


class Waves(Maker):
    """A system that works on arrays."""

    @abstractmethod
    def loaded(self) -> Callable[[], Wave]:
        """What gives, for each channel of each recording, a `Wave` with a state of its own.

        Only what the `Wave` does is timed.
        """

    def opened(self) -> Enhance:
        """Each channel by itself."""
        fresh = self.loaded()
        fresh()(noise(16000), 16000, 0)

        def file(source: Path, target: Path, seed: int) -> Work:
            noisy, about = audio.read(source)
            waves = [fresh() for _ in noisy]
            start = perf_counter()
            clean = [
                w(channel, about.sample_rate, seed) for w, channel in zip(waves, noisy, strict=True)
            ]
            seconds = perf_counter() - start
            put(target, checked(clean, noisy), about.sample_rate)
            return Work(seconds, None, peak_memory())

        return file

    def enhance(self, samples: Signal, sample_rate: int, seed: int = 0) -> Signal:
        """One recording (samples,) at a rate in Hz; loads what is needed each time."""
        return checked([self.loaded()()(samples, sample_rate, seed)], samples[None])[0]


def put(target: Path, samples: Signal, sample_rate: int) -> None:
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


def noise(sample_rate: int) -> Signal:
    """What a system is warmed up with."""
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
