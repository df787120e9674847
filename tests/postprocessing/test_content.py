"""What is not noisy speech is said: music, clean speech, no speech; and nothing of noisy speech."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from corpora import voice
from scipy.signal import resample_poly
from tiny import Gain, enhancer

from sgmse.audio import Info, read, write
from sgmse.errors import RecordingWarning
from sgmse.postprocessing import Content

RATE = 16000
DATA = Path(__file__).parent.parent / "data"
NOTES = 220 * 2 ** (np.array([0, 4, 7, 12, 9, 5, 2, 7]) / 12)


def remarks(clean: np.ndarray, noisy: np.ndarray) -> list[str]:
    """Of a recording in two segments."""
    content, half = Content(RATE), len(noisy) // 2
    for part in (slice(half), slice(half, None)):
        content.add(clean[None, part], noisy[None, part])
    return content.remarks()


def melody(chords: bool, seconds: float = 4.0, voices: int = 6) -> np.ndarray:
    """Notes of half a second with overtones, alone or as triads."""
    t = np.arange(round(seconds * RATE)) / RATE
    out = np.zeros_like(t)
    for i, pitch in enumerate(np.resize(NOTES, round(2 * seconds))):
        inside = (t >= i / 2) & (t < (i + 1) / 2)
        decay = np.exp(-2 * (t - i / 2)) * np.minimum(1, (t - i / 2) * 50)
        for ratio in (1, 5 / 4, 3 / 2) if chords else (1,):
            for k in range(1, voices + 1):
                out += inside * decay * np.sin(2 * np.pi * k * ratio * pitch * t) / k
    return 0.1 * out


def speech(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return 0.5 * resample_poly(voice(seed, seconds), 2, 1)


def noise(seconds: float = 4.0) -> np.ndarray:
    return 0.05 * np.random.default_rng(0).standard_normal(round(seconds * RATE))


@pytest.mark.parametrize("chords", [False, True])
@pytest.mark.parametrize("left", [1.0, 0.3, 0.05])
def test_music_is_said(chords, left):
    music = melody(chords) + 0.01 * noise()
    assert ["sounds like music" in line for line in remarks(left * music, music)] == [True]


def test_clean_speech_is_said():
    s = speech()
    lines = remarks(0.8 * s, s + 0.01 * noise())
    assert ["clean already" in line for line in lines] == [True]


@pytest.mark.parametrize("left", [0.0, 0.01, 0.05])
def test_no_speech_is_said(left):
    lines = remarks(left * noise() + 1e-6 * speech(), noise())
    assert ["no speech was found" in line for line in lines] == [True]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("hum", [0.0, 0.1])
def test_nothing_is_said_of_noisy_speech(seed, level, hum):
    s = speech(seed=seed)
    engine = sum(np.sin(2 * np.pi * 90 * k * np.arange(len(s)) / RATE) for k in range(1, 9))
    n = level * noise() + hum * engine
    residue = 0.02 * n
    assert remarks(0.75 * s + residue, s + n) == []


def test_what_is_short_or_silent_is_not_judged():
    assert remarks(melody(True, 1.5), melody(True, 1.5)) == []
    assert remarks(np.zeros(4 * RATE), np.zeros(4 * RATE)) == []
    assert remarks(np.zeros(10), np.zeros(10)) == []


def test_a_recording_of_silence_is_said(model, tmp_path):
    write(tmp_path / "muted.wav", np.zeros((2, 2 * RATE), "f"), Info(RATE, 2))
    with pytest.warns(RecordingWarning, match=r"muted\.wav: this is silent"):
        target = model.enhance_file(tmp_path / "muted.wav")
    assert not read(target)[0].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(np.zeros(2 * RATE - 1, "f"), RATE)  # a pause


def test_a_word_in_a_minute_of_noise_is_speech():
    n = 4 * noise(20.0)
    s = np.zeros_like(n)
    s[: 2 * RATE] = speech(2.0)
    assert remarks(0.8 * s + 0.01 * n, s + n) == []


# In an enhancer, of an array and of a file with its name


@pytest.fixture
def model():
    return enhancer(Gain(0.9))


@pytest.mark.slow
def test_a_file_is_named_and_its_result_written(model, tmp_path):
    write(tmp_path / "song.wav", melody(True)[None].astype("f"), Info(RATE))
    with pytest.warns(RecordingWarning, match=r"song\.wav: this sounds like music; the result wi"):
        target = model.enhance_file(tmp_path / "song.wav")
    assert target.exists()
    with pytest.warns(RecordingWarning, match="^audio: this sounds like music"):
        model(melody(True), RATE)


def test_sound_that_is_left_out_is_said_once(model, tmp_path):
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 24000)).astype("f")
    write(tmp_path / "wide.wav", audio, Info(48000, 2))
    with pytest.warns(RecordingWarning) as said:
        model.enhance_file(tmp_path / "wide.wav", upper_band=False)
    assert [str(w.message).partition(": ")[2] for w in said] == [
        "sound above 8 kHz is left out; --upper-band (upper_band=True) keeps it"
    ]
    with pytest.warns(RecordingWarning, match="^audio: sound above 8 kHz is left out"):
        model(audio, 48000, upper_band=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(audio, 48000)
        model(audio, 16000, upper_band=False)
        model(resample_poly(audio[:, ::6], 6, 1, axis=1), 48000, upper_band=False)


def test_nothing_is_said_of_the_shipped_recording():
    noisy, about = read(DATA / "noisy.wav")
    clean, _ = read(DATA / "clean.wav")
    assert remarks(0.8 * clean[0], noisy[0]) == []
    assert about.sample_rate == RATE
