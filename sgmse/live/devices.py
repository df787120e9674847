"""Microphones and loudspeakers: PortAudio, by the package sounddevice (extra `live`).

What sounddevice calls runs in a thread that may not wait, so it only moves bytes: from the
microphone to a queue, of at most `HELD` seconds, and from another one to the loudspeaker. Who reads
and writes is the thread that enhances. What is lost on the way is counted.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, cast

import numpy as np

from sgmse._extras import imported
from sgmse.audio import Block, Pcm
from sgmse.errors import ArgumentError, AudioError, MissingPackageError

HELD = 2.0  # seconds that wait to be worked on; what comes then is lost
PLAYED = 1.0  # seconds that wait to be played; beyond that half of them is skipped
RESERVE = 0.04  # seconds that are there before it plays; after each pause twice as many
MOST_RESERVE = 0.5
MOST = 1.0  # seconds of a block


class Running(Protocol):
    """A stream of sounddevice: `RawInputStream` or `RawOutputStream`."""

    @property
    def active(self) -> bool:
        """Whether it calls back."""

    @property
    def latency(self) -> float:
        """In seconds."""

    def start(self) -> None:
        """Begin to call back."""

    def stop(self) -> None:
        """End, when what it has was played."""

    def abort(self) -> None:
        """End at once."""

    def close(self) -> None:
        """Give the device back."""


class SoundDevice(Protocol):
    """What is used of the module sounddevice."""

    PortAudioError: type[Exception]
    RawInputStream: Callable[..., Running]
    RawOutputStream: Callable[..., Running]
    default: Any

    def query_devices(self) -> Sequence[Mapping[str, Any]]:
        """All devices, by their numbers."""


@dataclass(frozen=True)
class Device:
    """A microphone, a loudspeaker, or both.

    Args:
        number: of PortAudio.
        name: that it has in the system.
        inputs, outputs: channels.
        rate: that it takes without a conversion, in Hz.
        default_input, default_output: whether it is that of the system.
    """

    number: int
    name: str
    inputs: int
    outputs: int
    rate: int
    default_input: bool = False
    default_output: bool = False


def sounddevice() -> SoundDevice:
    """The module. Raises `MissingPackageError` without it, or without PortAudio."""
    try:
        return cast("SoundDevice", imported("sounddevice", "sound of devices", "live"))
    except OSError as error:  # of the package, which for Linux is without the library
        raise MissingPackageError(
            f"sound of devices needs the library PortAudio ({error}): apt install libportaudio2, "
            "or as your system has it"
        ) from error


def devices() -> list[Device]:
    """All that there are, which may be none. Raises `MissingPackageError`."""
    sound = sounddevice()
    first, second = sound.default.device
    return [
        Device(
            number,
            str(about["name"]),
            int(about["max_input_channels"]),
            int(about["max_output_channels"]),
            round(about["default_samplerate"]),
            number == first,
            number == second,
        )
        for number, about in enumerate(sound.query_devices())
    ]


def microphone(word: str) -> Device:
    """That of a number, of a part of a name, or "default". Raises `ArgumentError`."""
    able = [device for device in devices() if device.inputs]
    return _named(word, able, [d for d in able if d.default_input], "microphone")


def loudspeaker(word: str) -> Device:
    """The same."""
    able = [device for device in devices() if device.outputs]
    return _named(word, able, [d for d in able if d.default_output], "loudspeaker")


def _named(word: str, able: list[Device], default: list[Device], what: str) -> Device:
    if not able:
        raise ArgumentError(
            f"PortAudio finds no {what} on this machine; sound of files and pipes needs none"
        )
    if word == "default":
        return (default or able)[0]
    low = word.lower()
    found = [d for d in able if str(d.number) == word or d.name.lower() == low]
    found = found or [d for d in able if low in d.name.lower()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ArgumentError(f"there is no {what} {word!r}; sgmse live --devices lists them")
    names = ", ".join(f"{d.number} {d.name}" for d in found[:5])
    raise ArgumentError(f"several are a {what} {word!r}: {names}; name one by its number")


class Line:
    """Blocks from a microphone, to a loudspeaker, or both, while its block lasts.

    Args:
        rate: of both, in Hz.
        channels: of the blocks; to a loudspeaker of more, one channel goes to two.
        source: of what is read.
        target: of what is written.

    Raises:
        MissingPackageError: as `sounddevice`.
        AudioError: the device does not open.
    """

    def __init__(
        self, rate: int, channels: int, source: Device | None, target: Device | None
    ) -> None:
        self.rate, self.source, self.target = rate, source, target
        self._devices = [device for device in (source, target) if device is not None]
        self.overruns = 0  # times that sound of the microphone was lost
        self.lost = 0  # frames that nobody took in time, beside those that the device lost
        self.underruns = 0  # times that the loudspeaker had nothing to play
        self.skipped = 0  # frames that were too late to be played
        self._pcm = Pcm("f32", rate, channels)
        outputs = 0 if target is None else target.outputs
        self._copies = 2 if channels == 1 and outputs > 1 else 1
        self._played = Pcm("f32", rate, channels * self._copies)
        self._heard: deque[bytes | int] = deque()  # a number: so many frames were lost
        self._waiting = 0  # frames
        self._sound = bytearray()
        self._paused, self._last, self._reserve = True, False, RESERVE
        self._moved = threading.Condition()
        self._streams: list[Running] = []
        try:
            self._open()
        except BaseException:
            for stream in self._streams:
                stream.close()
            raise

    def _open(self) -> None:
        """A stream for each direction.

        One for both would go at the pace of the loudspeaker: what the microphone heard while the
        machine was busy would stay in its buffers, and all that follows would be later by that.
        """
        sound = sounddevice()
        same = {"samplerate": self.rate, "dtype": "float32"}
        for device, kind, pcm, callback in (
            (self.source, sound.RawInputStream, self._pcm, self._input),
            (self.target, sound.RawOutputStream, self._played, self._output),
        ):
            if device is None:
                continue
            own = {"device": device.number, "channels": pcm.channels, "callback": callback}
            try:
                self._streams.append(kind(**same, **own))
            except (sound.PortAudioError, ValueError) as error:
                text = " ".join(str(error).split())
                remedy = "try another --rate, --channels or device; sgmse live --devices lists them"
                raise AudioError(device.name, f"does not open: {text}", remedy) from error

    @property
    def latency(self) -> float:
        """Seconds that the devices take, and that what waits to be played is."""
        seconds = sum(stream.latency for stream in self._streams)
        return seconds + len(self._sound) / self._played.frame / self.rate

    @property
    def losses(self) -> list[str]:
        """In words, what was lost or came too late so far."""
        said = []
        if self.overruns:
            more = f", {self.lost / self.rate:.2f} s of it as the work took too long"
            times = f"{self.overruns} overrun{'s' * (self.overruns > 1)}"
            said.append(f"{times} of the microphone{more if self.lost else ''}")
        if self.underruns:
            times = f"{self.underruns} underrun{'s' * (self.underruns > 1)}"
            said.append(f"{times} of the loudspeaker")
        if self.skipped:
            said.append(f"{self.skipped / self.rate:.2f} s too late to be played")
        return said

    @property
    def _active(self) -> bool:
        return all(stream.active for stream in self._streams)

    def __enter__(self) -> Self:
        for stream in self._streams:
            stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        for stream in self._streams:
            if kind is None and stream.active:
                stream.stop()
            else:
                stream.abort()
            stream.close()

    def read(self, seconds: float) -> Block | None:
        """What came, (channels, samples), with silence for what was lost; None within that time.

        Raises `AudioError` where the device has stopped.
        """
        with self._moved:
            if not self._heard:
                self._check()
                self._moved.wait(seconds)
            if not self._heard:
                return None
            first = self._heard.popleft()
            if isinstance(first, int):
                frames = min(first, round(MOST * self.rate))
                if first > frames:
                    self._heard.appendleft(first - frames)
                return np.zeros((self._pcm.channels, frames))
            parts = [first]
            while self._heard and isinstance(more := self._heard[0], bytes):
                parts.append(more)
                self._heard.popleft()
            content = b"".join(parts)
            self._waiting -= len(content) // self._pcm.frame
        return self._pcm.samples(content)

    def write(self, block: Block, wait: bool) -> None:
        """Play it after what waits; `wait` where too much does, or skip what is too late.

        Raises `AudioError` where the device has stopped.
        """
        content = self._played.content(np.repeat(block, self._copies, axis=0))
        frame, most = self._played.frame, round(PLAYED * self.rate)
        with self._moved:
            while wait and len(self._sound) > most * frame:
                self._check()
                self._moved.wait(0.1)
            self._check()
            self._sound += content
            if not wait and (late := len(self._sound) // frame - most) > 0:
                late += most // 2  # at once: what is skipped bit by bit crackles
                del self._sound[: late * frame]
                self.skipped += late

    def drain(self) -> None:
        """Wait until all was played."""
        with self._moved:
            self._last = True
            while self._sound and self._active:
                self._moved.wait(0.1)

    def _check(self) -> None:
        for device, stream in zip(self._devices, self._streams, strict=True):
            if not stream.active:
                raise AudioError(device.name, "has stopped", "see whether it is still plugged in")

    # Called by PortAudio

    def _input(self, heard: Any, frames: int, time: Any, status: Any) -> None:
        with self._moved:
            if status.input_overflow:
                self.overruns += 1
            if self._waiting + frames <= HELD * self.rate:
                self._heard.append(bytes(heard))
                self._waiting += frames
            else:
                self.lost += frames
                if self._heard and isinstance(last := self._heard[-1], int):
                    self._heard[-1] = last + frames
                else:
                    self.overruns += 1
                    self._heard.append(frames)
            self._moved.notify()

    def _output(self, played: Any, frames: int, time: Any, status: Any) -> None:
        size = len(played)
        with self._moved:
            if status.output_underflow:
                self.underruns += 1
            enough = len(self._sound) >= round(self._reserve * self.rate) * self._played.frame
            if enough or self._last:
                self._paused = False
            taken = b"" if self._paused else bytes(self._sound[:size])
            del self._sound[: len(taken)]
            if len(taken) < size and not (self._paused or self._last):
                self._paused = True
                self._reserve = min(2 * self._reserve, MOST_RESERVE)
                self.underruns += 1
            self._moved.notify()
        played[:] = taken + bytes(size - len(taken))
