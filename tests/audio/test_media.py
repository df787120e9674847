"""Containers that PyAV reads and writes: sound whole and in its place, all else as it was."""

import io
import sys

import numpy as np
import pytest
from films import RATE, facts, film, lag, packets, sound

from sgmse.audio import Info, Writer, blocks, find, info, read, write, written_as
from sgmse.errors import AudioError, RecordingWarning

# suffix, encoder of FFmpeg, sample rate, whether with a picture, name here
KINDS = [
    ("m4a", "aac", 48000, None, "AAC"),
    ("mp4", "aac", 44100, "mpeg4", "AAC"),
    ("mov", "aac", 48000, "mpeg4", "AAC"),
    ("mov", "pcm_s16le", 48000, "mpeg4", "PCM_16"),
    ("3gp", "aac", 48000, "mpeg4", "AAC"),
    ("mkv", "aac", 48000, "mpeg4", "AAC"),
    ("mkv", "ac3", 48000, "mpeg4", "AC3"),
    ("mkv", "flac", 48000, "mpeg4", "FLAC"),
    ("mka", "libopus", 48000, None, "OPUS"),
    ("webm", "libopus", 48000, "libvpx", "OPUS"),
    ("m4a", "alac", 44100, None, "ALAC_24"),
    ("aac", "aac", 48000, None, "AAC"),
    ("ac3", "ac3", 48000, None, "AC3"),
    ("wma", "wmav2", 44100, None, "WMAV2"),
    ("wma", "wmav2", 16000, None, "WMAV2"),
    ("avi", "libmp3lame", 48000, "mpeg4", "MPEG_LAYER_III"),
    ("amr", "libopencore_amrnb", 8000, None, "AMR_NB"),
]


def passed_through(source, target, **options):
    """The sound of a file in another one, beside what else there is."""
    about = info(source)
    with Writer(target, about, rest=source, **options) as writer:
        for block in blocks(source):
            writer.write(block)
    return about


@pytest.mark.parametrize(("suffix", "codec", "rate", "picture", "name"), KINDS)
def test_sound_stays_in_its_place_and_all_else_as_it_was(
    tmp_path, suffix, codec, rate, picture, name
):
    source, target = tmp_path / f"x.{suffix}", tmp_path / f"y.{suffix}"
    made = sound(channels=1 if suffix == "amr" else 2, rate=rate)
    bitrate = 12200 if suffix == "amr" else 96000
    film(source, made, codec=codec, rate=rate, picture=picture, bitrate=bitrate)
    about = passed_through(source, target)
    assert (about.sample_rate, about.channels, about.subtype) == (rate, len(made), name)
    after = info(target)
    assert (after.format, after.subtype) == (about.format, name)
    frame = {"avi": 1152, "amr": 160}.get(suffix, 48)  # a millisecond, or what the codec has
    assert abs(after.frames - about.frames) <= frame
    old, new = read(source)[0], read(target)[0]
    assert abs(lag(old[0], new[0])) <= rate // 1000
    shared = slice(3000, min(old.shape[1], new.shape[1]) - 3000)
    likeness = np.corrcoef(old[0, shared], new[0, shared])[0, 1]
    assert likeness > (0.6 if suffix == "amr" else 0.9)
    assert packets(target) == packets(source)
    assert facts(target) == {
        **facts(source),
        "start": pytest.approx(facts(source)["start"], abs=2e-3),
    }
    if about.bitrate is not None:
        assert after.bitrate == pytest.approx(about.bitrate, rel=0.25)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_begins_after_the_picture_still_does(tmp_path, suffix):
    film(tmp_path / f"x.{suffix}", sound(), late=0.3)
    source, target = tmp_path / f"x.{suffix}", tmp_path / f"y.{suffix}"
    about = passed_through(source, target)
    assert about.start == pytest.approx(0.3, abs=0.03)
    later = lag(read(source)[0][0], read(target)[0][0]) / RATE
    assert info(target).start + later == pytest.approx(about.start, abs=1e-3)
    assert packets(target) == packets(source)


def test_between_wav_and_m4a(tmp_path):
    made = sound(channels=2)
    write(tmp_path / "x.wav", made, Info(RATE, 2))
    audio, about = read(tmp_path / "x.wav")
    write(tmp_path / "y.m4a", audio, about)
    back, there = read(tmp_path / "y.m4a")
    assert (there.format, there.subtype, there.frames) == ("IPOD", "AAC", made.shape[1])
    assert lag(made[0], back[0]) == 0
    write(tmp_path / "z.wav", back, there)
    assert info(tmp_path / "z.wav") == about


@pytest.mark.parametrize("bitrate", [64, 160])
def test_bit_rates_are_chosen(tmp_path, bitrate):
    z = np.random.default_rng(0).standard_normal((2, 3 * RATE))
    audio = (0.05 * z).astype(np.float32)
    with Writer(tmp_path / "x.m4a", Info(RATE, 2), bitrate=bitrate) as writer:
        writer.write(audio)
    assert info(tmp_path / "x.m4a").bitrate == pytest.approx(bitrate, rel=0.15)
    with pytest.raises(AudioError, match="AAC at 48000 Hz, 2 channels has no bit rate of 999 kb/s"):
        written_as("x.m4a", Info(RATE, 2), bitrate=999)


