"""Files whose header counts the bytes of sound: WAV and its relatives, W64, AIFF, AU, CAF, NIST.

What is written to a pipe, or by a recorder that dies, counts wrongly, and libsndfile believes some
of that. So the chunks are walked here, and libsndfile is given a header with the true count, the
sound, and nothing behind it. The count of a header is

    what is there       where it is a placeholder, or 0 with something else than chunks behind it
    refused             where it is larger than what is there: the file is cut off
    + k 2^32            where that is where the file ends: the count has run over
    itself              else; what lies behind it and is no chunk is said
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sgmse.audio._layout import damaged, tag_size
from sgmse.audio._sources import bytes_at

LARGEST = (1 << 32) - 1
LITTLE = 1 << 10  # bytes behind the sound that nobody misses
BLOCK = 1 << 16  # bytes; more than a block of any coding, and than the header of any pipe


class Chunk(NamedTuple):
    """A piece of a file: its name, where its content begins, and how much its header counts."""

    name: bytes
    start: int
    size: int


def is_placeholder(size: int) -> bool:
    """Whether a header says this where the length was not known when it was written.

    FFmpeg 2^32 - 1; SoX 0x7ffff000 (in AIFF 0x7f000000), in whole blocks, as mplayer and espeak;
    arecord 2^31; with the header counted in or out; -1 of 64 bits.
    """
    ends = (0x7F000000, 0x7FFFF000, 1 << 31, 1 << 32)
    return any(end - BLOCK <= size <= end + 0x1000 for end in ends) or size >= 1 << 62


class Counted(NamedTuple):
    """The sound as it is there."""

    size: int
    notes: tuple[str, ...] = ()


def count(
    stream: BinaryIO, path: Path, sound: Chunk, end: int, stop_of: Callable[[int], int]
) -> Counted:
    """How many bytes of sound there are; `stop_of` says where the chunks from a place end."""
    there = end - sound.start
    size = sound.size
    if size > there or size < 0:
        if size < 0 or is_placeholder(size):
            return Counted(there)
        raise damaged(path, f"is cut off: {there} of {size} bytes")
    behind = sound.start + size
    stop = stop_of(behind)
    if size == there or (stop >= end and size) or abs(stop - end) < 2:  # of padding
        return Counted(size)
    if size == 0 or is_placeholder(size):
        return Counted(there)
    if (over := (there - size) >> 32 << 32) and stop_of(behind + over) >= end:
        return Counted(size + over)
    if there - size < LITTLE or behind + tag_size(stream, behind, end) >= end:
        return Counted(size)
    what = "another file" if _is_file(bytes_at(stream, behind, 4)) else "no part of it"
    note = f"{end - behind} bytes behind its sound are {what} by its header, and not read"
    return Counted(size, (note,))


def _is_file(head: bytes) -> bool:
    return head in (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"caff")


def is_name(name: bytes) -> bool:
    """Whether this can be the name of a chunk, and no sound."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name) and not _is_file(name)


def chunks(stream: BinaryIO, at: int, end: int, order: str) -> Iterator[Chunk]:
    """The chunks of RIFF and IFF from `at`, as long as there are any."""
    while at + 8 <= end:
        name, size = struct.unpack(f"{order}4sI", bytes_at(stream, at, 8))
        if not is_name(name):
            return
        yield Chunk(name, at + 8, size)
        at += 8 + size
        if size % 2 and not is_name(bytes_at(stream, at, 4)):
            at += 1  # one that is odd has a byte behind it, which some forget


def chunks_end(stream: BinaryIO, end: int, order: str) -> Callable[[int], int]:
    def stop(at: int) -> int:
        stops = [at + at % 2, at]
        for i, start in enumerate(stops):
            for chunk in chunks(stream, start, end, order):
                stops[i] = chunk.start + chunk.size
        return max(stops)

    return stop
