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

from sgmse.audio._layout import Layout, Track, damaged, tag_size
from sgmse.audio._sources import bytes_at

WAV_MP3 = 0x55, 0x50  # WAVE_FORMAT_MPEGLAYER3, WAVE_FORMAT_MPEG
BLOCK = 1 << 16  # bytes; more than a block of any coding, and than the header of any pipe
EXTENDED = bytes.fromhex("000000001000800000aa00389b71")  # end of a subformat, after its tag
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the GUIDs of chunks
W64_RIFF = bytes.fromhex("2e91cf11a5d628db04c10000")


class Chunk(NamedTuple):
    """A piece of a file: its name, where its content begins, and how much its header counts."""

    name: bytes
    start: int
    size: int


class Mpeg(NamedTuple):
    """MPEG audio in another container: where it lies, and libsndfile's name of that one."""

    start: int
    end: int
    container: str


def is_placeholder(size: int) -> bool:
    """Whether a header says this where the length was not known when it was written.

    FFmpeg 2^32 - 1; SoX 0x7ffff000 (in AIFF 0x7f000000), in whole blocks, as mplayer and espeak;
    arecord 2^31; with the header counted in or out; -1 of 64 bits.
    """
    ends = (0x7F000000, 0x7FFFF000, 1 << 31, 1 << 32)
    return any(end - BLOCK <= size <= end + 0x1000 for end in ends) or size >= 1 << 62


class _Counted(NamedTuple):
    """The sound as it is there."""

    size: int
    notes: tuple[str, ...] = ()


def _count(
    stream: BinaryIO, path: Path, sound: Chunk, end: int, chunks_from: Callable[[int], bool]
) -> _Counted:
    """How many bytes of sound there are; `chunks_from` says whether only chunks follow a place."""
    there = end - sound.start
    size = sound.size
    if size > there or size < 0:
        if size < 0 or is_placeholder(size):
            return _Counted(there)
        raise damaged(path, f"is cut off: {there} of {size} bytes")
    behind = sound.start + size
    if size == there or chunks_from(behind):
        return _Counted(size)
    if size == 0:
        return _Counted(there)
    if (over := (there - size) >> 32 << 32) and chunks_from(behind + over):
        return _Counted(size + over)
    skip = tag_size(stream, behind, end)
    if behind + skip >= end:
        return _Counted(size)
    what = "another file" if _is_file(bytes_at(stream, behind, 4)) else "no part of it"
    note = f"{end - behind} bytes behind its sound are {what} by its header, and not read"
    return _Counted(size, (note,))


def _is_file(head: bytes) -> bool:
    return head in (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"caff")


