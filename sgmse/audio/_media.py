"""Containers that libsndfile does not know, such as those of films, read by PyAV (extra media)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from sgmse._extras import imported
from sgmse.audio import _speakers
from sgmse.audio._info import FOREIGN, Info, Samples
from sgmse.audio._sources import bytes_at, size_of
from sgmse.errors import AudioError, MissingPackageError

#: A container of PyAV, whose types need it.
Container: TypeAlias = Any

FORMATS = {container for containers in FOREIGN.values() for container in containers}

#: What FFmpeg calls a codec -> what libsndfile does, where it has it.
CODINGS = {
    **{
        f"pcm_{kind}{end}": f"PCM_{kind[1:]}"
        for kind in ("s16", "s24", "s32")
        for end in ("le", "be")
    },
    **dict.fromkeys(("pcm_f32le", "pcm_f32be"), "FLOAT"),
    **dict.fromkeys(("pcm_mulaw", "pcm_alaw"), "ULAW"),
    **dict.fromkeys(("mp3", "mp3float"), "MPEG_LAYER_III"),
    "alac": "ALAC_16",
    **dict.fromkeys(("amrnb", "amr_nb", "libopencore_amrnb"), "AMR_NB"),
}
LOSSLESS = ("PCM_", "FLOAT", "ALAC", "FLAC", "ULAW")
ASF = bytes.fromhex("3026b2758e66cf11")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # the file properties object
LATE = 0.05  # seconds of a gap that is filled, so that sound and picture stay together


def package(path: Path, kind: str) -> ModuleType:
    """PyAV. Raises `AudioError` with the remedy where it is not installed."""
    try:
        return imported("av", f"the format {kind}", "media")
    except MissingPackageError as error:
        what, _, remedy = str(error).partition(": ")
        raise AudioError(path, what, remedy) from error


def is_installed() -> bool:
    """Whether PyAV is there."""
    return find_spec("av") is not None


def kind_of(path: Path, head: bytes) -> str | None:
    """The suffix of a container of this module, from its first bytes, else from its name."""
    suffix = path.suffix[1:].lower()
    found = next((name for name, starts in _STARTS.items() if starts(head)), None)
    if found is None:
        return suffix if suffix in FOREIGN else None
    alike = _ALIKE.get(found, (found,))
    return suffix if suffix in alike else found


def _is_adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


_STARTS = {
    "m4a": lambda head: head[4:12] in (b"ftypM4A ", b"ftypM4B "),
    "mov": lambda head: head[4:12] == b"ftypqt  " or head[4:8] in (b"moov", b"wide"),
    "3gp": lambda head: head[4:10] == b"ftyp3g",
    "mp4": lambda head: head[4:8] == b"ftyp",
    "webm": lambda head: head.startswith(b"\x1aE\xdf\xa3") and b"webm" in head[:64],
    "mkv": lambda head: head.startswith(b"\x1aE\xdf\xa3"),
    "wma": lambda head: head.startswith(ASF),
    "avi": lambda head: head.startswith(b"RIFF") and head[8:12] == b"AVI ",
    "ac3": lambda head: head.startswith(b"\x0bw"),
    "amr": lambda head: head.startswith(b"#!AMR"),
    "aac": _is_adts,
}
_MOV = ("m4a", "m4b", "mp4", "m4v", "mov", "3gp", "3g2")
_ALIKE = {
    **dict.fromkeys(_MOV, _MOV),
    "mkv": ("mkv", "mka"),
    "wma": ("wma", "wmv", "asf"),
    "ac3": ("ac3", "eac3"),
}


@contextmanager
def opened(stream: BinaryIO, path: Path, kind: str) -> Iterator[MediaDecoder]:
    """The sound of a container.

    Raises `AudioError` for one that is cut off, damaged or without sound.
    """
    package(path, kind)
    if missing := _missing(stream):
        raise AudioError(path, f"is cut off: {missing} bytes are missing", "copy it again")
    try:
        state = path.stat()
        key = (str(path.absolute()), state.st_size, state.st_mtime_ns)
    except OSError:
        key = None
    about = _known.get(key) if key else None
    if about is None:
        with demuxed(stream, path) as container:
            about = _Sound(container, path).about(FOREIGN[kind][0])
        if key:
            _known[key] = about
    with demuxed(stream, path) as container:
        yield MediaDecoder(_Sound(container, path), about)


#: What files are that have not changed since: to know their length takes to decode them.
_known: dict[tuple[str, int, int], Info] = {}


@contextmanager
def demuxed(stream: BinaryIO, path: Path) -> Iterator[Container]:
    """A container to take packets from. Raises `AudioError`."""
    av = package(path, "")
    stream.seek(0)
    try:
        with av.open(stream, metadata_errors="replace") as container:
            if container.streams.best("audio") is None:
                raise AudioError(path, "holds no sound", "name a file with sound in it")
            yield container
    except av.error.FFmpegError as error:
        why = f"is damaged or cut off ({error.strerror})"
        raise AudioError(path, why, "record or copy it again") from error


def _missing(stream: BinaryIO) -> int:
    """How many bytes a container says it has and has not."""
    size = size_of(stream)
    head = bytes_at(stream, 0, 64)
    if head.startswith(b"RIFF"):
        return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
    if head.startswith(b"\x1aE\xdf\xa3"):
        at, length = _element(head, 4)  # the header; behind it the segment, which is all else
        at, length = _element(bytes_at(stream, at + length, 16), 4, at + length)
        return max(0, at + length - size) if length else 0
    if head.startswith(ASF):
        at = bytes_at(stream, 0, 1 << 16).find(ASF_FILE)  # then 8 of its length, 16 of an identity
        there = bytes_at(stream, at + 40, 8) if at > 0 else b""
        return max(0, int.from_bytes(there, "little") - size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        at = 0
        while len(atom := bytes_at(stream, at, 16)) >= 8:
            length = int.from_bytes(atom[:4], "big")
            if length == 1 and len(atom) == 16:
                length = int.from_bytes(atom[8:], "big")
            if length < 8:  # 0: as long as the file
                return 0
            at += length
        return at - size
    return 0


def _element(data: bytes, at: int, offset: int = 0) -> tuple[int, int]:
    """Where an element of EBML begins behind its identity, and its length, 0 for unknown."""
    width = 9 - data[at].bit_length() if data[at] else 9
    number = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    known = number != (1 << 7 * width) - 1
    return offset + at + width, number if known else 0


class MediaDecoder:
    """What is in the best stream of sound; see `sgmse.audio._reading.Decoder`."""

    def __init__(self, sound: _Sound, about: Info) -> None:
        self.about = about
        self.notes = sound.notes
        self._blocks = sound.blocks()
        self._held = np.empty((about.channels, 0), np.float32)

    def read(self, frames: int) -> Samples:
        """The next samples (channels, <= frames)."""
        parts, count = [self._held], self._held.shape[1]
        while count < frames and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            count += block.shape[1]
        whole = np.concatenate(parts, axis=1)
        self._held = whole[:, frames:]
        return np.ascontiguousarray(whole[:, :frames])


class _Sound:
    """The best stream of sound in a container, decoded once from its beginning to its end."""

    def __init__(self, container: Container, path: Path) -> None:
        self._container, self._path = container, path
        self._stream = container.streams.best("audio")
        self._bytes = 0
        self._first: Any = None  # frame
        others = len(container.streams.audio) - 1
        self.notes: list[str] = []
        if others:
            number = container.streams.audio.index(self._stream) + 1
            self.notes.append(f"holds {others + 1} streams of sound; number {number} is taken")

    def blocks(self) -> Iterator[Samples]:
        """(channels, samples) in the order of the mask."""
        av = package(self._path, "")
        convert: Any = None
        done = 0
        try:
            for packet in self._container.demux(self._stream):
                self._bytes += packet.size
                for frame in packet.decode():
                    if packet.is_corrupt or frame.is_corrupt:
                        raise self._damaged(done)
                    if convert is None:  # eight planes are more than PyAV 18 has room for
                        convert = av.AudioResampler("flt", frame.layout, frame.sample_rate)
                        self._first = frame
                    elif (frame.sample_rate, frame.layout.nb_channels) != self._kind():
                        raise self._damaged(done, "changes its rate or channels")
                    if late := self._late(frame, done):
                        yield np.zeros((self._kind()[1], late), np.float32)
                    done += late
                    for sound in convert.resample(frame):
                        yield sound.to_ndarray().reshape(-1, self._kind()[1]).T
                        done += sound.samples
        except av.error.FFmpegError as error:
            raise self._damaged(done, f"is damaged ({error.strerror})") from error

    def _kind(self) -> tuple[int, int]:
        return self._first.sample_rate, self._first.layout.nb_channels

    def _late(self, frame: Any, done: int) -> int:
        """Samples of a gap before a frame, beside a picture, from which sound must not drift."""
        if frame.time is None or not self._container.streams.video:
            return 0
        late = round((frame.time - (self._first.time or 0)) * self._kind()[0]) - done
        return late if late > LATE * self._kind()[0] else 0

    def _damaged(self, done: int, what: str = "is cut off or damaged") -> AudioError:
        rate = self._kind()[0] if self._first is not None else 1
        return AudioError(self._path, f"{what} after {done / rate:.2f} s", "copy it again")

    def about(self, container: str) -> Info:
        """What it is, which takes to decode all of it: no header knows the number of samples."""
        frames = sum(block.shape[1] for block in self.blocks())
        if not frames:
            raise AudioError(self._path, "holds no samples, only a header", "copy it again")
        stream, frame = self._stream, self._first
        rate, channels = self._kind()
        if container in ("IPOD", "MP4", "MOV", "3GP", "3G2") and stream.duration:
            said = round(stream.duration * stream.time_base * rate)
            if frames < said - LATE * rate:
                raise self._damaged(frames)
            if frames - said < 4096:  # padding of the last frame
                frames = min(frames, said)
        codec = stream.codec_context.name
        coding = CODINGS.get(codec, codec.upper())
        if codec in ("alac", "flac") and "32" in frame.format.name:
            coding = coding.removesuffix("_16") + "_24"
        bitrate = self._bytes * 8 / (frames / rate) / 1000
        return Info(
            rate,
            channels,
            frames,
            container,
            coding,
            None if coding.startswith(LOSSLESS) else bitrate,
            _mask([channel.name for channel in frame.layout.channels]),
            frame.time or 0.0,
        )


def _mask(names: list[str]) -> int | None:
    if not set(names) <= set(_speakers.NAMES):
        return None
    return sum(1 << _speakers.NAMES.index(name) for name in names)
