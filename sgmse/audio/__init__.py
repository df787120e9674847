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

from sgmse.audio._arrays import InMemory, floats_of
from sgmse.audio._coding import CLIP_MODES, RATES, ClipMode, written_as
from sgmse.audio._finding import find, listed, look, unsearched
from sgmse.audio._info import BLOCK, FOREIGN, SUFFIXES, Info, Samples
from sgmse.audio._lists import FILE_NAME, is_list, metadata_of, read_metadata, without_suffix
from sgmse.audio._names import beside, check_target, make_folder
from sgmse.audio._passage import Passage, passage
from sgmse.audio._piped import CODINGS, Pcm, read_header
from sgmse.audio._reading import blocks, info, read
from sgmse.audio._resampling import resample, resample_blocks, resampled_length
from sgmse.audio._sources import Source, name_of, seekable
from sgmse.audio._streams import (
    Block,
    alongside,
    count_segments,
    cut,
    in_segments,
    mixed,
    peaks,
    segments,
)
from sgmse.audio._writing import Writer, write

__all__ = [
    "BLOCK",
    "CLIP_MODES",
    "CODINGS",
    "FILE_NAME",
    "FOREIGN",
    "RATES",
    "SUFFIXES",
    "Block",
    "ClipMode",
    "InMemory",
    "Info",
    "Passage",
    "Pcm",
    "Samples",
    "Source",
    "Writer",
    "alongside",
    "beside",
    "blocks",
    "check_target",
    "count_segments",
    "cut",
    "find",
    "floats_of",
    "in_segments",
    "info",
    "is_list",
    "listed",
    "look",
    "make_folder",
    "metadata_of",
    "mixed",
    "name_of",
    "passage",
    "peaks",
    "read",
    "read_header",
    "read_metadata",
    "resample",
    "resample_blocks",
    "resampled_length",
    "seekable",
    "segments",
    "unsearched",
    "without_suffix",
    "write",
    "written_as",
]
