"""FLAC (RFC 9639) whose header does not count its samples, or which has tags or zeros behind it.

    "fLaC", STREAMINFO (blocks, frame sizes, rate, channels, bits, 36 bits of samples, MD5), ...
    frame   14 bits of sync, ..., its number or its first sample, ..., CRC-8, content, CRC-16

The last frame is found from the end, by both of its checksums; it says how many samples there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

from sgmse.audio._layout import Layout, Track, damaged, end_of_sound
from sgmse.audio._sources import bytes_at

SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{c: 1 << c for c in range(8, 16)}}
SMALLEST = 10  # bytes of a frame, which holds less than 2^16 samples
LARGEST = 1 << 21  # bytes of a frame: 65535 samples of 8 channels with 32 bits
CANDIDATES = 4  # headers from the end, of which one in 256 may be none


def _table(polynomial: int, bits: int) -> list[int]:
    rows = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
        rows.append(value)
    return rows


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def crc8(data: bytes) -> int:
    """x^8 + x^2 + x + 1, from 0."""
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def crc16(data: bytes) -> int:
    """x^16 + x^15 + x^2 + 1, from 0."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value


class Frame(NamedTuple):
    """The header of a frame: its first sample or, with a fixed block size, its number."""

    number: int
    is_sample: bool
    samples: int


def header(data: bytes) -> Frame | None:
    """The header that `data` begins with; None where none does."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xFE != 0xF8 or data[3] & 1:
        return None
    lead = data[4]
    more = 0 if lead < 0x80 else 7 - (lead ^ 0xFF).bit_length()  # as in UTF-8, to 36 bits
    if not (0 <= more <= 6) or 0x80 <= lead < 0xC0:
        return None
    number = lead if not more else lead & 0x3F >> more
    for byte in data[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at = 5 + more
    size, rate = data[2] >> 4, data[2] & 15
    samples = SIZES.get(size, 0)
    if size in (6, 7):
        samples = int.from_bytes(data[at : at + size - 5], "big") + 1
        at += size - 5
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if not samples or rate == 15 or len(data) <= at or crc8(data[:at]) != data[at]:
        return None
    return Frame(number, bool(data[1] & 1), samples)


def layout(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """The file up to its last frame, with the number of its samples."""
    info = bytearray(bytes_at(stream, start, 42))
    if len(info) < 42 or info[4] & 0x7F:
        return None
    packed = int.from_bytes(info[18:26], "big")
    total = packed % (1 << 36)
    if total * SMALLEST > (end - start) << 16:  # for which nobody should ask for memory
        raise damaged(path, "is cut off or damaged")
    stop = end_of_sound(stream, start, end)
    tail = bytes_at(stream, max(stop - 4096, start), 4096)[: stop - start]
    stop -= len(tail) - len(tail.rstrip(b"\0"))
    if total and stop >= end - 2:  # a checksum may be zero
        return Layout((Track((range(start, end),)),), end - start)
    found = _last(stream, start + 42, stop, end)
    if found is None:
        if total:
            return Layout((Track((range(start, end),)),), end - start)
        raise damaged(path, "is cut off in its last frame, and does not say how long it was")
    frame, stop = found
    block = int.from_bytes(info[10:12], "big")
    first = frame.number if frame.is_sample else frame.number * block
    if not total:
        info[18:26] = (packed + first + frame.samples).to_bytes(8, "big")
    return Layout((Track((bytes(info), range(start + 42, stop))),), stop - start)


def _last(stream: BinaryIO, start: int, stop: int, end: int) -> tuple[Frame, int] | None:
    """The last frame, which ends at `stop` or a zero of its checksum behind it, and its end."""
    base = max(stop - LARGEST, start)
    data = bytes_at(stream, base, min(stop + 2, end) - base)
    at, left = len(data), CANDIDATES
    while left and (at := data.rfind(b"\xff", 0, at)) >= 0:
        frame = header(data[at : at + 16])
        if frame is None:
            continue
        left -= 1
        for last in range(stop - base, len(data) + 1):
            if crc16(data[at : last - 2]) == int.from_bytes(data[last - 2 : last], "big"):
                return frame, base + last
    return None