@pytest.mark.parametrize(("codec", "left"), [("vorbis", "OPUS"), ("pcm_s16le", "FLAC")])
def test_a_coding_that_is_not_written_is_said_with_what_takes_its_place(tmp_path, codec, left):
    source = film(tmp_path / "x.mkv", sound(channels=2), codec=codec)
    before = info(source).subtype
    words = f"y.mkv: its sound is {left} and no longer {before}, which is not written into MATROSKA"
    with pytest.warns(RecordingWarning, match=words):
        passed_through(source, tmp_path / "y.mkv")
    assert info(tmp_path / "y.mkv").subtype == left


def test_of_several_sounds_one_is_taken_and_the_others_are_copied(tmp_path):
    film(tmp_path / "x.mkv", sound(), sound(seed=1))
    with pytest.warns(RecordingWarning, match=r"x\.mkv: holds 2 streams of sound; number 1 is tak"):
        passed_through(tmp_path / "x.mkv", tmp_path / "y.mkv")
    assert {kind for kind, *_ in packets(tmp_path / "y.mkv")} == {"video", "audio"}
    assert packets(tmp_path / "y.mkv") == packets(tmp_path / "x.mkv")


def test_of_a_film_sound_alone_is_taken_where_there_is_no_more(tmp_path):
    film(tmp_path / "x.mp4", sound())
    passed_through(tmp_path / "x.mp4", tmp_path / "y.m4a")
    assert facts(tmp_path / "y.m4a")["streams"] == [("audio", "aac")]
    assert facts(tmp_path / "y.m4a")["title"] == "a talk"


def test_a_cover_stays_one(tmp_path):
    film(tmp_path / "x.m4a", sound(), picture="mjpeg", cover=True)
    about = passed_through(tmp_path / "x.m4a", tmp_path / "y.m4a")
    assert about.frames == info(tmp_path / "y.m4a").frames
    assert len(packets(tmp_path / "y.m4a")) == 1
    assert packets(tmp_path / "y.m4a") == packets(tmp_path / "x.m4a")
    assert facts(tmp_path / "y.m4a") == facts(tmp_path / "x.m4a")
    assert (tmp_path / "y.m4a").read_bytes()[4:12] == b"ftypM4A "


@pytest.mark.parametrize(("suffix", "codec", "rate", "picture", "_"), KINDS)
def test_what_is_cut_off_is_refused(tmp_path, suffix, codec, rate, picture, _):
    path = tmp_path / f"x.{suffix}"
    made = sound(channels=1, rate=rate)
    film(
        path,
        made,
        codec=codec,
        rate=rate,
        picture=picture,
        bitrate=12200 if rate == 8000 else 64000,
    )
    content = path.read_bytes()
    for share in (0.02, 0.4, 0.8, 0.98):
        cut = tmp_path / f"{share}.{suffix}"
        cut.write_bytes(content[: int(share * len(content))])
        says = rf"{share}\.\w+: .*(cut off|damaged|not audio|no so|no samples)"
        with pytest.raises(AudioError, match=says):
            read(cut)


def test_no_sound_and_no_container(tmp_path):
    film(tmp_path / "x.mp4", sound())
    (tmp_path / "text.m4a").write_text("Dear diary, this is no sound.\n" * 99)
    with pytest.raises(AudioError, match=r"text\.m4a: is damaged or cut off"):
        info(tmp_path / "text.m4a")


def test_a_film_in_memory_and_under_another_name(tmp_path):
    content = film(tmp_path / "x.mp4", sound()).read_bytes()
    assert info(io.BytesIO(content)).frames == RATE
    (tmp_path / "x.wav").write_bytes(content)
    assert info(tmp_path / "x.wav").format == "MP4"


def test_eight_channels_and_their_speakers(tmp_path):
    made = np.concatenate([sound(seed=k) for k in range(6)])
    write(tmp_path / "x.mkv", made, Info(RATE, 6, 0, "FLAC", "PCM_16", speakers=0x3F))
    back, about = read(tmp_path / "x.mkv")
    assert about.speakers in (0x3F, 0x60F)
    assert [lag(a, b) for a, b in zip(made, back, strict=True)] == [0] * 6
    likeness = np.corrcoef(np.concatenate([made, back[:, : made.shape[1]]]))[:6, 6:]
    assert likeness.argmax(axis=1).tolist() == list(range(6))


def test_folders_hold_them(tmp_path):
    film(tmp_path / "x.m4a", sound(), picture=None)
    assert find([tmp_path]) == [tmp_path / "x.m4a"]


def test_without_the_package_the_remedy_is_named(tmp_path, monkeypatch):
    film(tmp_path / "x.m4a", sound(), picture=None)
    monkeypatch.setitem(sys.modules, "av", None)
    words = r"x\.m4a: the format m4a needs the package 'av'; pip install 'sgmse-toolkit\[media\]'"
    with pytest.raises(AudioError, match=words):
        info(tmp_path / "x.m4a")
    with pytest.raises(AudioError, match=words):
        written_as(tmp_path / "x.m4a", Info(RATE))


@pytest.mark.parametrize("suffix", ["m4a", "mp4", "mov", "3gp"])
def test_a_length_that_is_no_whole_millisecond_is_kept(suffix):
    sound = 0.1 * np.sin(np.arange(12345) / 9)[None]
    target = io.BytesIO()
    write(target, sound, Info(44100, 1), suffix)  # 279.93 ms
    assert info(target).frames == 12345
