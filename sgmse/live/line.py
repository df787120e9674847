"""Sound of a microphone and for a loudspeaker, block by block.

What sounddevice calls runs in a thread that may not wait, so it only moves bytes: from the
microphone to a queue, of at most `HELD` seconds, and from another one to the loudspeaker. Who reads
and writes is the thread that enhances. What is lost on the way is counted.
"""

import threading
from collections import deque
from types import TracebackType
from typing import Any, Self

import numpy as np

from sgmse.audio import Block, Pcm
from sgmse.errors import AudioError
from sgmse.live.devices import Device, Running, sounddevice

HELD = 2.0  # seconds that wait to be worked on; what comes then is lost
PLAYED = 1.0  # seconds that wait to be played; beyond that half of them is skipped
RESERVE = 0.04  # seconds that are there before it plays; after each pause twice as many
MOST_RESERVE = 0.5
MOST = 1.0  # seconds of a block


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
                raise _unusable(device, "open", error) from error

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
        try:
            for device, stream in zip(self._devices, self._streams, strict=True):
                try:
                    stream.start()
                except sounddevice().PortAudioError as error:  # others may have taken it by now
                    raise _unusable(device, "start", error) from error
        except BaseException as error:  # after which nobody leaves the block
            self.__exit__(type(error), error, None)
            raise
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
        """What came, (channels, samples); None if nothing does within that time.

        What was lost is silence, so that what follows keeps its time; but not on the way to a
        loudspeaker, where all that follows would be later by the work on it.

        Raises `AudioError` where the device has stopped.
        """
        with self._moved:
            if not self._heard:
                self._check()
                self._moved.wait(seconds)
            while self.target is not None and self._heard and isinstance(self._heard[0], int):
                self._heard.popleft()
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


def _unusable(device: Device, what: str, error: Exception) -> AudioError:
    """Of a device that does not open or start, with what PortAudio says."""
    text = " ".join(str(error).split())
    remedy = "try another --rate, --channels or device; sgmse live --devices lists them"
    return AudioError(device.name, f"does not {what}: {text}", remedy)
