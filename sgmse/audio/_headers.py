"""Files with one count in front of their sound: AU, CAF, NIST SPHERE, VOC."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from sgmse.audio._counts import LARGEST, Chunk, count, is_name, is_placeholder
from sgmse.audio._layout import Layout, Track, damaged
from sgmse.audio._sources import bytes_at


def au(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """Sun and NeXT: one count in the header, 2^32 - 1 where it was not known."""
    order = ">" if bytes_at(stream, start, 4) == b".snd" else "<"
    if end - start < 24:
        return None
    begin, size = struct.unpack(f"{order}II", bytes_at(stream, start + 4, 8))
    if not 24 <= begin <= min(end - start, 1 << 16):
        return None
    sound = Chunk(b"", start + begin, size)
    counted = count(stream, path, sound, end, lambda at: at)
    header = bytes_at(stream, start, begin)
    header = header[:8] + struct.pack(f"{order}I", min(counted.size, LARGEST)) + header[12:]
    stop = sound.start + counted.size
    return Layout((Track((header, range(sound.start, stop))),), counted.size, None, counted.notes)


def caf(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """Core Audio: counts of 64 bits, -1 for the rest of the file."""
    at = start + 8
    while at + 12 <= end:
        name, size = struct.unpack(">4sq", bytes_at(stream, at, 12))
        if name == b"data":
            break
        if size < 0 or not is_name(name):
            return None
        at += 12 + size
    else:
        return None

    def stop_of(at: int) -> int:
        while at + 12 <= end:
            name, size = struct.unpack(">4sq", bytes_at(stream, at, 12))
            if size < 0 or not is_name(name):
                break
            at += 12 + size
        return at

    sound = Chunk(b"data", at + 16, size - 4 if size >= 4 else min(size, 0))  # after an edit count
    counted = count(stream, path, sound, end, stop_of)
    stop = sound.start + counted.size
    size_there = struct.pack(">q", counted.size + 4)
    behind = range(stop, stop if counted.notes else end)  # ALAC has its table of packets there
    track = Track((range(start, at + 4), size_there, range(at + 12, stop), behind))
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
    sound = Chunk(b"", start + begin, -1 if is_placeholder(samples) else samples * width)
    counted = count(stream, path, sound, end, lambda at: at)
    stop = sound.start + counted.size
    return Layout((Track((range(start, stop),)),), counted.size, None, counted.notes)


def voc(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """Creative Voice: blocks whose 24 bits count them, 1 and 9 with a head, 2 a continuation."""
    (begin,) = struct.unpack("<H", bytes_at(stream, start + 20, 2))
    at = start + begin
    kind, size = 0, 0
    while kind not in (1, 9):
        at += size
        word = int.from_bytes(bytes_at(stream, at, 4), "little")
        kind, size = word & 0xFF, word >> 8
        at += 4
        if kind == 0 or at > end:
            return None
    begin = at + (2 if kind == 1 else 12)
    part = range(begin, at + size)
    if size in (0, (1 << 24) - 1):
        part = range(begin, end)
    parts = [part]
    while True:
        if part.stop > end:
            raise damaged(path, f"is cut off: {end - part.start} of {len(part)} bytes")
        word = int.from_bytes(bytes_at(stream, part.stop, 4), "little")
        if word & 0xFF != 2:
            break
        part = range(part.stop + 4, part.stop + 4 + (word >> 8))
        parts.append(part)
    counted = sum(map(len, parts))
    size_there = (counted + begin - at).to_bytes(8, "little")[:3]
    pieces = (range(start, at - 3), size_there, range(at, begin), *parts, b"\0")
    return Layout((Track(pieces),), counted)
