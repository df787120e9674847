"""What real coders leave behind, by those of libsndfile (the package soundfile)."""

import io
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.random import Generator
from typing_extensions import override

from sgmse.audio import RATES
from sgmse.data._checked import Probability, Range, SomeOf, Within
from sgmse.data.degradations._base import Audio, Degradation, Floats, decibels
from sgmse.data.degradations.bands import fitted
from sgmse.errors import ArgumentError

Coder = Literal["vorbis", "opus", "mp3", "mulaw", "alaw", "gsm", "ima_adpcm", "ms_adpcm", "g721"]
Coders = Annotated[tuple[Coder, ...], SomeOf(Coder)]


class _Coding(NamedTuple):
    """How soundfile is asked for a coder.

    Args:
        format, subtype: of soundfile.
        rates: in Hz that the coder has; any if empty.
        worst, best: its compression level at quality 0 and 1; it has none where both are absent.
    """

    format: str
    subtype: str
    rates: tuple[int, ...] = ()
    worst: float | None = None
    best: float | None = None


TELEPHONE = (8000,)
INAUDIBLE = 1e-20  # a peak that no gain makes a signal of
CODINGS: dict[Coder, _Coding] = {
    "vorbis": _Coding("OGG", "VORBIS", (), 1.0, 0.3),
    # libsndfile asks for 6 + 250 (1 - compression level) kbit/s
    "opus": _Coding("OGG", "OPUS", RATES["OPUS"], 1.0, 0.77),
    # Variable bit rate, as at low constant ones libsndfile writes no delay for the decoder.
    "mp3": _Coding("MP3", "MPEG_LAYER_III", RATES["MPEG_LAYER_III"], 0.99, 0.0),
    "mulaw": _Coding("WAV", "ULAW", TELEPHONE),
    "alaw": _Coding("WAV", "ALAW", TELEPHONE),
    "gsm": _Coding("WAV", "GSM610", TELEPHONE),
    "ima_adpcm": _Coding("WAV", "IMA_ADPCM"),
    "ms_adpcm": _Coding("WAV", "MS_ADPCM"),
    "g721": _Coding("WAV", "G721_32", TELEPHONE),
}


@dataclass(frozen=True)
class Codec(Degradation):
    """Coded and decoded, in memory, at a rate that the coder has, and brought back to its own.

    mu-law and A-law (G.711), GSM 06.10 and ADPCM G.721 are of the telephone, 8 kHz; Opus and MP3
    are given the next rate that they have above that of the audio, and Vorbis and the other ADPCMs
    take any. The output is aligned with the input.

    Args:
        coders: which ones, each as probable.
        quality: range from 0, the lowest bit rate that the coder has, to 1: of Opus 6 to
            64 kbit/s, of MP3 (variable rate) about 26 to 70 and of Vorbis about 40 to 70 at 16 kHz.
            The others have one rate.
        level: range in dB, relative to full scale, of the peak while it is coded.
    """

    probability: Probability = 0.1
    coders: Coders = ("vorbis", "opus", "mp3", "mulaw", "alaw", "gsm", "ima_adpcm")
    quality: Annotated[Range, Within(0, 1)] = (0.0, 1.0)
    level: Annotated[Range, Within(-60, 0)] = (-20.0, -1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for coder in self.coders:
            coding = CODINGS[coder]
            if not soundfile.check_format(coding.format, coding.subtype):
                raise ArgumentError(
                    f"Codec: the libsndfile here ({soundfile.__libsndfile_version__}) has no"
                    f" {coder}; leave it out of coders, or update the package soundfile"
                )

    @override
    def apply(self, audio: Audio, rng: Generator, sample_rate: int) -> Floats:
        coder = self.coders[rng.integers(len(self.coders))]
        quality, level = rng.uniform(*self.quality), rng.uniform(*self.level)
        peak = float(np.abs(audio).max())
        if peak < INAUDIBLE:
            return audio
        gain = decibels(level) / peak
        return coded(coder, audio * np.float32(gain), sample_rate, quality) / gain


def coded(coder: Coder, audio: Audio, sample_rate: int, quality: float) -> Audio:
    """What comes out of the coder, within [-1, 1], of the same length.

    Args:
        coder: its name.
        audio: float32 (samples,) in [-1, 1].
        sample_rate: in Hz.
        quality: 0 to 1.
    """
    coding = CODINGS[coder]
    highest = max(coding.rates, default=sample_rate)
    rate = next((r for r in coding.rates if r >= sample_rate), highest)
    resampled = audio if rate == sample_rate else soxr.resample(audio, sample_rate, rate, "HQ")
    settings: dict[str, object] = {}
    if coding.worst is not None and coding.best is not None:
        settings["compression_level"] = coding.worst + quality * (coding.best - coding.worst)
    if coder == "mp3":
        settings["bitrate_mode"] = "VARIABLE"
    file = io.BytesIO()
    soundfile.write(file, resampled, rate, coding.subtype, format=coding.format, **settings)
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0]
    if rate != sample_rate:
        decoded = soxr.resample(decoded, rate, sample_rate, "HQ")
    return fitted(decoded, len(audio))
