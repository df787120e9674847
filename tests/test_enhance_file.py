"""From a file to a file: containers, bit rates, what is beyond full scale."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from tiny import RATE, Identity, enhancer

from sgmse.audio import Info, find, info, read, write
from sgmse.enhancer._segments import Segments
from sgmse.errors import ArgumentError, AudioError, RecordingWarning

PLAIN = enhancer(Identity())  # what goes in comes out, but for the rounding of the spectrogram


def noise(channels: int = 1, samples: int = 16000, rate: int = RATE, level: float = 0.1):
    z = np.random.default_rng(0).standard_normal((channels, samples))
    return (level * z.clip(-3, 3)).astype(np.float32), Info(rate, channels)


@pytest.mark.filterwarnings("error::sgmse.errors.ClippingWarning")
def test_a_result_beyond_full_scale_is_scaled_or_kept_on_request(tmp_path):
    audio, _ = noise(level=0.5)  # up to 1.5
    write(tmp_path / "x.wav", audio, Info(RATE, subtype="FLOAT"))
    with pytest.warns(RecordingWarning, match=r"y\.flac: was scaled by -3\.5 dB"):
        PLAIN.enhance_file(tmp_path / "x.wav", tmp_path / "y.flac", clip_mode="rescale")
    np.testing.assert_allclose(read(tmp_path / "y.flac")[0], audio / 1.5, atol=1e-4)
    PLAIN.enhance_file(tmp_path / "x.wav", tmp_path / "z.aiff", clip_mode="none")
    np.testing.assert_allclose(read(tmp_path / "z.aiff")[0], audio, atol=1e-4)


def test_what_cannot_be_is_refused_before_any_work(tmp_path):
    write(tmp_path / "x.wav", *noise())
    for options, words in [
        ({"clip_mode": "none"}, "holds nothing beyond full scale"),
        ({"bitrate": 128}, "has no bit rate to choose"),
    ]:
        with pytest.raises(AudioError, match=words):
            PLAIN.enhance_file(tmp_path / "x.wav", tmp_path / "new" / "y.flac", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize(("suffix", "bitrate"), [("mp3", 64), ("opus", 96), ("ogg", 40)])
def test_the_bit_rate_is_kept_or_chosen(tmp_path, suffix, bitrate):
    write(tmp_path / "x.wav", *noise(samples=3 * RATE))
    first = PLAIN.enhance_file(tmp_path / "x.wav", tmp_path / f"y.{suffix}", bitrate=bitrate)
    assert info(first).bitrate == pytest.approx(bitrate, rel=0.1)
    second = PLAIN.enhance_file(first)
    assert info(second).bitrate == pytest.approx(bitrate, rel=0.15)


def test_six_channels_go_from_ogg_to_flac_and_keep_their_speakers(tmp_path):
    levels = np.array([0.4, 0.2, 0.3, 0.05, 0.1, 0.15])[:, None]  # FL FR FC LFE BL BR
    tone = np.sin(2 * np.pi * 60 * np.arange(16000) / RATE)  # in the band of the LFE
    write(tmp_path / "x.ogg", (levels * tone).astype(np.float32), Info(RATE, 6))
    for name in ("y.flac", "z.opus", "back.wav"):
        out, about = read(PLAIN.enhance_file(tmp_path / "x.ogg", tmp_path / name))
        np.testing.assert_allclose(out.std(axis=1) / tone.std(), levels[:, 0], rtol=0.1)
        assert about.speakers == 0x3F


def test_a_film_keeps_its_picture(tmp_path):
    pytest.importorskip("av", reason="containers of films need the package av (extra media)")
    from films import facts, film, lag, packets, sound

    film(tmp_path / "x.mp4", sound(2))
    target = PLAIN.enhance_file(tmp_path / "x.mp4")
    assert target.name == "x_enhanced.mp4"
    assert packets(target) == packets(tmp_path / "x.mp4")
    assert facts(target) == facts(tmp_path / "x.mp4")
    old, new = read(tmp_path / "x.mp4"), read(target)
    assert new[1] == old[1]
    assert lag(old[0][0], new[0][0]) == 0
    wav = PLAIN.enhance_file(target, tmp_path / "y.wav")
    assert info(wav) == Info(48000, 1, 96000)


def in_memory(suffix: str, **form) -> bytes:
    content = io.BytesIO()
    write(content, noise()[0], Info(RATE, **form), suffix)
    return content.getvalue()


class Pipe(io.RawIOBase):
    """What cannot seek, such as stdin and stdout."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer) -> int:
        return self.content.readinto(buffer)

    def write(self, data) -> int:
        return self.content.write(data)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "aiff"])
def test_recordings_in_memory(suffix, recwarn):
    content = in_memory(suffix)
    source, target = io.BytesIO(content), io.BytesIO()
    PLAIN.enhance_file(source, target)
    assert info(target) == info(source)
    assert np.corrcoef(read(target)[0], read(source)[0])[0, 1] > 0.7  # of noise, coded twice
    assert source.getvalue() == content
    assert not target.closed
    PLAIN.enhance_file(source, flac := io.BytesIO(), format="flac")
    assert info(flac).format == "FLAC"


def test_pipes_are_held_and_get_all_at_once(tmp_path):
    content = in_memory("wav")
    out = Pipe()
    PLAIN.enhance_file(Pipe(content), out, format="flac")
    np.testing.assert_allclose(read(io.BytesIO(out.content.getvalue()))[0], noise()[0], atol=2**-13)
    with (tmp_path / "y.flac").open("wb") as file:  # its name says what it is to be
        PLAIN.enhance_file(Pipe(content), file)
    assert info(tmp_path / "y.flac").format == "FLAC"


def test_what_fails_gives_a_stream_nothing(monkeypatch):
    monkeypatch.setattr(Segments, "enhanced", lambda self, segment, *_: 2 * (np.nan * segment,))
    target = io.BytesIO()
    with pytest.raises(AudioError, match=r"<memory>: sample 0 .* is NaN"):
        PLAIN.enhance_file(io.BytesIO(in_memory("wav")), target)
    assert target.getvalue() == b""


def test_a_recording_in_memory_needs_a_target():
    with pytest.raises(ArgumentError, match="needs a target: a name or a binary file"):
        PLAIN.enhance_file(io.BytesIO(in_memory("wav")))
    with pytest.raises(AudioError, match="<memory>: is empty"):
        PLAIN.enhance_file(io.BytesIO(), io.BytesIO())


@pytest.mark.parametrize("url", ["https://a.b/c.wav", "http://a.b/c?d=1", "s3://a/b.flac"])
def test_urls_are_named_as_such(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    words = rf"^{re.escape(url)}: is a URL; name a file; download it first"
    for call in (lambda: read(url), lambda: find([url]), lambda: info(Path(url))):
        with pytest.raises(AudioError, match=words):
            call()
    write("x.wav", *noise())
    with pytest.raises(AudioError, match=words):
        PLAIN.enhance_file("x.wav", url)
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]
