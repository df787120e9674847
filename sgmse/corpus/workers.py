"""What runs on the machines of a cluster: a model on a device, and who reads and writes for it.

A worker does a job as `Settings.enhance` does on one machine. Where files would keep a GPU waiting,
three do it: `decode` anywhere, the worker, `encode` anywhere. What passes between them is a wave of
float samples, so that the result is the same. A hand does the items of any function.
"""

import os
import pickle
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from sgmse import audio
from sgmse.corpus.jobs import Job, Made
from sgmse.corpus.remarks import gathered, heard
from sgmse.corpus.settings import Settings
from sgmse.corpus.shards import Named
from sgmse.enhancer import Enhancer
from sgmse.errors import SgmseError, WorkerError
from sgmse.export import Backend, accelerated

#: Samples of all channels of a recording that may pass as a whole; longer ones stay in one place.
LONGEST = 1 << 24


@dataclass(frozen=True)
class Station:
    """What a process needs to know before it works.

    Args:
        folder: from where relative names are meant.
        device: of the model.
        threads: of the processor.
        backend: what computes the network on a CPU.
    """

    folder: Path
    device: str = "cpu"
    threads: int = 1
    backend: Backend = "torch"

    def check(self, version: str) -> None:
        """Raise `WorkerError` on a machine with another version than the one who asks."""
        from sgmse import __version__

        if version != __version__:
            raise WorkerError(
                f"the machine {os.uname().nodename} has sgmse {__version__}, and this one "
                f"{version}; install the same on all"
            )

    def enter(self) -> None:
        """Go there. Raises `WorkerError` on a machine that does not have the folder."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise WorkerError(
                f"the machine {os.uname().nodename} does not have the folder {self.folder} "
                f"({error.strerror}); share it between the machines under this name"
            ) from error

    def begin(self, version: str, held: ExitStack) -> None:
        """Make a process of the machine one that works; what is warned of is heard from then on.

        Raises:
            WorkerError: the version is another one, or the folder is not there.
        """
        self.check(version)
        self.enter()
        held.enter_context(heard())  # for as long as the process lasts


@dataclass(frozen=True)
class Done:
    """What became of a job, or of a part: why it failed, if so, what was warned of, seconds."""

    error: Exception | None = None
    warnings: tuple[str, ...] = ()
    elapsed: float = 0.0
    made: Made | None = None


@dataclass(frozen=True)
class Answer:
    """What a function made of an item, or why it failed; what was warned of."""

    value: Any
    error: Exception | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sound:
    """A recording on its way, a wave of float samples; what was warned of, seconds so far."""

    content: bytes
    warnings: tuple[str, ...] = ()
    elapsed: float = 0.0


class Worker:
    """A model on a device of one machine, in a process of its own."""

    def __init__(self, enhancer: Enhancer, station: Station) -> None:
        self.enhancer, self.station = enhancer, station
        self.held = ExitStack()

    def ready(self, version: str) -> Exception | None:
        """Prepare; why that failed."""
        try:
            self.station.begin(version, self.held)
            torch.set_num_threads(self.station.threads)  # which a backend is timed with
            if self.station.backend == "torch":
                model = self.enhancer.model.to(self.station.device)
                model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                self.enhancer.front.to(self.station.device)
            else:
                self.enhancer = accelerated(self.enhancer, self.station.backend)
        except Exception as error:
            return _portable(error)
        return None

    def enhance(self, job: Job, settings: Settings) -> Done:
        """Do a job from its file to its result."""
        torch.set_num_threads(self.station.threads)  # of this thread, in which Ray calls
        made: Made | None = None

        def work() -> None:
            nonlocal made
            made = settings.enhance(self.enhancer, job)

        done = _finished(_attempt(work))
        if made is not None:
            lost = tuple(replace(one, error=_portable(one.error)) for one in made.lost)
            made = replace(made, lost=lost)
        return replace(done, made=made)

    def enhance_sound(self, job: Job, settings: Settings, sound: Sound | Done) -> Sound | Done:
        """The part of a job that needs the model."""
        if isinstance(sound, Done):
            return sound
        torch.set_num_threads(self.station.threads)

        def work() -> bytes:
            out = Named(job.target)
            heard = replace(job, opened=Named(job.source, sound.content))
            floats = replace(settings, format="wav", bitrate=None, clip_mode="none")
            floats.enhance(self.enhancer, heard, into=out)
            return out.getvalue()

        return _attempt(work, sound)


class Hand:
    """A process of one machine that does items of one function."""

    def __init__(self, function: Callable[[Any], Any], station: Station) -> None:
        self.function, self.station = function, station
        self.held = ExitStack()

    def ready(self, version: str) -> Exception | None:
        """Prepare; why that failed."""
        try:
            self.station.begin(version, self.held)
        except Exception as error:
            return _portable(error)
        return None

    def do(self, item: object) -> Answer:
        """What the function makes of an item."""
        torch.set_num_threads(self.station.threads)  # of this thread, in which Ray calls
        value: Any = None
        failure: Exception | None = None
        with gathered() as warnings:
            try:
                value = self.function(item)
            except Exception as error:
                failure = _portable(error)
        return Answer(value, failure, tuple(warnings))


def decode(job: Job, station: Station) -> Sound | Done:
    """Read the recording of a job, which is whole and finite after that."""

    def work() -> bytes:
        station.enter()
        samples, about = audio.read(job.sound)
        wave = Named(job.source)
        form = audio.Info(about.sample_rate, about.channels, subtype="FLOAT")
        audio.write(wave, samples, form, "wav")
        return wave.getvalue()

    with heard():
        return _attempt(work)


def encode(job: Job, settings: Settings, station: Station, sound: Sound | Done) -> Done:
    """Write the result of a job."""
    if isinstance(sound, Done):
        return sound

    def work() -> None:
        station.enter()
        settings.write(job, Named(job.source, sound.content))

    with heard():
        return _finished(_attempt(work, sound))


def fits(job: Job) -> bool:
    """Whether the samples of a job may pass from one process to another as a whole."""
    samples = job.seconds * job.sample_rate * job.channels
    return 0 < samples <= LONGEST and job.picture is None


def _attempt(work: Callable[[], bytes | None], before: Sound = Sound(b"")) -> Sound | Done:
    """A part of a job after another one; what it raises is what became of the job."""
    start = perf_counter()
    failure: Exception | None = None
    content: bytes | None = None
    with gathered() as warnings:
        try:
            content = work()
        except Exception as error:
            failure = _portable(error)
    said, elapsed = (*before.warnings, *warnings), before.elapsed + perf_counter() - start
    return Sound(content or b"", said, elapsed) if failure is None else Done(failure, said, elapsed)


def _finished(made: Sound | Done) -> Done:
    return made if isinstance(made, Done) else Done(None, made.warnings, made.elapsed)


def _portable(error: Exception) -> Exception:
    """The same error, with where it comes from as a note; or its text, if it cannot be sent."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # whatever its class does
        pass
    kind = WorkerError if isinstance(error, SgmseError) else RuntimeError
    return kind(f"{type(error).__name__}: {error}")
