"""Audio files in and out, in memory or block by block; the conventions are those of the room."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from errno import EISDIR
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from sgmse._files import whole
from sgmse.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

Samples = NDArray[np.float32]  # (channels, samples)
Floats = NDArray[np.floating]

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
FLOATS = ("FLOAT", "DOUBLE")
WIDE = (*FLOATS, "PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24")
READ_ONLY = {("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("WAV", "MPEG_LAYER_III")}
RATES = {
    "OPUS": (8000, 12000, 16000, 24000, 48000),
    "MPEG_LAYER_III": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}


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


# Reading


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
                _check_finite(block, path, done, about.sample_rate)
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


class _Stream(soundfile.SoundFile):
    """Never seeks: soundfile would after each read, which cuts a hole into an MP3."""

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


def _check_finite(block: Samples, path: Path, start: int, sample_rate: int) -> None:
    """Raise for the first NaN or infinite sample of a block that starts at frame `start`."""
    bad = ~np.isfinite(block)
    if bad.any():
        index = int(bad.any(axis=0).argmax())
        channel = int(bad[:, index].argmax())
        what = "NaN" if np.isnan(block[channel, index]) else "infinite"
        where = f"sample {start + index} ({(start + index) / sample_rate:.3f} s), channel {channel}"
        raise AudioError(path, f"{where} is {what}", "replace it by a finite number")


# Writing


def written_as(path: str | Path, like: Info, format: str | None = None) -> Info:  # noqa: A002
    """What a file written to `path` will be, `like` another one.

    Its container is `format` (a suffix such as 'flac' or 'opus'), else the one that the suffix of
    `path` asks for, else that of `like`. Its coding is that of `like` where the container allows
    it, else 24 bit for wider codings, else the container's default. Raises `AudioError` where this
    cannot be written, before any work is done.
    """
    name = (Path(path).suffix if format is None else format).lower().removeprefix(".")
    if (format is not None or name in FOREIGN) and name not in SUFFIXES:
        raise AudioError(path, f"{name!r} cannot be written", f"use one of {', '.join(SUFFIXES)}")
    allowed = SUFFIXES.get(name, (like.format,))
    container = like.format if like.format in allowed else allowed[0]
    wide = ["PCM_24"] if like.subtype in WIDE else []
    default = soundfile.default_subtype(container)
    for subtype in ["OPUS"] if name == "opus" else [like.subtype, *wide, default]:
        if soundfile.check_format(container, subtype) and (container, subtype) not in READ_ONLY:
            break
    rates = RATES.get(subtype, (like.sample_rate,))
    if like.sample_rate not in rates:
        problem = f"{subtype} cannot be written at {like.sample_rate} Hz"
        remedy = f"resample to one of {', '.join(map(str, rates))}, or use wav or flac"
        raise AudioError(path, problem, remedy)
    return replace(like, format=container, subtype=subtype)


class Writer:
    """Writes a file piece by piece; it appears at `path` when the `with` block ends well.

    Until then the pieces go to a hidden file beside it, which is deleted when the block raises
    (KeyboardInterrupt too), so that `path` keeps what it held. The file is what
    `written_as(path, like, format)` says; `like.frames` is not used.

    Samples beyond full scale are clipped, never scaled, unless the coding is float: the output
    keeps its level, whatever is written later. `clipped` counts them, so that one can warn.
    """

    def __init__(self, path: str | Path, like: Info, format: str | None = None) -> None:  # noqa: A002
        self.path = Path(path)
        self.info = replace(written_as(path, like, format), frames=0)
        self.clipped = 0

    def __enter__(self) -> Writer:
        about = self.info
        form = (about.sample_rate, about.channels, about.subtype, None, about.format)
        with self._failures_named():
            if self.path.is_dir():
                raise IsADirectoryError(EISDIR, "it is a folder")
            with ExitStack() as opened:
                part = opened.enter_context(whole(self.path))
                part.touch(exist_ok=False)  # which names the reason where it fails
                file = soundfile.SoundFile(part, "w", *form)
                self._file = opened.enter_context(file)
                self._opened = opened.pop_all()
        return self

    def write(self, audio: Samples | Tensor) -> None:
        """Append (channels, samples). NaN and infinite samples are an `AudioError`."""
        block = np.asarray(audio, dtype=np.float32)
        about = self.info
        if block.ndim != 2 or len(block) != about.channels:
            problem = f"got shape {block.shape} for a file of {about.channels} channels"
            raise AudioError(self.path, problem, "give (channels, samples)")
        _check_finite(block, self.path, about.frames, about.sample_rate)
        if about.subtype not in FLOATS:
            self.clipped += int((np.abs(block) > 1).sum())
            block = block.clip(-1, 1)
        with self._failures_named():
            for start in range(0, block.shape[1], BLOCK):
                self._file.write(np.ascontiguousarray(block[:, start : start + BLOCK].T))
        self.info = replace(about, frames=about.frames + block.shape[1])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._failures_named():
            self._opened.__exit__(kind, error, traceback)

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise AudioError(self.path, "is a name in no encoding", "choose another") from error
        except (OSError, soundfile.SoundFileError, AssertionError) as error:  # a short write
            why = getattr(error, "error_string", getattr(error, "strerror", "the disk is full"))
            kind = f"{self.info.format} {self.info.subtype}, {self.info.channels} channels"
            problem = f"cannot be written as {kind} ({why})"
            raise AudioError(self.path, problem, "check the folder, or use wav") from error


def write(path: str | Path, audio: Samples | Tensor, like: Info, format: str | None = None) -> Info:  # noqa: A002
    """Write (channels, samples) as one file, as `Writer` does. Returns what was written."""
    with Writer(path, like, format) as writer:
        writer.write(audio)
    return writer.info
