"""What one who listens says and gets, in texts and bytes: a stream of PCM, without any network.

    {"type": "start", "coding": "s16", "rate": 48000, "channels": 1}
        {"type": "started", "delay": 22944, "latency": 0.478, ...}
    bytes, whose length is any
        as many frames, `delay` frames later; those before the first one are silent
    {"type": "flush"}
        the last `delay` frames, {"type": "flushed", "frames": 480000, "clipped": false, ...}

After `flush`, or after `reset`, which drops what is held, sound of the same form may follow as a
new recording, or a `start` of another form.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from sgmse._checks import kinds, number, shown, whole
from sgmse.audio import CODINGS, Pcm
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ResultError, SgmseError, did_you_mean
from sgmse.live._stream import LATENCY, Stream
from sgmse.postprocessing import Tops

#: Close codes of RFC 6455, 7.4.1, and of its registry: 1013 is "try again later".
ENDED, NOT_TAKEN, NOT_VALID, NOT_ALLOWED, FAILED, TOO_MANY = 1001, 1003, 1007, 1008, 1011, 1013

#: Other rates may need filters of hundreds of megabytes, and nobody's sound card has them.
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
CHANNELS = 2  # each costs as much as a connection of its own
LONGEST = 5.0  # seconds of latency, all of which is held
TEXT = 4096  # characters of a message
TURN = 0.25  # seconds of sound that are worked on before somebody else's


class Refused(Exception):  # noqa: N818
    """Ends a connection, for a reason in words and the code that a WebSocket has for it."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Start:
    """What comes in, and how it is enhanced.

    Args:
        rate: in Hz, one of `RATES`.
        coding: of the samples, little-endian: u8, s16, s24, s32, f32 or f64.
        channels: in turn, 1 or 2.
        latency: in seconds, which are not exceeded; at most `LONGEST`.
        dry, strength, max_attenuation, upper_band, seed: as of `Stream`.
    """

    rate: int
    coding: str = "s16"
    channels: int = 1
    latency: float = LATENCY
    dry: float | None = None
    strength: float | None = None
    max_attenuation: float | None = None
    upper_band: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        kinds(self)
        if self.rate not in RATES:
            known = ", ".join(map(str, RATES))
            raise ArgumentError(f"rate must be one of {known}, not {self.rate}")
        if self.coding not in CODINGS:
            near = did_you_mean(self.coding, CODINGS)
            raise ArgumentError(
                f"coding must be one of {', '.join(CODINGS)}, not {shown(self.coding)}{near}"
            )
        whole("channels", self.channels, 1, CHANNELS)
        number("latency", self.latency, 0, LONGEST)

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Start":
        """What a message says. Raises `ArgumentError` and `ArgumentTypeError`."""
        known = [field.name for field in fields(cls)]
        for name in said:
            if name not in known:
                near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                raise ArgumentError(f"start has no {shown(name)}{near}")
        if "rate" not in said:
            raise ArgumentError('start needs a rate, such as "rate": 48000')
        return cls(**said)


class Session:
    """One connection: a stream of its own, and what is said of it.

    Args:
        enhancer: which sessions share, as nothing in it changes.
    """

    def __init__(self, enhancer: Enhancer) -> None:
        self.enhancer = enhancer
        self._stream: Stream | None = None
        self._begin()

    def _begin(self) -> None:
        """What comes next is another recording."""
        self.frames = 0
        self._held = b""  # a part of a frame
        self._tops = Tops()

    @property
    def begun(self) -> bool:
        """Whether there was a `start`."""
        return self._stream is not None

    def told(self, text: str) -> list[str | bytes]:
        """The answers to a text. Raises `Refused`."""
        said = _read(text)
        kind = said.pop("type", None)
        if kind == "start":
            return [self._started(said)]
        if kind not in ("flush", "reset"):
            near = did_you_mean(kind, ("start", "flush", "reset"))
            raise Refused(NOT_TAKEN, f"type must be start, flush or reset, not {shown(kind)}{near}")
        if said:
            raise Refused(NOT_TAKEN, f"{kind} has no {shown(next(iter(said)))}")
        stream = self._known()
        if kind == "reset":
            stream.reset()
            self._begin()
            return [json.dumps({"type": "reset"})]
        return self.rest()

    def turns(self, content: bytes) -> Iterator[bytes]:
        """A message in parts that are `TURN` long at most, as others wait for theirs."""
        self._known()
        size = self._pcm.frame * max(round(TURN * self._pcm.sample_rate), 1)
        for start in range(0, len(content), size):
            yield content[start : start + size]

    def light(self, content: bytes) -> bool:
        """Whether these bytes complete no piece, so that they cost next to nothing."""
        return (len(self._held) + len(content)) // self._pcm.frame < self._known().due

    def heard(self, content: bytes) -> bytes:
        """As many frames as are whole with these bytes. Raises `Refused`."""
        stream, pcm = self._known(), self._pcm
        content = self._held + content
        end = len(content) // pcm.frame * pcm.frame
        samples = pcm.samples(content[:end])
        try:
            made = stream(samples)
        except ArgumentError as error:  # of a block, which the stream has not taken
            seconds = self.frames / pcm.sample_rate
            raise Refused(NOT_VALID, f"after {seconds:.2f} s, {error}") from error
        except ResultError as error:
            raise Refused(FAILED, str(error)) from error
        self._held = content[end:]
        self.frames += end // pcm.frame
        self._tops.add(samples)
        return pcm.content(made)

    def rest(self) -> list[str | bytes]:
        """What is still held, and how long the recording was. Raises `Refused`."""
        try:
            rest = self._known().flush() if self.frames else np.zeros((self._pcm.channels, 0))
        except ResultError as error:
            raise Refused(FAILED, str(error)) from error
        # A part of a frame is no sound: it is left out, and that is said.
        text = {"type": "flushed", "frames": self.frames, "bytes_left_out": len(self._held)}
        text["clipped"] = self._tops.clipped and "clipping" not in self.enhancer.mends
        self._begin()
        return [self._pcm.content(rest), json.dumps(text)]

    def _known(self) -> Stream:
        if self._stream is None:
            text = 'the first message must say what comes: {"type": "start", "rate": 48000}'
            raise Refused(NOT_ALLOWED, text)
        return self._stream

    def _started(self, said: dict[str, Any]) -> str:
        if self.frames or self._held:
            raise Refused(NOT_ALLOWED, "start within a recording; flush or reset it before")
        try:
            start = Start.of(said)
            self._pcm = Pcm(start.coding, start.rate, start.channels)  # type: ignore[arg-type]
            self._stream = stream = Stream(
                self.enhancer,
                start.rate,
                start.latency,
                seed=start.seed,
                dry=start.dry,
                strength=start.strength,
                max_attenuation=start.max_attenuation,
                upper_band=start.upper_band,
            )
        except SgmseError as error:
            raise Refused(NOT_ALLOWED, str(error)) from error
        known = {"type": "started", "delay": stream.delay}
        return json.dumps(known | asdict(start) | {"latency": stream.latency})


def _read(text: str) -> dict[str, Any]:
    """What a message holds."""
    if len(text) > TEXT:
        raise Refused(NOT_ALLOWED, f"a text is {len(text)} characters long, and may be {TEXT}")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(NOT_VALID, f"a text is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise Refused(NOT_VALID, f"a text must be an object of JSON, not {shown(said)}")
    return said
