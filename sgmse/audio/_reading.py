"""What a file holds, whole or block by block: an `AudioError` where it is damaged."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from typing_extensions import override

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


@dataclass(frozen=True)
class Info:
    """What a file is: rate in Hz, channels, frames (samples of one channel), container, coding.

    `format` and `subtype` are libsndfile's names, such as ("WAV", "PCM_16") or ("OGG", "OPUS").
    """

    sample_rate: int
    channels: int = 1
    frames: int = 0
    format: str = "WAV"
    subtype: str = "PCM_16"

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def info(path: str | Path) -> Info:
    """What the file is, from its header. Raises `AudioError` as `blocks` does."""
    with _opened(Path(path)) as (_, about):
        return about


def blocks(path: str | Path, frames: int = BLOCK) -> Iterator[Samples]:
    """The file in consecutive arrays (channels, <= frames), each the caller's own.

    Raises `AudioError` for a file that is missing, a folder, unreadable, empty, without samples,
    not audio, cut off or damaged, and for a NaN or an infinite sample when its block is reached.
    """
    path = Path(path)
    with _opened(path) as (file, about):
        done = 0
        try:
            while len(data := file.read(min(frames, about.frames - done), "float32", True)):
                block = np.ascontiguousarray(data.T)
                check_finite(block, path, done, about.sample_rate)
                done += len(data)
                yield block
        except soundfile.LibsndfileError:
            pass  # the sound ends here
        if done < about.frames:
            problem = f"is cut off or damaged after {done} of {about.frames} samples"
            raise AudioError(path, problem, _repair(path))


def read(path: str | Path) -> tuple[Samples, Info]:
    """The whole file as float32 (channels, samples), and what it is. Raises as `blocks` does."""
    about = info(path)
    audio = np.empty((about.channels, about.frames), np.float32)
    start = 0
    for block in blocks(path):
        audio[:, start : start + block.shape[1]] = block
        start += block.shape[1]
    return audio, about


class _Stream(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """Never seeks: soundfile would after each read, which cuts a hole into an MP3."""

    @override
    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[tuple[soundfile.SoundFile, Info]]:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise AudioError(path, f"is {kind}", "name a file with sound in it")
        with path.open("rb") as stream:
            head = stream.read(12)
    except FileNotFoundError as error:
        raise AudioError(path, "no such file", "check the spelling and the folder") from error
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
        raise AudioError(path, why, "check its permissions") from error
    if not head:
        raise AudioError(path, "is empty (0 bytes)", "record or copy it again")
    try:
        file = _Stream(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw has no header
        raise _unknown(path, head) from error
    except UnicodeError as error:
        raise AudioError(path, "has a name in no encoding", "rename it") from error
    with file:
        yield file, _checked(path, file)


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
