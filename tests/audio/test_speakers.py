"""Channels keep their speakers, whatever the container: judged by FFmpeg, an independent reader."""

import itertools
import struct

import numpy as np
import pytest

from sgmse.audio import Info, info, read, write
from sgmse.errors import RecordingWarning

RATE = 48000
CONTAINERS = {
    "wav": ("WAVEX", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "caf": ("CAF", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
}
PAIRS = [
    *itertools.pairwise(
        ["ogg", "flac", "wav", "ogg", "wav", "opus", "flac", "opus", "wav", "flac", "ogg"]
    )
]
USUAL = {3: "FL FR FC", 4: "FL FR BL BR", 5: "FL FR FC BL BR", 6: "FL FR FC LFE BL BR"}
USUAL |= {7: "FL FR FC LFE BC SL SR", 8: "FL FR FC LFE BL BR SL SR"}


def tones(channels: int) -> np.ndarray:
    """A pitch for each channel, low enough for the one of the lowest sounds."""
    t = np.arange(12000) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * (40 + 20 * c) * t) for c in range(channels)])


def pitches(rows: np.ndarray) -> list[int]:
    spectra = np.abs(np.fft.rfft(rows[:, :12000] * np.hanning(rows[:, :12000].shape[1]), RATE))
    return [round((peak - 40) / 20) for peak in spectra.argmax(axis=1)]


def by_ffmpeg(path) -> tuple[list[str], list[int]]:
    """The names of the speakers, and which tone each of them gets."""
    av = pytest.importorskip("av", reason="an independent reader needs the package av")
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        names = [channel.name for channel in stream.layout.channels]
        convert = av.AudioResampler("flt", stream.layout)  # PyAV 18 dies of eight planes
        frames = [new for frame in file.decode(stream) for new in convert.resample(frame)]
        rows = [frame.to_ndarray().reshape(-1, len(names)) for frame in frames]
    return names, pitches(np.concatenate(rows).T)


@pytest.mark.parametrize("channels", range(3, 9))
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_gets_the_order_that_others_expect(tmp_path, suffix, channels):
    container, coding = CONTAINERS[suffix]
    path = tmp_path / f"x.{suffix}"
    write(path, tones(channels), Info(RATE, channels, 0, container, coding))
    assert pitches(read(path)[0]) == list(range(channels))
    names, heard = by_ffmpeg(path)
    assert heard == list(range(channels))
    if suffix in ("flac", "ogg", "opus") and channels != 6:
        # FFmpeg calls the surround speakers of FLAC side and of Vorbis back
        assert [name.replace("S", "B") for name in names] == [
            name.replace("S", "B") for name in USUAL[channels].split()
        ]


@pytest.mark.parametrize("channels", range(3, 9))
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_from_each_into_each_other(tmp_path, one, other, channels):
    first, second = tmp_path / f"x.{one}", tmp_path / f"y.{other}"
    write(first, tones(channels), Info(RATE, channels, 0, *CONTAINERS[one]))
    audio, about = read(first)
    write(second, audio, about)
    assert by_ffmpeg(second)[1] == list(range(channels))
    if other != "wav" or one != "wav":
        assert info(second).speakers is not None


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_mono_and_stereo_are_left_alone(tmp_path, suffix, channels):
    path = tmp_path / f"x.{suffix}"
    write(path, tones(channels), Info(RATE, channels, 0, *CONTAINERS[suffix]))
    assert pitches(read(path)[0]) == by_ffmpeg(path)[1] == list(range(channels))


MASKS = {
    "quad": (4, 0x33, "FL FR BL BR"),
    "4.0": (4, 0x107, "FL FR FC BC"),
    "5.1 back": (6, 0x3F, "FL FR FC LFE BL BR"),
    "5.1 side": (6, 0x60F, "FL FR FC LFE SL SR"),
    "7.1 wide": (8, 0xFF, "FL FR FC LFE BL BR FLC FRC"),
    "3.1": (4, 0xF, "FL FR FC LFE"),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("suffix", ["wav", "rf64", "flac", "caf"])
def test_masks_are_read_and_kept(tmp_path, suffix, name):
    channels, mask, speakers = MASKS[name]
    write(
        tmp_path / "x.wav",
        tones(channels),
        Info(RATE, channels, 0, "WAVEX", "PCM_16", speakers=mask),
    )
    header = (tmp_path / "x.wav").read_bytes()
    assert struct.unpack_from("<I", header, header.index(b"fmt ") + 28) == (mask,)
    audio, about = read(tmp_path / "x.wav")
    assert about.speakers == mask
    path = tmp_path / f"y.{suffix}"
    write(path, audio, about)
    assert info(path).speakers == mask or (suffix, name) == ("flac", "5.1 side")
    names, heard = by_ffmpeg(path)
    assert heard == list(range(channels))
    assert names == speakers.split() or suffix == "flac"


def test_from_flac_to_wav_the_channels_are_named(tmp_path):
    write(tmp_path / "x.flac", tones(6), Info(RATE, 6))
    write(tmp_path / "y.wav", *read(tmp_path / "x.flac"))
    assert info(tmp_path / "y.wav").format == "WAVEX"
    assert by_ffmpeg(tmp_path / "y.wav") == (
        ["FL", "FR", "FC", "LFE", "BL", "BR"],
        [0, 1, 2, 3, 4, 5],
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("y.ogg", "OGG cannot say that its channels are for FL FR FC BC, and means FL FR BL BR"),
        ("y.w64", "W64 cannot say that its channels are for FL FR FC BC$"),
        ("y.aiff", "AIFF cannot say that its channels are for FL FR FC BC$"),
    ],
)
def test_speakers_that_cannot_be_kept_are_said(tmp_path, name, words):
    with pytest.warns(RecordingWarning, match=words):
        write(tmp_path / name, tones(4), Info(RATE, 4, 0, "WAVEX", "PCM_16", speakers=0x107))


def test_alac_has_an_order_of_its_own(tmp_path):
    for channels in range(3, 8):
        path = tmp_path / f"{channels}.caf"
        write(path, tones(channels), Info(RATE, channels, 0, "CAF", "ALAC_16"))
        assert pitches(read(path)[0]) == by_ffmpeg(path)[1] == list(range(channels))
