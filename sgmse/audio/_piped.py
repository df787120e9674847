"""Sound in pipes: samples in a row, with the header of a WAV file or none.

A program that writes WAV into a pipe cannot go back to say how long it became: the sizes in its
header are 0, or all ones (ffmpeg), or nearly so (SoX), and the sound goes on to the end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from sgmse._checks import choice, kinds, whole
from sgmse.audio._riff import EXTENDED
from sgmse.audio._sources import name_of
from sgmse.audio._streams import Block
from sgmse.errors import AudioError

Coding = Literal["u8", "s16", "s24", "s32", "f32", "f64"]
#: Of a coding: the tag of its format in WAV files, bytes of a sample, and kind of number.
CODINGS: dict[Coding, tuple[int, int, str]] = {
    "u8": (1, 1, "u1"),
    "s16": (1, 2, "<i2"),
    "s24": (1, 3, "<i4"),
    "s32": (1, 4, "<i4"),
    "f32": (3, 4, "<f4"),
    "f64": (3, 8, "<f8"),
}
UNKNOWN = 0xFFFFFFFF
LONG = 0x7FFF0000  # sizes from here on are those of a pipe, SoX's too
REMEDY = "pipe it through ffmpeg -i - -f wav -, or say what it is with --raw"


@dataclass(frozen=True)
class Pcm:
    """Samples in a row, little-endian, channels in turn.

    Args:
        coding: of a sample: unsigned or signed integers, or floats, with their bits.
        sample_rate: in Hz.
        channels: of each frame.
    """

    coding: Coding
    sample_rate: int
    channels: int = 1

    def __post_init__(self) -> None:
        kinds(self)
        choice("coding", self.coding, tuple(CODINGS))
        whole("sample_rate", self.sample_rate, 1, 2**32 - 1)
        whole("channels", self.channels, 1, 2**16 - 1)

    @property
    def frame(self) -> int:
        """Bytes of a sample of all channels."""
        return CODINGS[self.coding][1] * self.channels

    def samples(self, content: bytes) -> Block:
        """Whole frames as float64 (channels, samples) of full scale 1."""
        _, size, kind = CODINGS[self.coding]
        if size == 3:  # as the upper bytes of four
            wide = np.zeros((len(content) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
            numbers = wide.reshape(-1).view(kind).astype(np.float64)
        else:
            numbers = np.frombuffer(content, kind).astype(np.float64)
        if kind == "u1":
            numbers = (numbers - 128) / 128
        elif "i" in kind:
            numbers = numbers / 2.0 ** (31 if size == 3 else 8 * size - 1)
        rows: Block = np.ascontiguousarray(numbers.reshape(-1, self.channels).T)
        return rows

    def content(self, rows: Block) -> bytes:
        """The inverse, with integers rounded, and clipped beyond full scale."""
        _, size, kind = CODINGS[self.coding]
        numbers = np.ascontiguousarray(rows.T, np.float64).reshape(-1)
        if "f" in kind:
            return numbers.astype(kind).tobytes()
        scale = 2.0 ** (8 * size - 1)
        whole_ones = np.rint(numbers * scale).clip(-scale, scale - 1)
        if kind == "u1":
            return (whole_ones + 128).astype(kind).tobytes()
        content = whole_ones.astype(kind)
        if size < 3 or size > 3:
            return content.tobytes()
        return content.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()

    def header(self, frames: int | None = None) -> bytes:
        """That of a WAV file of so many frames, or of as many as will come."""
        tag, size, _ = CODINGS[self.coding]
        form = struct.pack(
            "<HHIIHH",
            *(tag, self.channels, self.sample_rate, self.sample_rate * self.frame),
            *(self.frame, 8 * size),
        )
        count = UNKNOWN if frames is None else frames * self.frame
        known = count + 36 < LONG
        sizes = (count + 36, count) if known else (UNKNOWN, UNKNOWN)
        front = struct.pack("<4sI4s4sI", b"RIFF", sizes[0], b"WAVE", b"fmt ", len(form))
        return front + form + struct.pack("<4sI", b"data", sizes[1])


def read_header(stream: BinaryIO) -> tuple[Pcm, int | None]:
    """What the header of a WAV file says, up to its first sample: the form, and how many frames.

    The number is None where it goes on to the end of the stream, which need not be seekable.

    Raises `AudioError` for what is no WAV file, or holds what are no plain samples.
    """
    name = name_of(stream)
    start = stream.read(12)
    if not start:
        raise AudioError(name, "is empty (0 bytes)", "check what pipes into it")
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise AudioError(name, "is no WAV file, whose header says the rate", REMEDY)
    form, long = b"", None
    while True:
        head = stream.read(8)
        if len(head) < 8:
            raise AudioError(name, "ends within its header", REMEDY)
        chunk, size = struct.unpack("<4sI", head)
        if chunk == b"data":
            break
        if size >= 1 << 24:
            raise AudioError(
                name, f"has a chunk {chunk!r} of {size} bytes before its sound", REMEDY
            )
        content = stream.read(size + size % 2)
        if chunk == b"fmt ":
            form = content[:size]
        elif chunk == b"ds64" and size >= 16:
            (long,) = struct.unpack("<Q", content[8:16])
    pcm = _form(form, name)
    if size == UNKNOWN and long:
        return pcm, long // pcm.frame
    return pcm, None if size == 0 or size >= LONG else size // pcm.frame


def _form(form: bytes, name: object) -> Pcm:
    """What a chunk "fmt " says."""
    if len(form) < 16:
        raise AudioError(str(name), "does not say what its samples are", REMEDY)
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if tag == 0xFFFE and form[26:40] == EXTENDED:
        (tag,) = struct.unpack("<H", form[24:26])
    for coding, (own, size, _) in CODINGS.items():
        if (own, 8 * size) == (tag, bits) and rate and channels:
            return Pcm(coding, rate, channels)
    what = f"holds samples of format {tag:#x} with {bits} bits"
    raise AudioError(str(name), what, "pipe it through ffmpeg -i - -f wav -c:a pcm_s16le -")
