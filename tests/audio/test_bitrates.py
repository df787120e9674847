"""Bit rates of lossy files, measured: kept from the source, or as asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import first_often

from sgmse.audio import Info, Writer, info, read, resample, write, written_as
from sgmse.errors import AudioError, RecordingWarning

SECONDS = 3


def measured(path: Path) -> float:
    return path.stat().st_size * 8 / info(path).duration / 1000


def written(path: Path, audio: np.ndarray, rate: int, wanted: float) -> None:
    with Writer(path, Info(rate, len(audio)), bitrate=wanted) as writer:
        for block in np.array_split(audio, 7, axis=1):
            writer.write(block)


def sound(kind: str, rate: int, channels: int) -> np.ndarray:
    if kind == "noise":
        z = np.random.default_rng(0).standard_normal((channels, SECONDS * rate))
        return (0.1 * z).clip(-1, 1).astype(np.float32)
    speech, about = read(Path(__file__).parent.parent / "data" / "clean.wav")
    speech = np.tile(speech, 3)[:, : SECONDS * about.sample_rate]
    there = resample(torch.from_numpy(speech), about.sample_rate, rate).numpy()
    return np.concatenate([np.roll(there, 300 * c, axis=1) for c in range(channels)])


@pytest.fixture(scope="module")
def sounds():
    made = {}

    def get(*form) -> np.ndarray:
        return made.setdefault(form, sound(*form) if form not in made else None)

    return get


# suffix, kb/s, rate, channels, and how near it gets (MP3 has constant rates; Opus and Vorbis vary)
RATES = [
    ("mp3", 192, 48000, 2, 0.02),
    ("mp3", 32, 8000, 1, 0.09),
    ("mp3", 71, 44100, 1, 0.1),  # a mean that no constant rate is near
    ("opus", 32, 16000, 1, 0.05),
    ("opus", 160, 24000, 2, 0.1),
    ("ogg", 48, 16000, 1, 0.1),
    ("ogg", 160, 48000, 2, 0.1),
    ("ogg", 64, 48000, 1, 0.1),
    ("opus", 96, 48000, 2, 0.1),
    ("mp3", 64, 48000, 1, 0.02),
    ("mp3", 320, 44100, 2, 0.02),
    ("mp3", 48, 16000, 1, 0.05),
]


@pytest.mark.parametrize("kind", ["speech", pytest.param("noise", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("suffix", "wanted", "rate", "channels", "near"), first_often(7, RATES))
def test_what_is_asked_for_is_measured(
    tmp_path, sounds, suffix, wanted, rate, channels, near, kind
):
    if (suffix, kind, wanted) == ("ogg", "noise", 64):
        wanted = 80  # white noise takes more
    path = tmp_path / f"x.{suffix}"
    audio = sounds(kind, rate, channels)
    written(path, audio, rate, wanted)
    assert measured(path) == pytest.approx(wanted, rel=near)
    # and what is made of it has the same
    audio, about = read(path)
    write(tmp_path / f"y.{suffix}", audio, about)
    assert measured(tmp_path / f"y.{suffix}") == pytest.approx(wanted, rel=near + 0.03)


@pytest.mark.parametrize(
    ("name", "form", "asked", "words"),
    [
        ("x.mp3", (48000, 2), 500, r"MPEG_LAYER_III at 48000 Hz, 2 channels has no .* 500 kb/s; "),
        ("x.mp3", (48000, 2), 16, "choose from 32 to 320"),
        ("x.mp3", (16000, 1), 192, "choose from 8 to 160"),
        ("x.opus", (48000, 1), 320, "choose from 6 to 256"),
        ("x.ogg", (48000, 2), 600, "choose from 64 to 500"),
        ("x.wav", (48000, 2), 128, "WAV PCM_16 has no bit rate to choose; leave it out, or write"),
        ("x.flac", (48000, 2), 128, "FLAC PCM_16 has no bit rate to choose"),
    ],
)
def test_impossible_rates_are_refused_before_any_work(name, form, asked, words):
    with pytest.raises(AudioError, match=words):
        written_as(name, Info(*form), bitrate=asked)


def test_a_rate_of_the_source_that_cannot_be_is_the_nearest_one():
    source = Info(16000, 1, 160000, "MP3", "MPEG_LAYER_III", bitrate=320)
    assert written_as("x.mp3", source).bitrate == 160
    assert written_as("x.wav", source).bitrate is None
    assert written_as("x.ogg", replace(source, bitrate=8)).bitrate == pytest.approx(24, abs=1)
    assert written_as("x.mp3", Info(16000)).bitrate is None


def test_a_rate_that_is_not_reached_is_said(tmp_path):
    audio = np.tile(sound("speech", 16000, 1), 2)
    words = r"x\.ogg: has \d+ kb/s, not 99: no nearer with VORBIS and this sound"
    with pytest.warns(RecordingWarning, match=words):
        written(tmp_path / "x.ogg", audio, 16000, 99)


def test_a_quiet_beginning_does_not_decide(tmp_path, sounds):
    speech = sounds("speech", 16000, 1)
    audio = np.concatenate([1e-4 * np.tile(speech, 3), *[speech] * 3], axis=1)
    written(tmp_path / "x.ogg", audio, 16000, 40)
    assert 2 * measured(tmp_path / "x.ogg") == pytest.approx(40, rel=0.25)
