"""MPEG audio (MP3 and its elders): the frames are walked, for no header says how many there are.

A frame of layer I, II or III (ISO/IEC 11172-3, 13818-3, and 2.5, which is nobody's standard) begins
with 32 bits: 11 of sync, version, layer, protection, bit rate, rate, padding, ..., mode. They give
its length,

    layer I         4 floor(12 bitrate / rate + padding)        384 samples
    layer II, III     floor(144 bitrate / rate + padding)       1152, of layer III at rates below
                                                                32 kHz half of both

so one leads to the next. The decoder of libsndfile guesses the number of frames from the first one
where there is no information frame (Xing, Info, VBRI), and believes that one where there is. It is
given frames alone, no tags, an information frame that is right, or, without one, a few silent
frames more, so that its guess is never below the truth, where reading ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sgmse.audio._layout import Layout, Track, damaged, end_of_sound, joined, tag_size
from sgmse.audio._sources import Piece, bytes_at

# kb/s by the 4 bits of a header; 0 is "free", which nothing writes.
BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
DIVISORS = {3: 1, 2: 2, 0: 4}  # of the rates, by the bits of the version: MPEG 1, 2, 2.5
RATES = (44100, 48000, 32000)
WINDOW = 1 << 18  # bytes that are held
GARBAGE = 1 << 20  # bytes before the first frame, at most
ENOUGH = 3  # headers in a row that are no accident


class Kind(NamedTuple):
    """What all frames of a stream share.

    Args:
        second, third: the bits of the second byte of a header, protection aside, and those of the
            rate in the third.
        sizes: bytes of a frame by the third byte; 0 where that is none of this kind.
    """

    second: int
    third: int
    layer: int
    rate: int
    samples: int
    sizes: tuple[int, ...]


@cache
def kind_of(second: int, third: int) -> Kind | None:
    """The kind of a frame by two bytes of its header."""
    version, layer, index = second >> 3 & 3, 4 - (second >> 1 & 3), third >> 2 & 3
    if second < 0xE0 or version == 1 or layer == 4 or index == 3:
        return None
    rate = RATES[index] // DIVISORS[version]
    rates = BITRATES[1 if version == 3 else 2, layer]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152

    def size(byte: int) -> int:
        row, padding = byte >> 4, byte >> 1 & 1
        if byte >> 2 & 3 != index or row in (0, 15):
            return 0
        if layer == 1:
            return (12000 * rates[row] // rate + padding) * 4
        return samples * 125 * rates[row] // rate + padding

    return Kind(second | 1, third & 0xC, layer, rate, samples, tuple(map(size, range(256))))


class _Window:
    """A stream of bytes at random places, most of them in order."""

    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream = stream
        self.end = end
        self.base, self.held = 0, b""

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes from a place, fewer at the end."""
        if not self.base <= place <= place + count <= self.base + len(self.held):
            self.base, self.held = place, bytes_at(self._stream, place, max(WINDOW, count))
        start = place - self.base
        return self.held[start : start + max(min(count, self.end - place), 0)]

    def tag(self, place: int) -> int:
        """Bytes of the tag or the zeros that begin here."""
        return tag_size(self._stream, place, self.end) if place < self.end else 0

    def frame(self, place: int) -> tuple[Kind, int, bool] | None:
        """The kind, the size and whether it is mono, of a frame that begins here."""
        head = self.at(place, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        kind = kind_of(head[1] | 1, head[2] & 0xC)
        if kind is None or not (size := kind.sizes[head[2]]):
            return None
        return kind, size, head[3] >= 0xC0


@dataclass
class _Stretch:
    """Frames in a row for one decoder, and where in `tag`, their information frame, its tag is."""

    kind: Kind
    mono: bool
    promised: int | None = None
    tag: bytes = b""
    offset: int = 0
    head: bytes = b""
    frames: int = 0
    ranges: list[range] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(map(len, self.ranges))


def layout(
    stream: BinaryIO, path: Path, start: int, end: int, container: str | None = None
) -> Layout | None:
    """The tracks of a stream; None where there are no frames.

    A stream whose last frame is incomplete ends before that frame, which is said; one that has
    fewer frames than its information frame promises is cut off, and refused, as is one with a gap.
    """
    end = end_of_sound(stream, start, end)
    window = _Window(stream, end)
    stretches: list[_Stretch] = []
    at = start
    while at < end:
        if skip := window.tag(at):
            at += skip
        elif _leads_on(window, at):
            at = _walk(window, at, stretches)
        else:
            found = _next(window, at + 1, end if stretches else at + GARBAGE)
            if found is None:
                break
            if stretches:
                seconds = sum(s.frames * s.kind.samples / s.kind.rate for s in stretches)
                where = f"after {seconds:.2f} s"
                raise damaged(path, f"is damaged: {found - at} bytes {where} are no sound")
            at = found
    if not stretches:
        return None
    left = max(end - at, 0)
    incomplete = left > 0 and window.frame(at) is not None
    for stretch in stretches:
        missing = 0 if stretch.promised is None else stretch.promised - stretch.frames
        if missing > 1 or (missing == 1 and incomplete):  # some count the information frame, too
            promise = f"{stretch.frames} of {stretch.promised} frames"
            raise damaged(path, f"is cut off: {promise}")
    notes: tuple[str, ...] = ()
    if left:
        what = "last frame is incomplete" if incomplete else f"last {left} bytes are no sound"
        notes = (f"its {what}: it may have been longer",)
    stretches = [stretch for stretch in stretches if stretch.frames]
    if not stretches:
        return None
    size = sum(stretch.size for stretch in stretches)
    return Layout(tuple(map(_track, stretches)), size, container, notes)


def _leads_on(window: _Window, at: int) -> bool:
    """Whether a frame begins here and others behind it, or the end."""
    kind = None
    for seen in range(ENOUGH):
        if seen and at >= window.end:
            return at == window.end or seen > 1
        frame = window.frame(at)
        if frame is None or kind not in (None, frame[0]):
            # One frame before zeros may be an accident, one before a tag is none.
            return seen > (window.at(at, 1) == b"\0") and window.tag(at) > 0
        kind, size, _ = frame
        at += size
    return True


def _next(window: _Window, at: int, stop: int) -> int | None:
    """The first place from `at` where frames begin; None where there is none before `stop`."""
    while at < min(stop, window.end):
        held = window.at(at, WINDOW)
        if (skip := held.find(b"\xff")) < 0:
            at += len(held)
        elif _leads_on(window, at + skip):
            return at + skip
        else:
            at += skip + 1
    return None


def _walk(window: _Window, at: int, stretches: list[_Stretch]) -> int:
    """Follow frames of one kind from `at` as far as they go; returns where that is."""
    kind, _, mono = window.frame(at) or (None, 0, False)
    assert kind is not None
    low = kind.samples == 576
    offset = (13 if low else 21) if mono else (21 if low else 36)  # of the information frame
    if not stretches or stretches[-1].kind != kind or stretches[-1].mono != mono:
        stretches.append(_Stretch(kind, mono))
    now = stretches[-1]
    start = at
    while True:
        head = window.at(at, 40)
        if len(head) < 4 or head[0] != 0xFF or head[1] | 1 != kind.second:
            break
        size = kind.sizes[head[2]]
        if not size or (head[3] >= 0xC0) != mono or at + size > window.end:
            break
        is_info = head[offset : offset + 4] in (b"Xing", b"Info") or head[36:40] == b"VBRI"
        if is_info and kind.layer == 3 and not any(head[6 : min(offset, len(head))]):
            now.ranges.append(range(start, at))
            now = _informed(window.at(at, size), offset, kind, mono)
            stretches.append(now)
            start = at + size
        else:
            if now.frames == now.promised and kind.layer == 3 and _stands_alone(head):
                now.ranges.append(range(start, at))  # another file, which has no such frame
                now = _Stretch(kind, mono)
                stretches.append(now)
                start = at
            now.head = now.head or head[:4]
            now.frames += 1
        at += size
    now.ranges.append(range(start, at))
    return at


def _stands_alone(head: bytes) -> bool:
    """Whether a frame of layer III takes no bits from those before it, as the first of a file."""
    side = head[4 if head[1] & 1 else 6 :]
    return side[0] == 0 and (side[1] < 0x80 or not head[1] & 8)


def _informed(frame: bytes, offset: int, kind: Kind, mono: bool) -> _Stretch:
    """The stretch that an information frame begins."""
    if frame[36:40] == b"VBRI":
        return _Stretch(kind, mono, promised=int.from_bytes(frame[50:54], "big"))
    if not frame[offset + 7] & 1:  # does not count
        return _Stretch(kind, mono)
    promised = int.from_bytes(frame[offset + 8 : offset + 12], "big")
    return _Stretch(kind, mono, promised, frame, offset)


def _track(stretch: _Stretch) -> Track:
    ranges = joined([part for part in stretch.ranges if part])
    if stretch.tag:
        return Track((_corrected(stretch), *ranges))
    kind, head = stretch.kind, stretch.head
    third = head[2] & 0xFD
    silence = bytes((0xFF, head[1] | 1, third, head[3] & 0xCF)).ljust(kind.sizes[third], b"\0")
    more = max(2, stretch.frames + 2 - stretch.size // len(silence))
    several, rest = divmod(more, 64)
    pieces: tuple[Piece, ...] = (*ranges, *([silence * 64] * several), silence * rest)
    return Track(pieces, stretch.frames * kind.samples)


def _corrected(stretch: _Stretch) -> bytes:
    """The information frame with the frames and bytes that are there.

    Tag 4, flags 4, frames 4, bytes 4, table 100, quality 4, encoder 9 and 12 more, then 12 bits of
    samples before the sound and 12 of samples behind it (Xing; Gabriel Bouvigne, LAME tag).
    """
    frame, at = bytearray(stretch.tag), stretch.offset
    flags = frame[at + 7]
    frame[at + 8 : at + 12] = stretch.frames.to_bytes(4, "big")
    at += 12
    if flags & 2:
        frame[at : at + 4] = (len(frame) + stretch.size).to_bytes(4, "big")
        at += 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0) + 21
    if stretch.frames > (stretch.promised or 0) and at + 3 <= len(frame):
        frame[at + 1] &= 0xF0  # what is behind the sound is not where it was thought to be
        frame[at + 2] = 0
    return bytes(frame)
