"""Ogg (RFC 3533): its pages are walked, so that what is lost is noticed, and nothing is left out.

    page    "OggS", version, flags (1 continued, 2 first, 4 last), position (of 64 bits, in
            samples, where the page ends), serial number, page number, checksum, table of sizes

The streams of a file are told apart by their serial numbers; they begin together, and when they
have ended, others may follow (a chain). Pages of a stream are numbered without gaps: a gap is what
was lost. libsndfile reads the first stream alone, takes a loss for the beginning, and does not
know FLAC in Ogg; it is given the pages of one stream of sound at a time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sgmse.audio._layout import Layout, Track, damaged, not_supported, tag_size
from sgmse.audio._sources import bytes_at

FIRST, LAST = 2, 4  # flags
SOUNDS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page: where it is and its content; flags, position, serial number and own number."""

    place: range
    content: range
    flags: int
    position: int
    serial: int
    number: int


@dataclass
class _Link:
    """A link of a chain: its first stream of sound, as far as it is walked.

    Args:
        head: its first packet; empty as long as there is none.
        others: how many streams of sound there are beside it.
        begun: whether more than the first pages of streams came.
        position: of the last page, in samples.
        pieces: of the file, pages, or what is in them for FLAC.
    """

    head: bytes = b""
    serial: int = 0
    number: int = 0
    position: int = 0
    others: int = 0
    begun: bool = False
    ended: bool = False
    pieces: list[range] = field(default_factory=list)

    @property
    def is_flac(self) -> bool:
        return self.head[0] == 0x7F

    @property
    def rate(self) -> int:
        """Of the positions, in Hz."""
        if self.is_flac:
            return int.from_bytes(self.head[27:30], "big") >> 4
        return 48000 if self.head[:1] == b"O" else int.from_bytes(self.head[12:16], "little")

    @property
    def seconds(self) -> float:
        """Where it is."""
        before = int.from_bytes(self.head[10:12], "little") if self.head[:1] == b"O" else 0
        return (self.position - before) / max(self.rate, 1)

    def begin(self, page: Page, head: bytes) -> None:
        """Take the first page of a stream."""
        if head.startswith(SOUNDS) and not self.head:
            self.head, self.serial, self.number = head, page.serial, page.number
            self.pieces.append(page.place)
        elif head.startswith(SOUNDS):
            self.others += 1

    def follow(self, page: Page, path: Path) -> None:
        """Take another page of the same stream."""
        lost = page.number - self.number - 1
        if lost:
            missing = "a page is missing" if lost == 1 else f"{lost} pages are missing"
            what = missing if lost > 0 else "its pages are out of order"
            raise damaged(path, f"is damaged: {what} after {max(self.seconds, 0):.2f} s")
        part = page.content if self.is_flac else page.place
        if self.pieces[-1].stop == part.start:
            part = range(self.pieces.pop().start, part.stop)
        self.pieces.append(part)
        self.number = page.number
        self.ended = bool(page.flags & LAST)
        if page.position >= 0:  # else no packet ends there
            self.position = page.position

    def track(self) -> Track:
        if not self.is_flac:
            return Track(tuple(self.pieces), ends=self.seconds)
        head = bytearray(self.head[9:])  # FLAC as it is outside of Ogg
        total = int.from_bytes(head[18:26], "big")
        if not total % (1 << 36):
            head[18:26] = (total + self.position).to_bytes(8, "big")
        return Track((bytes(head), *self.pieces[1:]))


def layout(stream: BinaryIO, path: Path, start: int, end: int) -> Layout | None:
    """The links that hold sound; None where there are no pages.

    Raises `AudioError` for pages that are missing, damaged or cut off, and for no such sound.
    """
    links: list[_Link] = []
    found = 0
    for page in _pages(stream, path, start, end):
        found += 1
        if page.flags & FIRST:
            if not links or links[-1].begun:
                links.append(_Link())
            links[-1].begin(page, bytes_at(stream, page.content.start, len(page.content)))
        elif links:
            links[-1].begun = True
            if links[-1].head and page.serial == links[-1].serial:
                links[-1].follow(page, path)
    links = [link for link in links if link.head]
    if not all(link.ended for link in links):
        raise damaged(path, "is cut off or damaged at its end")
    if not links:
        if found:
            raise not_supported(path, "holds no Vorbis, Opus or FLAC")
        return None
    notes = []
    if others := max(link.others for link in links):
        notes.append(f"holds {others + 1} streams of sound; the first is taken")
    size = sum(len(piece) for link in links for piece in link.pieces)
    return Layout(tuple(link.track() for link in links), size, None, tuple(notes))


def _pages(stream: BinaryIO, path: Path, start: int, end: int) -> Iterator[Page]:
    at = start
    while at < end:
        head = bytes_at(stream, at, 27 + 255)
        sizes = head[27 : 27 + head[26]] if len(head) >= 27 else b""
        place = range(at, at + 27 + len(sizes) + sum(sizes))
        page = bytes_at(stream, at, len(place))
        whole = head[:4] == b"OggS" and len(page) == len(place) and place.stop <= end
        if not whole or checksum(page) != int.from_bytes(page[22:26], "little"):
            break
        _, flags, position, serial, number = struct.unpack("<BBqII", page[4:22])
        content = range(place.stop - sum(sizes), place.stop)
        yield Page(place, content, flags, position, serial, number)
        at = place.stop
    if at > start and at + tag_size(stream, at, end) < end:
        raise damaged(path, f"is cut off or damaged after {at} of {end} bytes")


def checksum(page: bytes) -> int:
    """CRC of polynomial 0x04c11db7, most significant bit first, of a page, its own field zero.

    zlib has the same polynomial from the other end, with ones before and behind.
    """
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")
