"""What a file is, and what files are named."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (channels, samples)

BLOCK = 1 << 16  # frames; libsndfile overflows its stack on long single writes of Ogg Vorbis

# Suffix -> the containers that files so named hold; a new file gets the first.
SUFFIXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("wav", "wave", "bwf"), ("WAV", "WAVEX", "RF64", "NIST")),
    **dict.fromkeys(("ogg", "oga", "opus"), ("OGG",)),
    **dict.fromkeys(("aiff", "aif", "aifc"), ("AIFF",)),
    **dict.fromkeys(("au", "snd"), ("AU",)),
    **{name: (name.upper(),) for name in ("flac", "mp3", "caf", "w64", "rf64", "voc")},
    "sph": ("NIST",),
}
#: The same of containers that PyAV reads (extra `media`), by FFmpeg's names in capitals.
FOREIGN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("m4a", "m4b"), ("IPOD",)),
    **dict.fromkeys(("mp4", "m4v"), ("MP4",)),
    **dict.fromkeys(("mkv", "mka"), ("MATROSKA",)),
    **dict.fromkeys(("wma", "wmv", "asf"), ("ASF",)),
    **{
        name: (name.upper(),) for name in ("mov", "3gp", "3g2", "webm", "ac3", "eac3", "amr", "avi")
    },
    "aac": ("ADTS",),
}
SUFFIXES |= FOREIGN


@dataclass(frozen=True)
class Info:
    """What a file is: rate in Hz, channels, frames (samples of one channel), container, coding.

    `format` and `subtype` are libsndfile's names, such as ("WAV", "PCM_16") or ("OGG", "OPUS"),
    where it has one, else FFmpeg's in capitals, such as ("MP4", "AAC").
    `bitrate` is the mean one of a lossy coding in kb/s, None where there is none or it is not
    known; `speakers` the mask of the speakers that the channels are meant for (dwChannelMask),
    None where the file does not say it; `start` when the sound begins beside a picture, in
    seconds. Files that differ in nothing else are equal.
    """

    sample_rate: int
    channels: int = 1
    frames: int = 0
    format: str = "WAV"
    subtype: str = "PCM_16"
    bitrate: float | None = field(default=None, compare=False)
    speakers: int | None = field(default=None, compare=False)
    start: float = field(default=0.0, compare=False)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate
