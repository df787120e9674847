"""Streams inside voice agents: what LiveKit and Pipecat pass their audio through.

    rtc.AudioStream(track, noise_cancellation=livekit_processor(sgmse.load(quality="fast")))
    TransportParams(audio_in_filter=pipecat_filter(sgmse.load(quality="fast")))

Both give samples of 16 bits, in blocks of 10 or 20 ms, and get as many, later by the latency of the
stream. Each participant needs one of its own; the enhancer may be the same for all.
"""

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sgmse._checks import an
from sgmse._extras import imported
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ResultError, ResultWarning
from sgmse.live._stream import LATENCY, Stream

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame, FrameProcessor
    from pipecat.audio.filters.base_audio_filter import BaseAudioFilter


class Samples:
    """Bytes of 16 bits through a stream of their form, and through another one if that changes.

    Args:
        enhancer: of the stream.
        latency: in seconds.
    """

    def __init__(self, enhancer: Enhancer, latency: float) -> None:
        an("enhancer", enhancer, Enhancer, "sgmse.load()")
        self.enhancer, self.latency = enhancer, latency
        self._stream: Stream | None = None
        self._channels = 0

    def begin(self, rate: int, channels: int) -> Stream:
        """The stream of that form. Raises `ArgumentError`, as of a latency that is too short."""
        if self._stream is None or (rate, channels) != (self._stream.sample_rate, self._channels):
            self._stream, self._channels = Stream(self.enhancer, rate, self.latency), channels
        return self._stream

    def end(self) -> None:
        """Forget what was heard: the next samples come after a pause, or from somebody else."""
        self._stream = None

    def light(self, content: bytes | memoryview, rate: int, channels: int) -> bool:
        """Whether these samples complete no piece, so that they cost next to nothing."""
        return len(content) // (2 * channels) < self.begin(rate, channels).due

    def through(self, content: bytes | memoryview, rate: int, channels: int) -> bytes:
        """As many samples; those that came in, with a warning, where the result is unusable."""
        stream = self.begin(rate, channels)
        if len(content) % (2 * channels):
            raise ArgumentError(
                f"{len(content)} bytes are no whole samples of {channels} channels of 16 bits"
            )
        block = np.frombuffer(content, "<i2").reshape(-1, channels).T
        try:
            made: Any = stream(block)
        except ResultError as error:
            stream.reset()
            warnings.warn(f"passed on as it came: {error}", ResultWarning, stacklevel=2)
            return bytes(content)
        return bytes(np.ascontiguousarray(made.T).tobytes())


def livekit_processor(enhancer: Enhancer, latency: float = LATENCY) -> "FrameProcessor[AudioFrame]":
    """A `livekit.rtc.FrameProcessor` of audio, for `noise_cancellation` of an `AudioStream`.

    LiveKit waits for each frame in its event loop, and one that completes a piece takes the work of
    the piece: a causal model is made for it, as its pieces are short. While it is not `enabled`,
    LiveKit passes it by; what was heard before that is forgotten.

    Args:
        enhancer: of the stream.
        latency: in seconds, which are not exceeded.

    Raises:
        MissingPackageError: livekit is not installed.
    """
    rtc: Any = imported("livekit.rtc", "the processor of LiveKit", "livekit")
    samples = Samples(enhancer, latency)

    class Processor(rtc.FrameProcessor):  # type: ignore[misc]
        """Each frame, `latency` seconds later."""

        def __init__(self) -> None:
            self._enabled = True

        @property
        def enabled(self) -> bool:
            """Whether frames pass through it."""
            return self._enabled

        @enabled.setter
        def enabled(self, value: bool) -> None:
            if value != self._enabled:
                samples.end()
            self._enabled = value

        def _process(self, frame: "AudioFrame") -> "AudioFrame":
            rate, channels = frame.sample_rate, frame.num_channels
            content = memoryview(frame.data).cast("B")
            made = samples.through(content, rate, channels)
            result = rtc.AudioFrame(made, rate, channels, frame.samples_per_channel)
            result.userdata.update(frame.userdata)
            return result

        def _close(self) -> None:
            samples.end()

    return Processor()


def pipecat_filter(enhancer: Enhancer, latency: float = LATENCY) -> "BaseAudioFilter":
    """A `pipecat.audio.filters.base_audio_filter.BaseAudioFilter`, for `audio_in_filter`.

    Pieces are worked on in a thread, so that the pipeline goes on meanwhile. A `FilterEnableFrame`
    turns it off and on; what was heard before that is forgotten.

    Args:
        enhancer: of the stream.
        latency: in seconds, which are not exceeded.

    Raises:
        MissingPackageError: pipecat is not installed.
    """
    filters: Any = imported(
        "pipecat.audio.filters.base_audio_filter", "the filter of Pipecat", "pipecat"
    )
    frames: Any = imported("pipecat.frames.frames", "the filter of Pipecat", "pipecat")
    samples = Samples(enhancer, latency)

    class Filter(filters.BaseAudioFilter):  # type: ignore[misc]
        """Samples of one channel, `latency` seconds later."""

        def __init__(self) -> None:
            self._rate = 0
            self._enabled = True

        async def start(self, sample_rate: int) -> None:
            self._rate = sample_rate
            samples.begin(sample_rate, 1)  # what is wrong with it is said now

        async def stop(self) -> None:
            samples.end()

        async def process_frame(self, frame: Any) -> None:
            if isinstance(frame, frames.FilterEnableFrame) and frame.enable != self._enabled:
                samples.end()
                self._enabled = frame.enable

        async def filter(self, audio: bytes) -> bytes:
            if not self._enabled:
                return audio
            if samples.light(audio, self._rate, 1):
                return samples.through(audio, self._rate, 1)
            return await asyncio.to_thread(samples.through, audio, self._rate, 1)

    return Filter()
