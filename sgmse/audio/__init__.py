"""Recordings in and out: whole or damaged files, streams of blocks, rates, names.

Arrays are float32 of shape (channels, samples), full scale is [-1, 1], rates are in Hz. A file that
is read is whole and finite or an `AudioError`; a file that is written appears whole or not at all.
A long file is processed in bounded memory by chaining generators:

    about = info(source)
    with Writer(target, like=about) as writer:
        low = map(process, resample_blocks(blocks(source), about.sample_rate, 16000))
        for block in resample_blocks(low, 16000, about.sample_rate, length=about.frames):
            writer.write(block)
"""

from sgmse.audio.files import (
    FOREIGN,
    SUFFIXES,
    Info,
    Samples,
    Writer,
    blocks,
    info,
    read,
    write,
    written_as,
)
from sgmse.audio.finding import find
from sgmse.audio.resampling import resample, resample_blocks, resampled_length

__all__ = [
    "FOREIGN",
    "SUFFIXES",
    "Info",
    "Samples",
    "Writer",
    "blocks",
    "find",
    "info",
    "read",
    "resample",
    "resample_blocks",
    "resampled_length",
    "write",
    "written_as",
]
