"""Files of chunks: WAV and its relatives, W64, AIFF. Their sound gets a header that is right."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sgmse.audio._counts import LARGEST, Chunk, chunks, chunks_end, count
from sgmse.audio._layout import Layout, Track, damaged
from sgmse.audio._sources import bytes_at

WAV_MP3 = 0x55, 0x50  # WAVE_FORMAT_MPEGLAYER3, WAVE_FORMAT_MPEG
EXTENDED = bytes.fromhex("000000001000800000aa00389b71")  # end of a subformat, after its tag
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the GUIDs of chunks
W64_RIFF = bytes.fromhex("2e91cf11a5d628db04c10000")


class Mpeg(NamedTuple):
    """MPEG audio in another container: where it lies, and libsndfile's name of that one."""

    start: int
    end: int
    container: str


def riff(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | Mpeg | None:
    """WAV, big-endian WAV (RIFX), RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088)."""
    magic = bytes_at(stream, start, 4)
    order = ">" if magic == b"RIFX" else "<"
    form, long, fact = None, None, b""
    for chunk in chunks(stream, start + 12, end, order):
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
    if long is not None and sound.size in (0, 0xFFFFFFFF):
        sound = sound._replace(size=long)
    counted = count(stream, path, sound, end, chunks_end(stream, end, order))
    if form is None:  # the sound came first
        behind = sound.start + counted.size
        for chunk in chunks(stream, behind + behind % 2, end, order):
            if chunk.name == b"fmt ":
                form = bytes_at(stream, chunk.start, min(chunk.size, 1 << 12))
        if form is None:
            return None
    (coding,) = struct.unpack(f"{order}H", form[:2])
    container = "RF64" if magic in (b"RF64", b"BW64") else "WAVEX" if coding == 0xFFFE else "WAV"
    if coding == 0xFFFE and form[26:40] == EXTENDED:
        (coding,) = struct.unpack(f"{order}H", form[24:26])
    stop = sound.start + counted.size
    if coding in WAV_MP3:
        return Mpeg(sound.start, stop, container)

    def header(name: bytes, content: bytes) -> bytes:
        return struct.pack(f"{order}4sI", name, len(content)) + content + bytes(len(content) % 2)

    front = b"WAVE" + header(b"fmt ", form) + (header(b"fact", fact) if fact else b"")
    whole = len(front) + 8 + counted.size
    if whole > LARGEST and order == "<":  # 28: of ds64, whose last two fields stay empty
        sizes = struct.pack("<4sIQQQI", b"ds64", 28, whole + 36, counted.size, 0, 0)
        outer, front, written = b"RF64", front[:4] + sizes + front[4:], LARGEST
    else:
        outer, written = b"RIFX" if order == ">" else b"RIFF", counted.size
    head = struct.pack(f"{order}4sI", outer, min(whole, LARGEST)) + front
    head += struct.pack(f"{order}4sI", b"data", written)
    track = Track((head, range(sound.start, stop)))
    return Layout((track,), counted.size, container, counted.notes)


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

    def stop_of(at: int) -> int:
        at += -(at - start) % 8
        while at + 24 <= end and bytes_at(stream, at + 4, 12) == W64_TAIL:
            (size,) = struct.unpack("<q", bytes_at(stream, at + 16, 8))
            at += max(size + -size % 8, 24)
        return at

    # A head that counts nothing, not even itself, is one that was never filled in.
    sound = Chunk(b"data", at + 24, size - 24 if size >= 24 else min(size, 0))
    counted = count(stream, path, sound, end, stop_of)
    stop = sound.start + counted.size
    whole = 40 + len(form) + 24 + counted.size
    head = b"riff" + W64_RIFF + struct.pack("<q", whole) + b"wave" + W64_TAIL
    head += form + b"data" + W64_TAIL + struct.pack("<q", counted.size + 24)
    return Layout((Track((head, range(sound.start, stop))),), counted.size, None, counted.notes)


def aiff(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """AIFF and AIFF-C: the count stands in SSND, and in frames in COMM."""
    kind = bytes_at(stream, start + 8, 4)
    common, version, sound = None, b"", None
    for chunk in chunks(stream, start + 12, end, ">"):
        if chunk.name == b"COMM" and chunk.size >= 18:
            common = bytes_at(stream, chunk.start, min(chunk.size, 1 << 12))
        elif chunk.name == b"FVER":
            version = b"FVER\0\0\0\4" + bytes_at(stream, chunk.start, 4)
        elif chunk.name == b"SSND" and sound is None:
            (skip,) = struct.unpack(">I", bytes_at(stream, chunk.start, 4))
            size = chunk.size - 8 - skip if chunk.size > 8 + skip else 0
            sound = Chunk(chunk.name, chunk.start + 8 + skip, size)
            if chunk.size == 0 or chunk.start + chunk.size > end:
                break
    if kind not in (b"AIFF", b"AIFC") or common is None or sound is None or sound.start > end:
        return None
    counted = count(stream, path, sound, end, chunks_end(stream, end, ">"))
    stop = sound.start + counted.size
    front = kind + version + b"COMM" + struct.pack(">I", len(common)) + common
    front += bytes(len(common) % 2)
    whole = len(front) + 16 + counted.size
    if whole > LARGEST:
        raise damaged(path, "holds more than its header can count")
    head = b"FORM" + struct.pack(">I", whole) + front
    head += b"SSND" + struct.pack(">I", counted.size + 8) + bytes(8)
    return Layout((Track((head, range(sound.start, stop))),), counted.size, None, counted.notes)
