"""Files that are written: in a coding like another one's, and whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from errno import EISDIR
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from sgmse._files import whole
from sgmse.audio._reading import BLOCK, FOREIGN, SUFFIXES, Info, Samples, check_finite
from sgmse.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

FLOATS = ("FLOAT", "DOUBLE")
WIDE = (*FLOATS, "PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24")
READ_ONLY = {("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("WAV", "MPEG_LAYER_III")}
#: Coding -> the sample rates that it has, where not all.
RATES = {
    "OPUS": (8000, 12000, 16000, 24000, 48000),
    "MPEG_LAYER_III": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}


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
        check_finite(block, self.path, about.frames, about.sample_rate)
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
