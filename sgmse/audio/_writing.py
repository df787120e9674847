"""Files that are written: in a coding like another one's, and whole or not at all."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from errno import EISDIR
from math import log10
from pathlib import Path
from shutil import disk_usage
from types import TracebackType
from typing import IO, TYPE_CHECKING

import numpy as np
import soundfile

from sgmse._checks import an, file
from sgmse._files import delivered, whole
from sgmse.audio import _speakers
from sgmse.audio._arrays import floats_of
from sgmse.audio._coding import FLOATS, ClipMode, check_room, written_as
from sgmse.audio._encoding import Encoder, SoundFileEncoder
from sgmse.audio._info import BLOCK, Info, Samples
from sgmse.audio._media_coding import HOLDS
from sgmse.audio._media_encoding import MediaEncoder
from sgmse.audio._reading import check_finite
from sgmse.audio._sources import Source, name_of, refuse_unwritable
from sgmse.errors import AudioError, ClippingWarning, RecordingWarning

if TYPE_CHECKING:
    from torch import Tensor

# Relative: nothing is said of a bit rate so near to the one asked for, or to that of the source.
NEAR_ASKED, NEAR_KEPT = 0.15, 0.3
ROOM = 1 << 20  # bytes: a disk with less is full
STEPS = {"PCM_24": 2**-23, "PCM_32": 2**-31}  # of codings with more than 16 bits
TELLING = 5  # seconds, from which on a file's bit rate is that of its sound


class Writer:
    """Writes a file piece by piece; it appears at `path` when the `with` block ends well.

    Until then the pieces go to a hidden file beside it, which is deleted when the block raises
    (KeyboardInterrupt too), so that `path` keeps what it held. The file is what
    `written_as(path, like, format, bitrate, clip_mode)` says, for which `like.frames` is the length
    to come, 0 where it is not known. Channels are given in the order of wav and FLAC, and kept in
    that of the container; for which speakers they are is written where there is a place for it.

    What becomes of samples beyond full scale:

        "clamp"    they are clipped unless the coding is float; the rest keeps its level
        "rescale"  all is scaled by one factor so that the peak is full scale
        "none"     they are kept, in float

    `path` may be an open binary file, which need not seek: it gets all at the end, or nothing.

    In a container such as mp4 the sound stands beside what else is in the file `rest`, if that is
    one too: pictures, other sounds, subtitles, chapters and tags are copied as they are.

    `clipped` counts those that were clipped, so that one can warn.

    Warns:
        RecordingWarning: what a reader of the file should know: it is RF64, it was scaled, its bit
            rate or the coding of its sound is another one, or what its channels are for is not
            kept.
    """

    def __init__(
        self,
        path: Source,
        like: Info,
        format: str | None = None,  # noqa: A002
        *,
        bitrate: float | None = None,
        clip_mode: ClipMode = "clamp",
        rest: Source | None = None,
    ) -> None:
        self.path = name_of(path)
        self._stream = None if isinstance(path, str | Path) else path
        if self._stream is not None:
            refuse_unwritable(self._stream, self.path)
        about = written_as(self.path, like, format, bitrate=bitrate, clip_mode=clip_mode)
        self.info = replace(about, frames=0)
        self.clipped = 0
        self._rest = rest
        self._near = NEAR_KEPT if bitrate is None else NEAR_ASKED
        self._rescaled = clip_mode == "rescale"
        self._peak = self._loudest = 0.0
        self._notes: list[str] = []
        name = (self.path.suffix if format is None else format).lower().removeprefix(".")
        if about.format == "RF64" != like.format and name != "rf64":
            self._notes.append("is longer than wav can be: it is RF64, which not all programs read")
        same = about.format in HOLDS and about.format == like.format
        if same and about.subtype != like.subtype and bitrate is None:
            why = f"which is not written into {about.format}"
            self._notes.append(f"its sound is {about.subtype} and no longer {like.subtype}, {why}")

    def __enter__(self) -> Writer:
        about = self.info
        named = about.format == "FLAC" and self._mask() is not None
        comment = _speakers.FLAC_COMMENT if named else None
        with self._failures_named():
            if self._stream is None and self.path.is_dir():
                raise IsADirectoryError(EISDIR, "it is a folder")
            with ExitStack() as opened:
                stream = self._stream
                appears = whole(self.path) if stream is None else delivered(stream)
                self._part = opened.enter_context(appears)
                self._part.touch(exist_ok=False)  # which names the reason where it fails
                self._encoder: Encoder
                if about.format in HOLDS:
                    self._encoder = MediaEncoder(self._part, about, self.path, self._rest)
                else:
                    self._encoder = SoundFileEncoder(self._part, about, comment)
                self._spool: IO[bytes] | None = None
                if self._rescaled:
                    spool = tempfile.TemporaryFile(dir=self._part.parent)
                    self._spool = opened.enter_context(spool)
                opened.push(self._ended)
                self._opened = opened.pop_all()
        return self

    def write(self, audio: Samples | Tensor) -> None:
        """Append (channels, samples), floats or integers, of the full scale of their type.

        NaN and infinite samples are an `AudioError`.
        """
        block = floats_of(audio).astype(np.float32, copy=False)
        about = self.info
        if block.ndim != 2 or len(block) != about.channels:
            problem = f"got shape {block.shape} for a file of {about.channels} channels"
            raise AudioError(self.path, problem, "give (channels, samples)")
        check_finite(block, self.path, about.frames, about.sample_rate)
        after = replace(about, frames=about.frames + block.shape[1])
        check_room(self.path, after)
        with self._failures_named():
            if self._spool is not None:
                self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
                self._spool.write(np.ascontiguousarray(block.T).tobytes())
            else:
                self._encode(block)
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

    def tell_clipped(self) -> None:
        """Warn (`ClippingWarning`) if samples were clipped."""
        if self.clipped:
            what = f"{self.path}: {self.clipped} samples were clipped"
            remedy = "--clip-mode rescale (clip_mode='rescale') scales the result instead"
            warnings.warn(f"{what}; {remedy}", ClippingWarning, stacklevel=3)

    def _encode(self, block: Samples) -> None:
        if self.info.subtype not in FLOATS:
            self.clipped += int((np.abs(block) > 1).sum())
            self._loudest = max(self._loudest, float(np.abs(block).max(initial=0)))
            block = block.clip(-1, 1)
        self._encoder.write(block)

    def _ended(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the file, or let go of it, before it gets its name or is deleted."""
        if kind is not None:
            self._encoder.abandon()
            return
        try:
            if self._spool is not None:
                self._rescale(self._spool)
            self._encoder.close()
        except BaseException:
            self._encoder.abandon()
            raise
        self._notes += self._encoder.notes
        if 0 < self._loudest < STEPS.get(self.info.subtype, 2**-15):
            level = f"{20 * log10(self._loudest):.0f} dB"
            coding = f"{self.info.format} {self.info.subtype}"
            remedy = "raise its level, or write wav with float samples"
            what = f"has a peak of {level}, of which nothing is left in {coding}"
            self._notes.append(f"{what}; {remedy}")
        if self.info.format in HOLDS:  # whose streams say it, and are not all of the file
            return
        self._say_speakers()
        self._say_bitrate()

    def _rescale(self, spool: IO[bytes]) -> None:
        scale = np.float32(min(1, 1 / max(self._peak, 1e-30)))
        spool.seek(0)
        channels = self.info.channels
        while data := spool.read(4 * channels * BLOCK):
            block = np.frombuffer(data, np.float32).reshape(-1, channels).T
            self._encode((block * scale).clip(-1, 1))  # of rounding alone
        if scale < 1:
            change = f"{20 * log10(scale):.1f} dB"
            self._notes.append(f"was scaled by {change}, so that its peak is full scale")

    def _mask(self) -> int | None:
        """The mask that the file has to say, None where its container means it anyway."""
        about = self.info
        usual = _speakers.usual(about.format, about.subtype, about.channels)
        mask = about.speakers
        if mask is None and about.format in ("WAVEX", "RF64"):  # libsndfile would guess
            mask = _speakers.USUAL.get(about.channels, 0)
        return None if mask == usual else mask

    def _say_speakers(self) -> None:
        """Write into the file for which speakers its channels are, or note that it cannot say."""
        about = self.info
        mask = self._mask()
        if mask is None or _speakers.keep(self._part, about.format, mask):
            return
        usual = _speakers.usual(about.format, about.subtype, about.channels)
        if about.channels > 2 and not (usual and _speakers.alike(mask, usual)):
            whom = f"cannot say that its channels are for {_speakers.named(mask)}"
            instead = f", and means {_speakers.named(usual)}" if usual else ""
            self._notes.append(f"{about.format} {whom}{instead}")

    def _say_bitrate(self) -> None:
        """Note where a bit rate is not what was wanted."""
        about = self.info
        if about.bitrate is None or about.duration < TELLING:
            return
        there = self._part.stat().st_size * 8 / about.duration / 1000
        if abs(there / about.bitrate - 1) > self._near:
            wanted = f"not {about.bitrate:.0f}: no nearer with {about.subtype} and this sound"
            self._notes.append(f"has {there:.0f} kb/s, {wanted}")

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise AudioError(self.path, "is a name in no encoding", "choose another") from error
        except BrokenPipeError:  # nobody reads what is written to stdout
            raise
        except (OSError, soundfile.SoundFileError, AssertionError) as error:  # a short write
            why = getattr(error, "error_string", getattr(error, "strerror", "the disk is full"))
            if why == "System error." and disk_usage(self._part.parent).free < ROOM:
                why = "No space left on device"  # which libsndfile does not say
            channels = self.info.channels
            kind = f"{self.info.format} {self.info.subtype}, {channels} channel"
            kind += "s" * (channels > 1)
            problem = f"cannot be written as {kind} ({why})"
            raise AudioError(self.path, problem, "check the folder, or use wav") from error


def write(path: Source, audio: Samples | Tensor, like: Info, format: str | None = None) -> Info:  # noqa: A002
    """Write (channels, samples) as one file, as `Writer` does. Returns what was written."""
    file("path", path, "write")
    an("like", like, Info, "that of sgmse.audio.info(file)")
    audio = floats_of(audio)
    if audio.ndim != 2:
        problem = f"got shape {audio.shape} for a file of {like.channels} channels"
        raise AudioError(name_of(path), problem, "give (channels, samples)")
    with Writer(path, replace(like, frames=audio.shape[-1]), format) as writer:
        writer.write(audio)
    return writer.info
