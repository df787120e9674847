"""What a file holds, whole or block by block: an `AudioError` where it is damaged."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray
from typing_extensions import override

from sgmse.audio import _speakers
from sgmse.audio._sources import Pieces, Source, bytes_at, name_of, opened_bytes, size_of
from sgmse.errors import AudioError

Samples = NDArray[np.float32]  # (channels, samples)

BLOCK = 1 << 16  # frames; libsndfile overflows its stack on long single writes of Ogg Vorbis

# Suffix -> the containers that files so named hold; a new file gets the first.
SUFFIXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("wav", "wave", "bwf"), ("WAV", "WAVEX", "RF64", "NIST")),
    **dict.fromkeys(("ogg", "oga", "opus"), ("OGG",)),
    **dict.fromkeys(("aiff", "aif", "aifc"), ("AIFF",)),
    **dict.fromkeys(("au", "snd"), ("AU",)),
    **{name: (name.upper(),) for name in ("flac", "mp3", "caf", "w64", "rf64", "voc")},
    "sph": ("NIST",),
}
FOREIGN = {"m4a", "m4b", "mp4", "mov", "aac", "wma", "webm", "mkv", "mka", "amr", "ac3", "3gp"}
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"ID3")


LOSSY = ("MP3", "OGG")  # containers whose codings have a bit rate to speak of


@dataclass(frozen=True)
class Info:
    """What a file is: rate in Hz, channels, frames (samples of one channel), container, coding.

    `format` and `subtype` are libsndfile's names, such as ("WAV", "PCM_16") or ("OGG", "OPUS").
    `bitrate` is the mean one of a lossy coding in kb/s, None where there is none or it is not
    known; `speakers` the mask of the speakers that the channels are meant for (dwChannelMask),
    None where the file does not say it. Files that differ in nothing else are equal.
    """

    sample_rate: int
    channels: int = 1
    frames: int = 0
    format: str = "WAV"
    subtype: str = "PCM_16"
    bitrate: float | None = field(default=None, compare=False)
    speakers: int | None = field(default=None, compare=False)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


class Decoder(Protocol):
    """An open recording: what it is, and its samples from the first to the last."""

    about: Info

    def read(self, frames: int) -> Samples:
        """The next samples (channels, <= frames), contiguous; none at the end or at damage."""


def info(source: Source) -> Info:
    """What a file is. Raises `AudioError` as `blocks` does."""
    with _opened(source) as decoder:
        return decoder.about


def blocks(source: Source, frames: int = BLOCK) -> Iterator[Samples]:
    """The file in consecutive arrays (channels, <= frames), each the caller's own.

    Channels come in the order of wav and FLAC, whatever the order in the file.

    Raises `AudioError` for a file that is missing, a folder, unreadable, empty, without samples,
    not audio, cut off or damaged, and for a NaN or an infinite sample when its block is reached.
    """
    with _opened(source) as decoder:
        yield from _blocks(decoder, name_of(source), frames)


def read(source: Source) -> tuple[Samples, Info]:
    """The whole file as float32 (channels, samples), and what it is. Raises as `blocks` does."""
    with _opened(source) as decoder:
        about = decoder.about
        audio = np.empty((about.channels, about.frames), np.float32)
        start = 0
        for block in _blocks(decoder, name_of(source), BLOCK):
            audio[:, start : start + block.shape[1]] = block
            start += block.shape[1]
    return audio, about


def _blocks(decoder: Decoder, path: Path, frames: int) -> Iterator[Samples]:
    about = decoder.about
    done = 0
    while (block := decoder.read(min(frames, about.frames - done))).size:
        check_finite(block, path, done, about.sample_rate)
        done += block.shape[1]
        yield block
    if done < about.frames:
        problem = f"is cut off or damaged after {done} of {about.frames} samples"
        raise AudioError(path, problem, _repair(path))


class _Stream(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """Never seeks: soundfile would after each read, which cuts a hole into an MP3."""

    @override
    def seekable(self) -> bool:
        return False


class _Libsndfile:
    """A file that libsndfile decodes."""

    def __init__(self, file: _Stream, about: Info) -> None:
        self._file = file
        self._order = _speakers.order(about.format, about.subtype, about.channels)
        self.about = about

    def read(self, frames: int) -> Samples:
        try:
            data = self._file.read(frames, "float32", True).T
            return np.ascontiguousarray(_speakers.reordered(data, self._order))
        except soundfile.LibsndfileError:  # the sound ends here
            return np.empty((self.about.channels, 0), np.float32)


@contextmanager
def _opened(source: Source) -> Iterator[Decoder]:
    path = name_of(source)
    with opened_bytes(source) as stream:
        size = size_of(stream)
        try:
            file = _Stream(Pieces(stream, [range(size)]))
        except soundfile.LibsndfileError as error:
            raise _unknown(path, bytes_at(stream, 0, 12)) from error
        with file:
            about = _checked(path, file)
            kind = (about.format, about.subtype, about.channels)
            head = bytes_at(stream, 0, _speakers.HEAD)
            mask = _speakers.said(*kind, file.extra_info, head)
            about = replace(about, speakers=mask)
            if about.format in LOSSY:
                about = replace(about, bitrate=size * 8 / about.duration / 1000)
            yield _Libsndfile(file, about)


def _unknown(path: Path, head: bytes) -> AudioError:
    if head.startswith(MAGIC):
        return AudioError(path, "is damaged or cut off in its header", "record or copy it again")
    kind = "m4a" if head[4:8] == b"ftyp" else path.suffix[1:].lower()
    if kind in FOREIGN:
        remedy = f"convert it: ffmpeg -i {shlex.quote(str(path))} converted.wav"
        return AudioError(path, f"{kind} is not supported", remedy)
    return AudioError(path, "is not audio that can be read", f"use one of {', '.join(SUFFIXES)}")


def _checked(path: Path, file: soundfile.SoundFile) -> Info:
    about = Info(file.samplerate, file.channels, file.frames, file.format, file.subtype)
    log = file.extra_info  # libsndfile shortens a file that is cut off and only notes it here
    sizes = r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*: (\d+) \(should be (\d+)\)"
    for promised, there in re.findall(sizes, log, re.M):
        if int(there) < int(promised) < 0x7FFFF000:  # from there on: the length was not known
            raise AudioError(path, f"is cut off: {there} of {promised} bytes", _repair(path))
    if "lacks an end-of-stream bit" in log or "Junk after the last page" in log:
        raise AudioError(path, "is cut off or damaged at its end", _repair(path))
    if about.frames <= 0:
        raise AudioError(path, "holds no samples, only a header", "record or copy it again")
    if about.frames >= 1 << 60:  # FLAC made from a pipe
        raise AudioError(path, "does not say how long it is", _repair(path))
    return about


def _repair(path: Path) -> str:
    return f"copy it again, or keep what is there: ffmpeg -i {shlex.quote(str(path))} repaired.wav"


def check_finite(block: Samples, path: Path, start: int, sample_rate: int) -> None:
    """Raise for the first NaN or infinite sample of a block that starts at frame `start`."""
    bad = ~np.isfinite(block)
    if bad.any():
        index = int(bad.any(axis=0).argmax())
        channel = int(bad[:, index].argmax())
        what = "NaN" if np.isnan(block[channel, index]) else "infinite"
        where = f"sample {start + index} ({(start + index) / sample_rate:.3f} s), channel {channel}"
        raise AudioError(path, f"{where} is {what}", "replace it by a finite number")
