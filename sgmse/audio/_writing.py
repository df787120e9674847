"""Files that are written: in a coding like another one's, and whole or not at all."""

from __future__ import annotations

import warnings
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
from sgmse.audio import _speakers
from sgmse.audio._coding import FLOATS, check_room, written_as
from sgmse.audio._reading import BLOCK, Info, Samples, check_finite
from sgmse.errors import AudioError, RecordingWarning

if TYPE_CHECKING:
    from torch import Tensor


class Writer:
    """Writes a file piece by piece; it appears at `path` when the `with` block ends well.

    Until then the pieces go to a hidden file beside it, which is deleted when the block raises
    (KeyboardInterrupt too), so that `path` keeps what it held. The file is what
    `written_as(path, like, format)` says, for which `like.frames` is the length to come, 0 where
    it is not known. Channels are given in the order of wav and FLAC, and kept in that of the
    container; for which speakers they are is written where the container has a place for it.

    Samples beyond full scale are clipped, never scaled, unless the coding is float: the output
    keeps its level, whatever is written later. `clipped` counts them, so that one can warn.

    Warns:
        RecordingWarning: what a reader of the file should know: it is RF64, or what its channels
            are for is not kept.
    """

    def __init__(self, path: str | Path, like: Info, format: str | None = None) -> None:  # noqa: A002
        self.path = Path(path)
        self.info = replace(written_as(path, like, format), frames=0)
        self.clipped = 0
        self._notes: list[str] = []
        if self.info.format == "RF64" != like.format and self.path.suffix.lower() != ".rf64":
            self._notes.append(
                "is longer than wav can be, and is RF64, which not all programs read"
            )

    def __enter__(self) -> Writer:
        about = self.info
        form = (about.sample_rate, about.channels, about.subtype, None, about.format)
        self._order = _speakers.order_in_file(about.format, about.subtype, about.channels)
        with self._failures_named():
            if self.path.is_dir():
                raise IsADirectoryError(EISDIR, "it is a folder")
            with ExitStack() as opened:
                self._part = opened.enter_context(whole(self.path))
                self._part.touch(exist_ok=False)  # which names the reason where it fails
                opened.push(self._finish)
                self._file = opened.enter_context(soundfile.SoundFile(self._part, "w", *form))
                if about.format == "FLAC" and self._mask() is not None:
                    self._file.comment = _speakers.FLAC_COMMENT
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
        after = replace(about, frames=about.frames + block.shape[1])
        check_room(self.path, after)
        if about.subtype not in FLOATS:
            self.clipped += int((np.abs(block) > 1).sum())
            block = block.clip(-1, 1)
        block = _speakers.reordered(block, self._order)
        with self._failures_named():
            for start in range(0, block.shape[1], BLOCK):
                self._file.write(np.ascontiguousarray(block[:, start : start + BLOCK].T))
        self.info = after

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._failures_named():
            self._opened.__exit__(kind, error, traceback)
        if kind is None:
            for note in self._notes:
                warnings.warn(f"{self.path}: {note}", RecordingWarning, stacklevel=2)

    def _mask(self) -> int | None:
        """The mask that the file has to say, None where its container means it anyway."""
        about = self.info
        usual = _speakers.usual(about.format, about.subtype, about.channels)
        mask = about.speakers
        if mask is None and about.format in ("WAVEX", "RF64"):  # libsndfile would guess
            mask = _speakers.USUAL.get(about.channels, 0)
        return None if mask == usual else mask

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Say in the file, which is closed, for which speakers its channels are."""
        about = self.info
        mask = None if kind is not None else self._mask()
        if mask is None or _speakers.keep(self._part, about.format, mask):
            return
        usual = _speakers.usual(about.format, about.subtype, about.channels)
        if about.channels > 2 and not (usual and _speakers.alike(mask, usual)):
            whom = f"cannot say that its channels are for {_speakers.named(mask)}"
            instead = f", and means {_speakers.named(usual)}" if usual else ""
            self._notes.append(f"{about.format} {whom}{instead}")

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
    with Writer(path, replace(like, frames=audio.shape[-1]), format) as writer:
        writer.write(audio)
    return writer.info
