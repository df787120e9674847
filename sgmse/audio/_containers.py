"""Which container a file is, by its first bytes, and where the sound lies in it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sgmse.audio import _flac, _headers, _mpeg, _ogg, _riff
from sgmse.audio._layout import Layout, Track, after_tags
from sgmse.audio._riff import Mpeg
from sgmse.audio._sources import bytes_at, size_of

KNOWN: dict[bytes, Callable[[BinaryIO, Path, int, int], Layout | Mpeg | None]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64"), _riff.riff),
    b"riff": _riff.w64,
    b"FORM": _riff.aiff,
    b".snd": _headers.au,
    b"dns.": _headers.au,
    b"caff": _headers.caf,
    b"NIST": _headers.nist,
    b"Crea": _headers.voc,
    b"OggS": _ogg.layout,
    b"fLaC": _flac.layout,
}
MAGIC = (*KNOWN, b"ID3")


def layout_of(stream: BinaryIO, path: Path) -> Layout:
    """Where the sound is; the file as it is where this is not known.

    Raises `AudioError` where it is cut off or damaged.
    """
    end = size_of(stream)
    start = after_tags(stream, end)
    walk = KNOWN.get(bytes_at(stream, start, 4), _mpeg.layout)  # which has no first bytes
    try:
        found = walk(stream, path, start, end)
    except (struct.error, IndexError):  # the header ends too early, which libsndfile will find
        found = None
    if isinstance(found, Mpeg):
        found = _mpeg.layout(stream, path, *found)
    return found or Layout((Track((range(end),)),), end)
