"""Which codings PyAV writes into which containers, and at what rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sgmse.audio._info import Info
from sgmse.errors import AudioError

AAC_RATES = (
    7350,
    8000,
    11025,
    12000,
    16000,
    22050,
    24000,
    32000,
    44100,
    48000,
    64000,
    88200,
    96000,
)
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg.

    `rates` in Hz (empty: all); `span` of the bit rates in kb/s, each times the channels where
    `each` says so; `usual` the bit rate of a channel where nothing else says one.
    """

    encoder: str
    rates: tuple[int, ...] = ()
    span: tuple[float, float] | None = None
    each: bool = True
    usual: float = 64
    most: int = 8  # channels
    sample_format: str | None = None


CODECS = {
    "AAC": Codec("aac", AAC_RATES, (8, 256)),
    "OPUS": Codec("libopus", OPUS_RATES, (6, 256), usual=48),
    "AC3": Codec("ac3", (32000, 44100, 48000), (32, 640), each=False, usual=96, most=6),
    "EAC3": Codec("eac3", (32000, 44100, 48000), (32, 640), each=False, usual=96, most=6),
    "MPEG_LAYER_III": Codec("libmp3lame", MPEG_RATES, (8, 320), each=False, most=2),
    "WMAV2": Codec("wmav2", MPEG_RATES, (16, 192), most=2),
    "AMR_NB": Codec("libopencore_amrnb", (8000,), (4.75, 12.2), usual=12.2, most=1),
    "ALAC_16": Codec("alac", sample_format="s16p"),
    "ALAC_24": Codec("alac", sample_format="s32p"),
    "FLAC": Codec("flac", sample_format="s16"),
    "FLAC_24": Codec("flac", sample_format="s32"),
    "PCM_16": Codec("pcm_s16le"),
    "PCM_24": Codec("pcm_s24le"),
    "PCM_32": Codec("pcm_s32le"),
    "FLOAT": Codec("pcm_f32le"),
}
_PCM = ("PCM_16", "PCM_24", "PCM_32", "FLOAT")
_ALAC = ("ALAC_16", "ALAC_24")
_FLAC = ("FLAC", "FLAC_24")

#: Container -> the codings that are written into it; the first where that of the source is none.
HOLDS: dict[str, tuple[str, ...]] = {
    "IPOD": ("AAC", *_ALAC),
    "MP4": ("AAC", "OPUS", "AC3", "EAC3", "MPEG_LAYER_III", *_ALAC),
    "MOV": ("AAC", "AC3", "EAC3", "MPEG_LAYER_III", *_ALAC, *_PCM),
    "3GP": ("AAC", "AMR_NB"),
    "3G2": ("AAC", "AMR_NB"),
    "MATROSKA": ("AAC", "OPUS", "AC3", "EAC3", "MPEG_LAYER_III", *_FLAC, *_ALAC),
    "WEBM": ("OPUS",),
    "AVI": ("MPEG_LAYER_III", "AC3", "PCM_16"),
    "ASF": ("WMAV2",),
    "ADTS": ("AAC",),
    "AC3": ("AC3",),
    "EAC3": ("EAC3",),
    "AMR": ("AMR_NB",),
}

#: What is written in place of a coding that a container does not hold, if it holds this one: PCM in
#: Matroska would not say its speakers, and Vorbis is not written well.
INSTEAD = {
    "PCM_16": "FLAC",
    **dict.fromkeys(("PCM_24", "PCM_32", "FLOAT"), "FLAC_24"),
    "VORBIS": "OPUS",
}


def media_as(path: str | Path, like: Info, container: str, *, lossy: bool) -> Info:
    """`like` another file in a container of PyAV's. Raises `AudioError` where it cannot be.

    With `lossy` it gets a coding that has a bit rate.
    """
    held = HOLDS[container]
    if lossy:
        held = tuple(coding for coding in held if CODECS[coding].span is not None)
    wanted = (like.subtype, INSTEAD.get(like.subtype), held[0])
    coding = next(name for name in wanted if name in held)
    assert coding is not None
    codec = CODECS[coding]
    if like.channels > codec.most:
        problem = f"{container} {coding} holds at most {codec.most} channels, not {like.channels}"
        raise AudioError(path, problem, "write mkv, wav or flac")
    # Opus is at 48 kHz inside, whatever it is given.
    if codec.rates and like.sample_rate not in codec.rates and coding != "OPUS":
        problem = f"{coding} cannot be written at {like.sample_rate} Hz"
        remedy = f"resample to one of {', '.join(map(str, codec.rates))}, or use wav or flac"
        raise AudioError(path, problem, remedy)
    rate = like.bitrate if codec.span else None
    return replace(like, format=container, subtype=coding, bitrate=rate)


def media_limits(about: Info) -> tuple[float, float] | None:
    """The lowest and the highest bit rate of a coding in kb/s; None for one without."""
    codec = CODECS.get(about.subtype)
    if codec is None or codec.span is None:
        return None
    low, high = codec.span
    if about.subtype == "AAC":
        high = min(high, 6 * about.sample_rate / 1000)  # bits of a sample of a channel
    times = about.channels if codec.each else 1
    return low * times, high * times
