"""Which speaker each channel is meant for, and the orders that containers keep them in.

Arrays of this library, wav and FLAC have one order: that of the bits of dwChannelMask (Microsoft,
WAVEFORMATEXTENSIBLE), front left FL = 1, FR = 2, FC = 4, LFE = 8, BL = 16, BR = 32, FLC = 64,
FRC = 128, BC = 256, SL = 512, SR = 1024. Vorbis and Opus (Vorbis I specification, 4.3.9; RFC 7845,
5.1.1.2) and ALAC (its magic cookie) have others, in which libsndfile hands them out as they are.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMES = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR")

#: Channels -> the mask that FLAC (RFC 9639, 9.1.3), Vorbis and Opus mean by so many.
USUAL = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
USUAL_ALAC = {3: 0x7, 4: 0x107, 5: 0x37, 6: 0x3F, 7: 0x13F, 8: 0xFF}

# Channels -> for each channel in the order of the mask, where the file has it.
XIPH = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
ALAC = {
    3: (1, 2, 0),
    4: (1, 2, 0, 3),
    5: (1, 2, 0, 3, 4),
    6: (1, 2, 0, 5, 3, 4),
    7: (1, 2, 0, 6, 3, 4, 5),
    8: (3, 4, 0, 7, 5, 6, 1, 2),
}

FLAC_TAG = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK"  # of the flac tool, understood by FFmpeg
#: A comment of libsndfile takes as many bytes as the tag, which it becomes in the end.
FLAC_COMMENT = "?" * (len(FLAC_TAG + b"=0x0000") - len("comment="))
CAF_MASK = b"chan" + struct.pack(">QI", 12, 0x10000)  # kCAFChannelLayoutTag_UseChannelBitmap
HEAD = 1 << 16  # bytes, in which all this stands


def order(container: str, coding: str, channels: int) -> list[int]:
    """For each channel of an array, the channel of the file that it is."""
    orders = XIPH if container == "OGG" else ALAC if coding.startswith("ALAC") else {}
    return list(orders.get(channels, range(channels)))


def order_in_file(container: str, coding: str, channels: int) -> list[int]:
    """The inverse of `order`: for each channel of the file, the channel of the array."""
    here = order(container, coding, channels)
    return sorted(range(channels), key=here.__getitem__)


def reordered(block: NDArray[np.float32], order: list[int]) -> NDArray[np.float32]:
    """Rows in another order; the same array where that is their own."""
    return block if order == sorted(order) else block[order]


def usual(container: str, coding: str, channels: int) -> int | None:
    """The mask that a container means without saying it; None where it means nothing."""
    if coding.startswith("ALAC"):
        return USUAL_ALAC.get(channels)
    return USUAL.get(channels) if container in ("OGG", "FLAC") else None


def said(container: str, coding: str, channels: int, log: str, head: bytes) -> int | None:
    """The mask that a file says, in libsndfile's log or its first bytes, else what it means."""
    found: str | None = None
    if container == "FLAC" and (tag := re.search(rb"%s=0X([0-9A-F]+)" % FLAC_TAG, head.upper())):
        found = tag[1].decode()
    elif container == "CAF" and (at := head.find(CAF_MASK)) > 0:
        found = head[at + len(CAF_MASK) :][:4].hex()
    elif line := re.search(r"^\s*Channel Mask\s*: 0x([0-9A-Fa-f]+)", log, re.M):
        found = line[1]
    return usual(container, coding, channels) if found is None else int(found, 16)


def named(mask: int) -> str:
    """A mask in words: "FL FR FC LFE BL BR"."""
    return " ".join(name for bit, name in enumerate(NAMES) if mask >> bit & 1) or "no speaker"


def alike(mask: int, other: int) -> bool:
    """Whether two masks differ by no more than where the surround speakers stand, side or back."""

    def sides_as_backs(mask: int) -> int:
        back, side = mask & 0x30, mask & 0x600
        return mask & ~0x600 | side >> 5 if side and not back else mask

    return sides_as_backs(mask) == sides_as_backs(other)


def keep(part: Path, container: str, mask: int) -> bool:
    """Write a mask into a finished file; whether its container has a place for it."""
    with part.open("r+b") as file:
        head = file.read(1 << 13)
        if container == "CAF":
            at = head.find(b"free")
            (room,) = struct.unpack(">Q", head[at + 4 : at + 12])
            if at < 0 or room < 24:
                return False
            chan = CAF_MASK + struct.pack(">II", mask, 0)
            new = chan + b"free" + struct.pack(">Q", room - len(chan))
        elif container == "FLAC":
            at = head.find(f"comment={FLAC_COMMENT}".encode())
            new = FLAC_TAG + f"=0x{mask:04X}".encode()
        else:
            at = head.find(b"fmt ")
            # size 4, tag 2, channels 2, rate 4, bytes 4, align 2, bits 2, extra 2, valid bits 2
            if at < 0 or head[at + 8 : at + 10] != b"\xfe\xff":
                return False
            at, new = at + 28, struct.pack("<I", mask)
        if at < 0:
            return False
        file.seek(at)
        file.write(new)
    return True
