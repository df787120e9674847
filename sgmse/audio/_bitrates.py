"""Bit rates of lossy codings: which there are, and what libsndfile has to be told for one.

libsndfile takes a compression level from 0 (best) to 1. For high rates of Opus it is linear in
the rate, for MP3 linear in the rate of which LAME takes the nearest that exists; for others what
comes of a level depends on the sound: it is found by encoding some of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import numpy as np
import soundfile
from numpy.typing import NDArray

from sgmse.audio._info import BLOCK, Info, Samples
from sgmse.audio._media_coding import HOLDS, media_limits
from sgmse.errors import AudioError

WORST = 0.999  # libsndfile refuses 1
TRIED = 5  # seconds of sound that is encoded for a trial
HELD = 60  # seconds that are held at most until so much is heard
LOUD = 1e-3  # full scale: what is below says nothing of the rate of the rest
SHORT = 0.5  # seconds: shorter files are headers for the most part
CLOSE = 0.03  # relative: of a rate that is as good as another one

MPEG_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
OPUS = (6, 256)  # a channel
STEADY = 64  # a channel, from which on Opus takes what it is told whatever the sound
UNKNOWN = 1e6  # from there on: above 48 kHz Vorbis names no rates


class Setting(TypedDict, total=False):
    """What soundfile is told."""

    compression_level: float
    bitrate_mode: str


def constant(sample_rate: int) -> tuple[int, ...]:
    """The rates in kb/s of MP3 at a sample rate (ISO 11172-3, 13818-3 and MPEG-2.5)."""
    return MPEG_1 if sample_rate >= 32000 else MPEG_2 if sample_rate >= 16000 else MPEG_2[:8]


def limits(about: Info) -> tuple[float, float] | None:
    """The lowest and the highest bit rate in kb/s; None for a coding without."""
    if about.format in HOLDS:
        return media_limits(about)
    if about.subtype == "OPUS":
        return OPUS[0] * about.channels, OPUS[1] * about.channels
    if about.subtype == "MPEG_LAYER_III":
        rates = constant(about.sample_rate)
        return rates[0], rates[-1]
    if about.subtype == "VORBIS":
        low, high = _nominal(about, WORST), _nominal(about, 0.0)
        return (low, high) if high < UNKNOWN else (24 * about.channels, 500 * about.channels)
    return None


def chosen(path: str | Path, about: Info, asked: float | None) -> float | None:
    """The bit rate of a file: what is asked for, else that of its source as near as can be.

    Raises `AudioError` for one that is asked for and cannot be.
    """
    if asked is None and (about.bitrate is None or about.duration < SHORT):
        return None
    span = limits(about)
    if span is None:
        if asked is None:
            return None
        problem = f"{about.format} {about.subtype} has no bit rate to choose"
        raise AudioError(path, problem, "leave it out, or write mp3, ogg, opus or m4a")
    low, high = span
    if asked is None:
        return min(max(about.bitrate or low, low), high)
    if not low <= asked <= high:
        kind = f"{about.subtype} at {about.sample_rate} Hz, {about.channels} channel"
        problem = f"{kind}{'s' * (about.channels > 1)} has no bit rate of {asked:g} kb/s"
        raise AudioError(path, problem, f"choose from {low:.0f} to {high:.0f}")
    return asked


def by_formula(about: Info) -> Setting | None:
    """The setting for `about.bitrate`, None where some of the sound has to be tried."""
    if about.bitrate is None:
        return {}
    if about.subtype == "OPUS" and about.bitrate >= STEADY * about.channels:
        return _unheard(about)
    if about.subtype == "MPEG_LAYER_III":
        nearest = _nearest(about)
        if abs(nearest / about.bitrate - 1) < CLOSE:
            return _constant(about, nearest)
    return None


def heard(sound: Samples) -> NDArray[np.bool_]:
    """Which samples of (channels, samples) say something of the rate of the rest."""
    return np.asarray(np.abs(sound).max(axis=0, initial=0) > LOUD)


def by_trial(about: Info, sound: Samples) -> Setting:
    """The setting for `about.bitrate`, from the beginning (channels, samples) of what it is for."""
    assert about.bitrate is not None
    loud = heard(sound)
    if loud.sum() < about.sample_rate:
        return _unheard(about)
    setting: Setting = {"bitrate_mode": "AVERAGE"} if about.format == "MP3" else {}
    data = sound[:, int(loud.argmax()) :][:, : TRIED * about.sample_rate]

    def tried(level: float) -> float:
        return _rate(about, data, {**setting, "compression_level": level})

    best = 0.0
    if about.subtype == "VORBIS" and _nominal(about, 0.0) < UNKNOWN:
        # what begins quietly may go on loudly
        best = _level(2 * about.bitrate, lambda level: _nominal(about, level))
    return {**setting, "compression_level": _level(about.bitrate, tried, best)}


def _unheard(about: Info) -> Setting:
    """What holds for sounds in the mean."""
    assert about.bitrate is not None
    if about.format == "MP3":
        return _constant(about, _nearest(about))
    if about.subtype == "VORBIS" and _nominal(about, 0.0) < UNKNOWN:
        return {"compression_level": _level(about.bitrate, lambda level: _nominal(about, level))}
    low, high = limits(about) or (0.0, 1.0)
    return {"compression_level": min((high - about.bitrate) / (high - low), WORST)}


def _nearest(about: Info) -> int:
    assert about.bitrate is not None
    wanted = about.bitrate
    return min(constant(about.sample_rate), key=lambda rate: abs(rate - wanted))


def _constant(about: Info, rate: int) -> Setting:
    low, *_, high = constant(about.sample_rate)
    level = min((high - rate) / (high - low), WORST)
    return {"compression_level": level, "bitrate_mode": "CONSTANT"}


def _level(wanted: float, rate: Callable[[float], float], best: float = 0.0) -> float:
    """The level of a rate, which falls with it, by false position (the Illinois rule)."""
    low, high = best, WORST
    above, below = rate(low) - wanted, rate(high) - wanted
    if above <= 0 or below >= 0:
        return low if above <= 0 else high
    middle, before = low, 0
    for _ in range(8):
        middle = (low * below - high * above) / (below - above)
        excess = rate(middle) - wanted
        if abs(excess) < CLOSE / 2 * wanted:
            break
        side = 1 if excess > 0 else -1
        if side > 0:
            low, above = middle, excess
            below /= 2 if before == side else 1
        else:
            high, below = middle, excess
            above /= 2 if before == side else 1
        before = side
    return middle


def _rate(about: Info, sound: Samples, setting: Setting) -> float:
    """kb/s of a sound that is encoded."""
    content = _encoded(about, sound, setting)
    seconds: float = sound.shape[1] / about.sample_rate
    return len(content) * 8 / seconds / 1000


def _nominal(about: Info, level: float) -> float:
    """kb/s that Vorbis says of a level, in its header (Vorbis I specification, 4.2.2)."""
    content = _encoded(
        about, np.zeros((about.channels, 1), np.float32), {"compression_level": level}
    )
    at = content.index(b"\x01vorbis") + 7 + 4 + 1 + 4 + 4
    return int.from_bytes(content[at : at + 4], "little") / 1000


def _encoded(about: Info, sound: Samples, setting: Setting) -> bytes:
    content = io.BytesIO()
    form = (about.sample_rate, about.channels, about.subtype, None, about.format)
    with soundfile.SoundFile(content, "w", *form, **setting) as file:
        for start in range(0, sound.shape[1], BLOCK):
            file.write(np.ascontiguousarray(sound[:, start : start + BLOCK].T))
    return content.getvalue()
