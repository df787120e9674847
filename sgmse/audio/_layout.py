"""Where the sound lies in a file: what libsndfile is given, since headers may be wrong."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sgmse.audio._sources import Piece, bytes_at
from sgmse.errors import AudioError


@dataclass(frozen=True)
class Track:
    """What one decoder takes: pieces of a file, as if they were a file of their own.

    Args:
        pieces: in their order.
        samples: of a channel, where this is known better than libsndfile says.
        ends: seconds from where its stream began, by its own count, to its end.
    """

    pieces: tuple[Piece, ...]
    samples: int | None = None
    ends: float | None = None


@dataclass(frozen=True)
class Layout:
    """The sound of a file: tracks, one after the other.

    Args:
        tracks: at least one.
        size: bytes of coded sound in them.
        container: libsndfile's name of it, where the tracks are in another one.
        notes: what should be said of it.
    """

    tracks: tuple[Track, ...]
    size: int = 0
    container: str | None = None
    notes: tuple[str, ...] = ()


def damaged(path: Path, problem: str) -> AudioError:
    """The error for what is cut off or damaged, with what saves the rest of it."""
    saves = f", or keep what is there: ffmpeg -i {shlex.quote(str(path))} repaired.wav"
    return AudioError(path, problem, "copy it again" + saves * path.exists())


def not_supported(path: Path, problem: str) -> AudioError:
    """The error for what is whole and yet cannot be decoded."""
    converts = f"ffmpeg -i {shlex.quote(str(path))} converted.wav"
    return AudioError(path, problem, f"convert it: {converts}")


def tag_size(stream: BinaryIO, at: int, end: int) -> int:
    """Bytes of the tag or the zeros that begin at `at`; 0 where something else does."""
    head = bytes_at(stream, at, 32)
    if head[:3] == b"ID3" and len(head) >= 10 and not any(byte & 0x80 for byte in head[6:10]):
        size = sum(byte << 7 * place for place, byte in enumerate(head[9:5:-1]))
        return 10 + size + (10 if head[5] & 0x10 else 0)  # a footer repeats the header
    if head[:4] == b"TAG+":
        return 227
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) == 32:
        return 32 + int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 32
    if head[:11] == b"LYRICSBEGIN":
        rest = bytes_at(stream, at, min(end - at, 1 << 20))
        stops = [
            place + 9 for word in (b"LYRICS200", b"LYRICSEND") if (place := rest.find(word)) > 0
        ]
        return min(stops, default=0)
    return zeros(stream, at, end)


def zeros(stream: BinaryIO, at: int, end: int) -> int:
    """How many bytes from `at` are zero."""
    here = at
    while here < end:
        part = bytes_at(stream, here, min(end - here, 1 << 20))
        rest = part.lstrip(b"\0")
        here += len(part) - len(rest)
        if rest or not part:
            break
    return here - at


def end_of_sound(stream: BinaryIO, start: int, end: int) -> int:
    """Where the tags begin that stand at the end of a file: ID3v1, APE, Lyrics3."""
    while True:
        foot = bytes_at(stream, max(end - 128, start), min(128, end - start))
        if len(foot) == 128 and foot[:3] == b"TAG":
            end -= 128
        elif foot[-32:-24] == b"APETAGEX":
            size = max(int.from_bytes(foot[-20:-16], "little"), 32)
            end -= size + (32 if foot[-9] & 0x80 else 0)
        elif foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
            end -= int(foot[-15:-9]) + 15
        else:
            return max(end, start)


def after_tags(stream: BinaryIO, end: int) -> int:
    """Where a file begins after the ID3v2 tags in front of it."""
    at = 0
    while bytes_at(stream, at, 3) == b"ID3" and (size := tag_size(stream, at, end)):
        at += size
    return at


def joined(ranges: Sequence[range]) -> tuple[range, ...]:
    """The same positions in as few ranges as there are gaps."""
    merged: list[range] = []
    for part in ranges:
        if merged and merged[-1].stop == part.start:
            merged[-1] = range(merged[-1].start, part.stop)
        else:
            merged.append(part)
    return tuple(merged)