def _named(name: bytes) -> bool:
    """Whether this can be the name of a chunk, and no sound."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name) and not _is_file(name)


def _chunks(stream: BinaryIO, at: int, end: int, order: str) -> Iterator[Chunk]:
    """The chunks of RIFF and IFF from `at`, as long as there are any."""
    while at + 8 <= end:
        name, size = struct.unpack(f"{order}4sI", bytes_at(stream, at, 8))
        if not _named(name):
            return
        yield Chunk(name, at + 8, size)
        at += 8 + size
        if size % 2:  # one that is odd has a byte behind it, which some forget
            padded, not_padded = bytes_at(stream, at + 1, 4), bytes_at(stream, at, 4)
            at += 1 if _named(padded) or not _named(not_padded) else 0


def _only_chunks(stream: BinaryIO, end: int, order: str) -> Callable[[int], bool]:
    def follow(at: int) -> bool:
        for start in (at + at % 2, at):
            stop = start
            for chunk in _chunks(stream, start, end, order):
                stop = chunk.start + chunk.size
            if end <= stop + (stop % 2) or (stop == end - 1):
                return True
        return False

    return follow


def riff(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | Mpeg | None:
    """WAV, big-endian WAV (RIFX), RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088)."""
    magic = bytes_at(stream, start, 4)
    order = ">" if magic == b"RIFX" else "<"
    form, long, fact = None, None, b""
    for chunk in _chunks(stream, start + 12, end, order):
        if chunk.name == b"fmt ":
            form = bytes_at(stream, chunk.start, min(chunk.size, 1 << 12))
        elif chunk.name == b"fact":
            fact = bytes_at(stream, chunk.start, 4)
        elif chunk.name == b"ds64" and chunk.size >= 24:
            (long,) = struct.unpack("<q", bytes_at(stream, chunk.start + 8, 8))
        elif chunk.name == b"data":
            sound = chunk
            break
    else:
        return None
    follow = _only_chunks(stream, end, order)
    if long is not None and sound.size in (0, 0xFFFFFFFF):
        sound = sound._replace(size=long)
    counted = _count(stream, path, sound, end, follow)
    if form is None:  # the sound came first
        behind = sound.start + counted.size
        for chunk in _chunks(stream, behind + behind % 2, end, order):
            if chunk.name == b"fmt ":
                form = bytes_at(stream, chunk.start, min(chunk.size, 1 << 12))
        if form is None:
            return None
    (coding,) = struct.unpack(f"{order}H", form[:2])
    if coding == 0xFFFE and form[26:40] == EXTENDED:
        (coding,) = struct.unpack(f"{order}H", form[24:26])
    stop = sound.start + counted.size
    if coding in WAV_MP3:
        return Mpeg(sound.start, stop, "WAV")

    def header(name: bytes, content: bytes) -> bytes:
        return struct.pack(f"{order}4sI", name, len(content)) + content + bytes(len(content) % 2)

    chunks = b"WAVE" + header(b"fmt ", form) + (header(b"fact", fact) if fact else b"")
    size = min(counted.size, 0xFFFFFFFF)  # libsndfile takes what is there where it is less
    whole = min(len(chunks) + 8 + counted.size, 0xFFFFFFFF)
    outer = b"RIFX" if order == ">" else b"RIFF"
    head = struct.pack(f"{order}4sI", outer, whole) + chunks
    head += struct.pack(f"{order}4sI", b"data", size)
    long_form = "RF64" if magic in (b"RF64", b"BW64") else None
    track = Track((head, range(sound.start, stop)))
    return Layout((track,), counted.size, long_form, counted.notes)


def w64(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """Sony Wave64: chunks named by GUIDs, whose sizes count their heads of 24 bytes."""
    form = None
    at = start + 40
    while at + 24 <= end:
        name, tail, size = struct.unpack("<4s12sq", bytes_at(stream, at, 24))
        if tail != W64_TAIL:
            return None
        if name == b"fmt " and 0 < size < 1 << 12:
            form = bytes_at(stream, at, size + -size % 8)
        if name == b"data":
            break
        if size < 24:
            return None
        at += size + -size % 8
    else:
        return None
    if form is None:
        return None

    def follow(at: int) -> bool:
        at += -(at - start) % 8
        while at + 24 <= end and bytes_at(stream, at + 4, 12) == W64_TAIL:
            (size,) = struct.unpack("<q", bytes_at(stream, at + 16, 8))
            at += max(size + -size % 8, 24)
        return at >= end

    # A head that counts nothing, not even itself, is one that was never filled in.
    sound = Chunk(b"data", at + 24, size - 24 if size >= 24 else min(size, 0))
    counted = _count(stream, path, sound, end, follow)
    stop = sound.start + counted.size
    whole = 40 + len(form) + 24 + counted.size
    head = b"riff" + W64_RIFF + struct.pack("<q", whole) + b"wave" + W64_TAIL
    head += form + b"data" + W64_TAIL + struct.pack("<q", counted.size + 24)
    return Layout((Track((head, range(sound.start, stop))),), counted.size, None, counted.notes)


def aiff(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """AIFF and AIFF-C: the count stands in SSND, and in frames in COMM."""
    kind = bytes_at(stream, start + 8, 4)
    common, version, sound = None, b"", None
    for chunk in _chunks(stream, start + 12, end, ">"):
        if chunk.name == b"COMM" and chunk.size >= 18:
            common = bytes_at(stream, chunk.start, min(chunk.size, 1 << 12))
        elif chunk.name == b"FVER":
            version = b"FVER\0\0\0\4" + bytes_at(stream, chunk.start, 4)
        elif chunk.name == b"SSND" and sound is None:
            (skip,) = struct.unpack(">I", bytes_at(stream, chunk.start, 4).rjust(4, b"\0"))
            size = chunk.size - 8 - skip if chunk.size > 8 + skip else 0
            sound = Chunk(chunk.name, chunk.start + 8 + skip, size)
            if chunk.size == 0 or chunk.start + chunk.size > end:
                break
    if kind not in (b"AIFF", b"AIFC") or common is None or sound is None or sound.start > end:
        return None
    counted = _count(stream, path, sound, end, _only_chunks(stream, end, ">"))
    stop = sound.start + counted.size
    chunks = kind + version + b"COMM" + struct.pack(">I", len(common)) + common
    chunks += bytes(len(common) % 2)
    size = min(counted.size + 8, 0xFFFFFFFF)
    head = b"FORM" + struct.pack(">I", min(len(chunks) + 8 + size, 0xFFFFFFFF)) + chunks
    head += b"SSND" + struct.pack(">I", size) + bytes(8)
    return Layout((Track((head, range(sound.start, stop))),), counted.size, None, counted.notes)


def au(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """Sun and NeXT: one count in the header, 2^32 - 1 where it was not known."""
    order = ">" if bytes_at(stream, start, 4) == b".snd" else "<"
    if end - start < 24:
        return None
    begin, size = struct.unpack(f"{order}II", bytes_at(stream, start + 4, 8))
    if not 24 <= begin <= min(end - start, 1 << 16):
        return None
    sound = Chunk(b"", start + begin, size)
    counted = _count(stream, path, sound, end, lambda at: at >= end)
    header = bytes_at(stream, start, begin)
    header = header[:8] + struct.pack(f"{order}I", min(counted.size, 0xFFFFFFFF)) + header[12:]
    stop = sound.start + counted.size
    return Layout((Track((header, range(sound.start, stop))),), counted.size, None, counted.notes)


def caf(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """Core Audio: counts of 64 bits, -1 for the rest of the file."""
    at = start + 8
    while at + 12 <= end:
        name, size = struct.unpack(">4sq", bytes_at(stream, at, 12))
        if name == b"data":
            break
        if size < 0 or not _named(name):
            return None
        at += 12 + size
    else:
        return None

    def follow(at: int) -> bool:
        while at + 12 <= end:
            name, size = struct.unpack(">4sq", bytes_at(stream, at, 12))
            if size < 0 or not _named(name):
                return False
            at += 12 + size
        return at == end

    sound = Chunk(b"data", at + 16, size - 4 if size >= 4 else min(size, 0))  # after an edit count
    counted = _count(stream, path, sound, end, follow)
    stop = sound.start + counted.size
    count = struct.pack(">q", counted.size + 4)
    behind = range(stop, stop if counted.notes else end)  # ALAC has its table of packets there
    track = Track((range(start, at + 4), count, range(at + 12, stop), behind))
    return Layout((track,), counted.size, None, counted.notes)


def nist(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """SPHERE: a header of text that counts samples."""
    lines = bytes_at(stream, start, 1024).split(b"end_head")[0].splitlines()
    fields = {words[0]: words[2] for line in lines[2:] if len(words := line.split(None, 2)) == 3}
    try:
        begin = int(lines[1])
        width = int(fields[b"channel_count"]) * int(fields[b"sample_n_bytes"])
        samples = int(fields.get(b"sample_count", b"0"))
    except (IndexError, KeyError, ValueError):
        return None
    if b"," in fields.get(b"sample_coding", b"") or begin > end:  # compressed by shorten
        return None
    sound = Chunk(b"", start + begin, samples * width)
    counted = _count(stream, path, sound, end, lambda at: at >= end)
    stop = sound.start + counted.size
    return Layout((Track((range(start, stop),)),), counted.size, None, counted.notes)
