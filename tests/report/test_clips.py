"""Sounds and pictures of recordings: the right ones, whole, comparable, small."""

import io
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from sgmse.data.pairs import Pair
from sgmse.plot.spectra import SHADES
from sgmse.report.clips import (
    files_by_recording,
    make_clips,
)
from sgmse.scoring.scores import Task

pytest.importorskip("matplotlib")
from PIL import Image

DATA = Path(__file__).resolve().parents[1] / "data"
RATE = 16000


def content(uri: str, kind: str) -> io.BytesIO:
    head, _, body = uri.partition(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(b64decode(body, validate=True))


def pixels(uri: str) -> np.ndarray:
    """Shades (rows, columns), low frequencies first."""
    with Image.open(content(uri, "image/png")) as image:
        return np.asarray(image)[::-1]


def tone(hertz: float, seconds: float, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_sounds_are_the_start_of_the_files():
    clean, noisy = make_clips(
        {"clean": DATA / "clean.wav", "noisy": DATA / "noisy.wav"}, seconds=1.5, coding="flac"
    )
    for clip, name in ((clean, "clean"), (noisy, "noisy")):
        sound, rate = soundfile.read(content(clip.sound, "audio/flac"))
        whole, _ = soundfile.read(DATA / f"{name}.wav")
        assert (rate, clip.sample_rate, clip.label, clip.seconds) == (RATE, RATE, name, 1.5)
        assert_allclose(sound, whole[: 3 * RATE // 2], atol=2**-15)


def test_opus_is_small_and_alike():
    (opus,), (flac,) = (make_clips({"a": DATA / "clean.wav"}, coding=c) for c in ("opus", "flac"))
    sound, rate = soundfile.read(content(opus.sound, "audio/ogg"))
    whole, _ = soundfile.read(DATA / "clean.wav")
    assert rate == RATE
    assert len(sound) == pytest.approx(len(whole), abs=RATE / 50)
    size = min(len(sound), len(whole))
    assert np.corrcoef(sound[:size], whole[:size])[0, 1] > 0.98
    assert len(opus.sound) < 0.4 * len(flac.sound)


def test_rates_channels_and_levels(tmp_path):
    stereo = np.stack([tone(1000, 0.5, 44100), tone(2000, 0.5, 44100, 1.5)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100, "FLOAT")
    (flac,), (opus,) = (make_clips({"a": tmp_path / "a.wav"}, coding=c) for c in ("flac", "opus"))
    sound, rate = soundfile.read(content(flac.sound, "audio/flac"))
    assert (rate, sound.shape) == (44100, stereo.shape)
    assert_allclose(sound, stereo.clip(-1, 1), atol=1e-4)
    sound, rate = soundfile.read(content(opus.sound, "audio/ogg"))
    assert (rate, sound.shape[1]) == (48000, 2)
    assert opus.seconds == pytest.approx(0.5)


def test_pictures_are_of_one_scale(tmp_path):
    """The same sound 20 dB lower is a quarter of the range darker, and 16 of 64 shades."""
    noise = 0.3 * np.random.default_rng(0).normal(size=RATE)
    for name, level in (("a", 1.0), ("b", 0.1)):
        soundfile.write(tmp_path / f"{name}.wav", level * noise, RATE, "FLOAT")
    a, b = make_clips({name: tmp_path / f"{name}.wav" for name in "ab"})
    left, right = pixels(a.picture).astype(int), pixels(b.picture).astype(int)
    assert left.max() == SHADES - 1
    bright = left > 30
    assert_allclose((left - right)[bright].mean(), 63 / 4, atol=0.1)


def test_pictures_of_other_rates_share_the_axis_of_the_first(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2000, 1, 16000), 16000)
    soundfile.write(tmp_path / "b.wav", tone(2000, 1, 48000), 48000)
    a, b = make_clips({name: tmp_path / f"{name}.wav" for name in "ab"})
    assert a.top == b.top == 8000
    rows = [pixels(clip.picture)[:, 20:40].mean(axis=1).argmax() for clip in (a, b)]
    assert rows[0] == rows[1]


def test_a_silent_first_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    (clip,) = make_clips({"a": tmp_path / "a.wav"})
    assert not pixels(clip.picture).any()


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "b.wav").write_bytes(b"RIFF nonsense")
    a, b, c = make_clips(
        {"a": tmp_path / "a.wav", "b": tmp_path / "b.wav", "c": DATA / "clean.wav"}, seconds=0.5
    )
    assert a.problem.startswith("no such file")
    assert "damaged" in b.problem
    assert str(tmp_path) not in a.problem + b.problem
    assert (a.sound, a.picture) == ("", "")
    assert c.problem == ""
    assert pixels(c.picture).max() == SHADES - 1  # the first that can be read


def test_refusals():
    with pytest.raises(ValueError, match="no coding is called 'mp3'; choose from opus, flac"):
        make_clips({}, coding="mp3")
    for bad in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="longer than 0 s"):
            make_clips({}, seconds=bad)


def test_files_by_recording():
    def task(name: str, system: str, seed: int | None = None) -> Task:
        enhanced = Path(f"{system}/{seed}/{name}.wav")
        pair = Pair(name, Path(f"c/{name}.wav"), enhanced, Path(f"n/{name}.wav"))
        return Task(pair, system, "set", seed)

    found = files_by_recording(
        [task("1", "b", 0), task("1", "b", 1), task("2", "b", 0), task("1", "noisy")]
    )
    assert list(found) == [("set", "1"), ("set", "2")]
    assert found["set", "1"] == {
        "clean": Path("c/1.wav"),
        "noisy": Path("noisy/None/1.wav"),
        "b": Path("b/0/1.wav"),
    }
    assert list(found["set", "2"]) == ["clean", "noisy", "b"]
    assert files_by_recording([Task(Pair("1", None, Path("e.wav")), "a")]) == {
        ("", "1"): {"a": Path("e.wav")}
    }
