"""What a container counts to: more sound is written elsewhere, or refused before any work."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sgmse.audio import Info, Writer, _coding, info, read, write, written_as
from sgmse.errors import AudioError, RecordingWarning

HOUR = 3600 * 48000


@pytest.mark.parametrize(
    ("name", "like", "hours", "expected"),
    [
        ("x.wav", Info(48000, 2, 0, "WAV", "PCM_16"), 6.2, "WAV"),  # 4.29 GB: 6.21 hours
        ("x.wav", Info(48000, 2, 0, "WAV", "PCM_16"), 6.3, "RF64"),
        ("x.wav", Info(48000, 6, 0, "WAVEX", "PCM_24"), 1.3, "WAVEX"),
        ("x.wav", Info(48000, 6, 0, "WAVEX", "PCM_24"), 1.4, "RF64"),
        ("x.wav", Info(48000, 2, 0, "FLAC", "PCM_24"), 4.2, "RF64"),
        ("x.wav", Info(48000, 1, 0, "WAV", "DOUBLE"), 3.2, "RF64"),
        ("x.w64", Info(48000, 2, 0, "WAV", "FLOAT"), 99, "W64"),
        ("x.caf", Info(48000, 2, 0, "WAV", "FLOAT"), 99, "CAF"),
        ("x.flac", Info(48000, 2, 0, "WAV", "PCM_16"), 396, "FLAC"),
        ("x.mp3", Info(48000, 2, 0, "WAV", "PCM_16"), 999, "MP3"),
        ("x.ogg", Info(48000, 2, 0, "WAV", "PCM_16"), 999, "OGG"),
        ("x.aiff", Info(48000, 2, 0, "WAV", "PCM_16"), 6.2, "AIFF"),
    ],
)
def test_what_holds_so_much(name, like, hours, expected):
    assert written_as(name, replace(like, frames=int(hours * HOUR))).format == expected


@pytest.mark.parametrize(
    ("name", "like", "hours"),
    [
        ("x.aiff", Info(48000, 2, 0, "WAV", "PCM_16"), 6.3),
        ("x.au", Info(48000, 2, 0, "WAV", "PCM_16"), 3.2),
        ("x.voc", Info(48000, 1, 0, "WAV", "PCM_16"), 0.05),
        ("x.flac", Info(48000, 1, 0, "WAV", "PCM_16"), 398),
        ("x.wav", Info(48000, 2, 0, "WAV", "IMA_ADPCM"), 13),
        ("x.take2", Info(48000, 2, 0, "AVR", "PCM_16"), 3.2),
    ],
)
def test_more_is_refused_before_any_work(tmp_path, name, like, hours):
    with pytest.raises(AudioError, match=r"holds \d+ samples .*; use rf64, w64, caf or flac"):
        Writer(tmp_path / name, replace(like, frames=int(hours * HOUR)))


def test_a_long_wav_becomes_rf64_and_reads_back_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(_coding.BYTES, "WAV", _coding.HEADERS + 4000)
    audio = np.linspace(-0.5, 0.5, 2 * 1001, dtype=np.float32).reshape(2, 1001)
    write(tmp_path / "short.wav", audio[:, :1000], Info(16000, 2))
    assert info(tmp_path / "short.wav").format == "WAV"
    with pytest.warns(RecordingWarning, match=r"long\.wav: is longer than wav can be: it is RF64"):
        write(tmp_path / "long.wav", audio, Info(16000, 2))
    back, about = read(tmp_path / "long.wav")
    assert (about.format, about.frames) == ("RF64", 1001)
    np.testing.assert_allclose(back, audio, atol=2**-15)
    assert soundfile.info(tmp_path / "long.wav").format == "RF64"


def test_a_stream_of_unknown_length_ends_where_the_container_does(tmp_path, monkeypatch):
    monkeypatch.setitem(_coding.BYTES, "AIFF", _coding.HEADERS + 4000)

    def streamed() -> None:
        with Writer(tmp_path / "x.aiff", Info(16000)) as writer:
            for _ in range(3):
                writer.write(np.zeros((1, 1000), np.float32))

    with pytest.raises(AudioError, match="AIFF PCM_16 holds 2000 samples of 1 channel, not 3000"):
        streamed()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "most"), [("x.flac", 8), ("x.mp3", 2), ("x.voc", 2), ("x.ogg", 255), ("x.opus", 255)]
)
def test_more_channels_than_there_can_be_are_refused_by_number(name, most):
    like = Info(48000, most, 1000)
    assert written_as(name, like).channels == most
    with pytest.raises(AudioError, match=f"at most {most} channels, not {most + 1}; use wav"):
        written_as(name, replace(like, channels=most + 1))


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    class Full:
        def __init__(self, *_):
            self.notes = []

        def write(self, _):
            raise soundfile.LibsndfileError(2)  # a system error, which it has no name for

        def abandon(self):
            pass

    monkeypatch.setattr("sgmse.audio._writing.SoundFileEncoder", Full)
    for free, why in ((1000, "No space left on device"), (1 << 30, "System error")):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr("sgmse.audio._writing.disk_usage", lambda _, usage=usage: usage)
        with pytest.raises(AudioError, match=why):
            write(tmp_path / "a.wav", np.zeros((1, 10)), Info(16000, 1))
