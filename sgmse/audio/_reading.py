"""What a file holds, whole or block by block: an `AudioError` where it is damaged."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray
from typing_extensions import override

from sgmse.audio import _media, _speakers
from sgmse.audio._containers import MAGIC, layout_of
from sgmse.audio._info import BLOCK, Info, Samples
from sgmse.audio._layout import Layout, Track, damaged
from sgmse.audio._sources import Pieces, Source, bytes_at, name_of, opened_bytes
from sgmse.errors import AudioError, RecordingWarning

# Codings that have a bit rate to speak of.
LOSSY = ("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "VORBIS", "OPUS")


class Decoder(Protocol):
    """An open recording: what it is, what should be said of it, and its samples in their order."""

    about: Info
    notes: list[str]

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
    Warns with a `RecordingWarning` of what is read and may not be all: an mp3 that ends within a
    frame and has no information frame that promises more (else it is refused), a stream cut from a
    longer one, bytes behind the sound that are no part of it, other streams of sound beside it.
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
    for note in decoder.notes:
        # From here, not from where it is read: a file that is read twice is warned of once.
        warnings.warn(f"{path}: {note}", RecordingWarning, stacklevel=1)
    about = decoder.about
    done = 0
    while (block := decoder.read(min(frames, about.frames - done))).size:
        check_finite(block, path, done, about.sample_rate)
        done += block.shape[1]
        yield block
    if done < about.frames:
        problem = f"is cut off or damaged after {done} of {about.frames} samples"
        raise damaged(path, problem)


class _Stream(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """Never seeks: soundfile would after each read, which cuts a hole into an MP3."""

    @override
    def seekable(self) -> bool:
        return False


class _Libsndfile:
    """Tracks that libsndfile decodes, one after the other. Raises `AudioError` where it cannot."""

    def __init__(self, stream: BinaryIO, path: Path, layout: Layout) -> None:
        self._stream = stream
        self.notes = list(layout.notes)
        first, *others = layout.tracks
        self._file: _Stream | None = self._opened(first)
        about = self._measured(path, first, self._file)
        self._tracks = [(first, about.frames)]
        for track in others:
            with self._opened(track) as file:
                own = self._measured(path, track, file)
            if (own.sample_rate, own.channels) != (about.sample_rate, about.channels):
                seconds = sum(samples for _, samples in self._tracks) / about.sample_rate
                forms = [f"{a.sample_rate} Hz, channels: {a.channels}" for a in (about, own)]
                raise damaged(path, f"changes after {seconds:.2f} s ({' to '.join(forms)})")
            self._tracks.append((track, own.frames))
        frames = sum(samples for _, samples in self._tracks)
        if frames <= 0:
            raise AudioError(path, "holds no samples, only a header", "record or copy it again")
        if frames >= 1 << 60:
            raise damaged(path, "does not say how long it is")
        kind = (about.format, about.subtype, about.channels)
        head = Pieces(stream, first.pieces).read(_speakers.HEAD) or b""
        rate = layout.size * 8 * about.sample_rate / frames / 1000
        self._order = _speakers.order(*kind)
        self.about = replace(
            about,
            frames=frames,
            format=layout.container or about.format,
            bitrate=rate if about.subtype in LOSSY else None,
            speakers=_speakers.said(*kind, self._file.extra_info, head),
        )

    def _measured(self, path: Path, track: Track, file: _Stream) -> Info:
        """What one track is, and a note where its beginning is not there."""
        about = _checked(path, file)
        if track.samples is not None:
            about = replace(about, frames=track.samples)
        if track.ends is not None and (missing := track.ends - about.duration) > 0.1:
            self.notes.append(f"it begins {missing:.2f} s into what it was cut from")
        return about

    def _opened(self, track: Track) -> _Stream:
        return _Stream(Pieces(self._stream, track.pieces))

    def read(self, frames: int) -> Samples:
        parts: list[NDArray[np.float32]] = []
        while frames and self._tracks:
            track, left = self._tracks[0]
            file = self._file = self._file or self._opened(track)
            try:
                part = file.read(min(frames, left), "float32", True)
            except soundfile.LibsndfileError:  # the sound ends here
                part = np.empty((0, self.about.channels), np.float32)
            parts.append(part)
            frames -= len(part)
            self._tracks[0] = (track, left - len(part))
            if left == len(part):
                self.close()
                del self._tracks[0]
            elif not len(part):
                break
        data = np.concatenate(parts) if parts else np.empty((0, self.about.channels), np.float32)
        return np.ascontiguousarray(_speakers.reordered(data.T, self._order))

    def close(self) -> None:
        """Let go of the file that is open."""
        if self._file is not None:
            self._file.close()
        self._file = None


@contextmanager
def _opened(source: Source) -> Iterator[Decoder]:
    path = name_of(source)
    with opened_bytes(source) as stream:
        head = bytes_at(stream, 0, 64)
        if (kind := _media.kind_of(path, head)) is not None:
            with _media.opened(stream, path, kind) as media:
                yield media
            return
        try:
            decoder = _Libsndfile(stream, path, layout_of(stream, path))
        except soundfile.LibsndfileError as error:
            raise _unknown(path, head) from error
        with closing(decoder):
            yield decoder


def _unknown(path: Path, head: bytes) -> AudioError:
    if head.startswith(MAGIC):
        return AudioError(path, "is damaged or cut off in its header", "record or copy it again")
    what = "is not audio that can be read"
    if head and head.isascii() and all(byte >= 32 or byte in b"\t\n\r" for byte in head):
        return AudioError(path, f"{what}: it holds text", "name the recording itself")
    return AudioError(path, what, "convert it to wav or flac with a program that knows it")


def _checked(path: Path, file: soundfile.SoundFile) -> Info:
    log = file.extra_info  # libsndfile shortens a file that is cut off and only notes it here
    sizes = r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*: (\d+) \(should be (\d+)\)"
    for promised, there in re.findall(sizes, log, re.M):
        if int(there) < int(promised) < 0x7FFFF000:  # from there on: the length was not known
            raise damaged(path, f"is cut off: {there} of {promised} bytes")
    return Info(file.samplerate, file.channels, file.frames, file.format, file.subtype)


def check_finite(block: Samples, path: Path, start: int, sample_rate: int) -> None:
    """Raise for the first NaN or infinite sample of a block that starts at frame `start`."""
    bad = ~np.isfinite(block)
    if bad.any():
        index = int(bad.any(axis=0).argmax())
        channel = int(bad[:, index].argmax())
        what = "NaN" if np.isnan(block[channel, index]) else "infinite"
        where = f"sample {start + index} ({(start + index) / sample_rate:.3f} s), channel {channel}"
        raise AudioError(path, f"{where} is {what}", "replace it by a finite number")
