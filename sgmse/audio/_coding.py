"""What a file that is written will be: container, coding, and how much it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import soundfile

from sgmse._checks import arguments
from sgmse.audio import _bitrates, _media
from sgmse.audio._info import SUFFIXES, Info
from sgmse.audio._media_coding import HOLDS, media_as
from sgmse.errors import ArgumentError, AudioError

FLOATS = ("FLOAT", "DOUBLE")
WIDE = (*FLOATS, "PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24")
READ_ONLY = {("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("WAV", "MPEG_LAYER_III")}
#: Coding -> the sample rates that it has, where not all.
RATES = {
    "OPUS": (8000, 12000, 16000, 24000, 48000),
    "MPEG_LAYER_III": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}
#: Container or coding -> the channels that libsndfile writes, where not any number of them; of 256
#: and more, Vorbis would end the process.
CHANNELS = {"FLAC": 8, "MP3": 2, "OGG": 255, "VOC": 2}
CHANNELS |= {"GSM610": 1, "IMA_ADPCM": 2, "MS_ADPCM": 2}
#: Coding -> bytes a sample; of what is not named here, one at most.
WIDTHS = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "DWVW_24": 3}
HEADERS = 1 << 16  # bytes, and more than that they never are
#: Container -> the bytes that it counts to: by 32 bits, of which libsndfile reads 31 of AU.
BYTES = {"WAV": 1 << 32, "WAVEX": 1 << 32, "AIFF": 1 << 32, "AU": 1 << 31, "VOC": 1 << 24}
ENDLESS = ("RF64", "W64", "CAF", "NIST", "OGG", "MP3")
FLAC_FRAMES = 1 << 36


ClipMode: TypeAlias = Literal["clamp", "rescale", "none"]
CLIP_MODES: tuple[ClipMode, ...] = get_args(ClipMode)


def written_as(
    path: str | Path,
    like: Info,
    format: str | None = None,  # noqa: A002
    *,
    bitrate: float | None = None,
    clip_mode: ClipMode = "clamp",
) -> Info:
    """What a file written to `path` will be, `like` another one.

    Its container is `format` (a suffix such as 'flac' or 'opus'), else the one that the suffix of
    `path` asks for, else that of `like`. Its coding is that of `like` where the container allows
    it, else 24 bit for wider codings, else the container's default. More sound than a wav file
    holds (4 GiB) is written as RF64, its extension; more than two channels whose speakers are known
    and that were in no wav file, as WAVEX, which says them. A lossy coding has the bit rate that is
    asked for, in kb/s, else that of `like` as near as can be. With the clip mode "none", which
    keeps what lies beyond full scale, the coding is float. Raises `AudioError` where this cannot
    be written, or not so much of it, before any work is done.
    """
    arguments(written_as, locals())
    if clip_mode not in CLIP_MODES:
        raise ArgumentError(f"clip_mode must be one of {', '.join(CLIP_MODES)}, not {clip_mode!r}")
    name = (Path(path).suffix if format is None else format).lower().removeprefix(".")
    if format is not None and name not in SUFFIXES:
        raise AudioError(path, f"{name!r} cannot be written", f"use one of {', '.join(SUFFIXES)}")
    allowed = SUFFIXES.get(name, (like.format,))
    container = like.format if like.format in allowed else allowed[0]
    if container == "WAV" != like.format and like.channels > 2 and like.speakers is not None:
        container = "WAVEX"
    if container in HOLDS:
        if clip_mode == "none":
            problem = f"{container} holds nothing beyond full scale"
            raise AudioError(path, problem, "choose clip mode clamp or rescale, or write wav")
        _media.package(Path(path), name)
        about = media_as(path, like, container, lossy=bitrate is not None)
        return replace(about, bitrate=_bitrates.chosen(path, about, bitrate))
    wide = ["PCM_24"] if like.subtype in WIDE else []
    default = soundfile.default_subtype(container)
    for subtype in ["OPUS"] if name == "opus" else [like.subtype, *wide, default]:
        if soundfile.check_format(container, subtype) and (container, subtype) not in READ_ONLY:
            break
    if clip_mode == "none" and subtype not in FLOATS:
        if not soundfile.check_format(container, "FLOAT"):
            problem = f"{container} {subtype} holds nothing beyond full scale"
            raise AudioError(path, problem, "choose clip mode clamp or rescale, or write wav")
        subtype = "FLOAT"
    rates = RATES.get(subtype, (like.sample_rate,))
    if like.sample_rate not in rates:
        problem = f"{subtype} cannot be written at {like.sample_rate} Hz"
        remedy = f"resample to one of {', '.join(map(str, rates))}, or use wav or flac"
        raise AudioError(path, problem, remedy)
    most = min(CHANNELS.get(kind, like.channels) for kind in (container, subtype))
    if like.channels > most:
        problem = f"{container} {subtype} holds at most {most} channel{'s' * (most > 1)}"
        raise AudioError(path, f"{problem}, not {like.channels}", "use wav, caf or w64")
    about = replace(like, format=container, subtype=subtype)
    if container in ("WAV", "WAVEX") and like.frames > frames_held(about):
        wider = replace(about, format="RF64")
        about = wider if soundfile.check_format("RF64", subtype) else about
    check_room(path, about)
    return replace(about, bitrate=_bitrates.chosen(path, about, bitrate))


def frames_held(about: Info) -> int:
    """How many samples of a channel the container counts to."""
    if about.format == "FLAC":
        return FLAC_FRAMES - 1
    if about.format in ENDLESS:
        return 1 << 60
    room = BYTES.get(about.format, 1 << 31) - HEADERS
    return room // (WIDTHS.get(about.subtype, 1) * about.channels)


def check_room(path: str | Path, about: Info) -> None:
    """Refuse, with `AudioError`, more frames than the container counts to."""
    if about.frames > (most := frames_held(about)):
        problem = f"{about.format} {about.subtype} holds {most} samples of {about.channels} "
        problem += f"channel{'s' * (about.channels > 1)}, not {about.frames}"
        raise AudioError(path, problem, "use rf64, w64, caf or flac")
