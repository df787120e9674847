"""MP3 and its elders: every frame is read, and nothing else, whatever stands around them."""

import io
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import together

from sgmse.audio import blocks, info, read
from sgmse.audio._mpeg import kind_of
from sgmse.errors import AudioError, RecordingWarning

RATE = 44100
SECONDS = 3
ID3V1 = b"TAG" + bytes(125)
MODES = {"CBR": ("CONSTANT", 0.3), "VBR": ("VARIABLE", 0.2), "ABR": ("AVERAGE", 0.5)}


@cache
def encoded(mode: str = "VBR", rate: int = RATE, channels: int = 1) -> bytes:
    """Three seconds that begin loud, so that the first frames of a variable rate are large."""
    sound = 0.003 * np.random.default_rng(0).standard_normal((SECONDS * rate, channels))
    sound[: rate // 2] *= 100
    file = io.BytesIO()
    name, level = MODES[mode]
    how = {"bitrate_mode": name, "compression_level": level}
    with soundfile.SoundFile(file, "w", rate, channels, format="MP3", **how) as writer:
        writer.write(sound.clip(-1, 1))
    return file.getvalue()


def frames(mp3: bytes) -> list[bytes]:
    """The frames of a file that holds nothing else."""
    found, at = [], 0
    while at < len(mp3):
        kind = kind_of(mp3[at + 1] | 1, mp3[at + 2] & 0xC)
        size = kind.sizes[mp3[at + 2]]
        found.append(mp3[at : at + size])
        at += size
    return found


def bare(mp3: bytes) -> bytes:
    """Without its information frame."""
    first, *others = frames(mp3)
    assert b"Xing" in first or b"Info" in first
    return b"".join(others)


def id3(content: bytes, version: int = 3, footer: bool = False) -> bytes:
    size = bytes(len(content) >> 7 * place & 0x7F for place in (3, 2, 1, 0))
    rest = bytes([version, 0, 0x10 if footer else 0]) + size
    return b"ID3" + rest + content + (b"3DI" + rest if footer else b"")


def ape(content: bytes) -> bytes:
    ends = [
        b"APETAGEX"
        + b"".join(n.to_bytes(4, "little") for n in (2000, len(content) + 32, 1, flags))
        + bytes(8)
        for flags in (0xA0000000, 0x80000000)
    ]
    return ends[0] + content + ends[1]


PICTURE = b"APIC" + bytes(7) + 1000 * b"\xff\xd8\xff\xe0 not \xff\xfb\x90\x64 a frame"
AROUND = {
    "nothing": (b"", b""),
    "ID3v2.2": (id3(bytes(50), 2), b""),
    "ID3v2.3 with a picture": (id3(PICTURE), b""),
    "ID3v2.4 with a footer": (id3(PICTURE, 4, footer=True), b""),
    "two tags": (id3(PICTURE) + id3(bytes(50), 4), b""),
    "a tag with zeros behind it": (id3(bytes(50)) + bytes(3000), b""),
    "zeros": (bytes(3000), b""),
    "garbage": (np.random.default_rng(1).bytes(5000), b""),
    "ID3v1": (b"", ID3V1),
    "APE": (b"", ape(bytes(40))),
    "APE and ID3v1": (id3(b""), ape(bytes(40)) + ID3V1),
    "APE that counts nothing": (b"", b"APETAGEX\xd0\7\0\0" + bytes(20)),
    "Lyrics3": (b"", b"LYRICSBEGININD0000200" + b"000021LYRICS200" + ID3V1),
    "zeros behind it": (b"", bytes(5000)),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_is_around_the_frames_is_not_read(around):
    before, behind = AROUND[around]
    for mp3 in (encoded(), bare(encoded())):
        expected, about = read(io.BytesIO(mp3))
        found, same = read(io.BytesIO(before + mp3 + behind))
        assert same == about
        assert same.bitrate == about.bitrate
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("rate", "samples"), [(44100, 1152), (16000, 576), (8000, 576)])
def test_all_is_read_without_an_information_frame(mode, rate, samples):
    """libsndfile takes the first frame for the mean of all."""
    whole, about = read(io.BytesIO(encoded(mode, rate)))
    assert about.frames == SECONDS * rate  # delay and padding are cut, as the frame says
    mp3 = bare(encoded(mode, rate))
    found, bared = read(io.BytesIO(mp3))
    assert bared.frames == found.shape[1] == len(frames(mp3)) * samples
    delay = 1105  # of encoder and decoder, which only the information frame tells
    np.testing.assert_allclose(found[:, delay : delay + about.frames], whole, atol=1e-6)
    assert bared.bitrate == pytest.approx(8e-3 * len(mp3) / bared.duration)


def test_libsndfile_alone_is_wrong():
    """Else the frames need not be walked."""
    mp3 = bare(encoded("VBR"))
    guess = soundfile.info(io.BytesIO(mp3)).frames
    assert guess < 0.5 * info(io.BytesIO(mp3)).frames


@pytest.mark.parametrize("first", ["with", "without"])
@pytest.mark.parametrize("second", ["with", "without"])
@pytest.mark.parametrize("between", [b"", ID3V1, ID3V1 + id3(PICTURE), bytes(100)])
def test_two_in_a_row(first, second, between):
    forms = {"with": encoded("VBR"), "without": bare(encoded("CBR"))}
    a, b = forms[first], forms[second]
    found, about = read(io.BytesIO(a + between + b))
    (one, _), (two, _) = read(io.BytesIO(a)), read(io.BytesIO(b))
    assert about.frames == found.shape[1] == one.shape[1] + two.shape[1]
    np.testing.assert_allclose(found[:, : one.shape[1]], one, atol=1e-6)
    # Where neither says where it begins, one decoder goes on: the join sounds into the next frame.
    settled = one.shape[1] + 2 * 1152
    np.testing.assert_allclose(found[:, settled:], two[:, 2 * 1152 :], atol=1e-6)


def test_blocks_cross_the_ends_of_tracks():
    mp3 = 3 * encoded("VBR", 16000, 2)
    pieces = list(blocks(io.BytesIO(mp3), 7000))
    assert [piece.shape for piece in pieces] == [(2, 7000)] * 20 + [(2, 4000)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), read(io.BytesIO(mp3))[0])


def test_one_of_other_rate_or_channels_in_a_row_is_refused():
    for other in (encoded("VBR", 16000), encoded("VBR", RATE, 2)):
        with pytest.raises(AudioError, match=r"changes after 3\.00 s \(44100 Hz, channels: 1 to "):
            info(io.BytesIO(encoded() + other))


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_cut_off(keep):
    """Who promises more frames is refused; who promises nothing is read as far as it goes."""
    mp3 = encoded()
    with pytest.raises(AudioError, match=r"is cut off: \d+ of 11[56] frames; "):
        info(io.BytesIO(mp3[: int(keep * len(mp3))]))
    mp3 = bare(mp3)
    cut = mp3[: int(keep * len(mp3))]
    whole = read(io.BytesIO(mp3))[0]
    for tag in (b"", ID3V1):
        with pytest.warns(RecordingWarning, match="<memory>: its last frame is incomplete"):
            found, about = read(io.BytesIO(cut + tag))
        assert 0 < about.frames == found.shape[1] < whole.shape[1]
        np.testing.assert_allclose(found[:, :-576], whole[:, : about.frames - 576], atol=1e-6)


def test_a_file_that_is_read_twice_is_warned_of_once():
    cut = io.BytesIO(bare(encoded())[:-9])
    cut.name = "once.mp3"  # which no other test warns of
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            read(cut)
        list(blocks(cut))
        info(cut)
    assert [str(warning.message)[:20] for warning in caught] == ["once.mp3: its last f"]


def test_what_macs_leave_beside_it_does_not_matter(tmp_path):
    """libsndfile takes it for a part of the file, and gives up."""
    path = tmp_path / "x.mp3"
    path.write_bytes(encoded())
    (tmp_path / "._x.mp3").write_bytes(bytes.fromhex("00051607") + bytes(4000))
    assert info(path).frames == SECONDS * RATE


def test_a_hole_is_refused():
    mp3 = bare(encoded("CBR"))
    with pytest.raises(AudioError, match=r"is damaged: \d+ bytes after 1\.\d\d s are no sound; "):
        info(io.BytesIO(mp3[:30000] + mp3[30100:]))


def test_what_is_behind_the_last_frame_is_said():
    with pytest.warns(RecordingWarning, match="its last 3000 bytes are no sound"):
        found, _ = read(io.BytesIO(bare(encoded()) + b"nothing" + 2993 * b"n"))
    np.testing.assert_array_equal(found, read(io.BytesIO(bare(encoded())))[0])


def test_a_file_that_counts_its_information_frame_is_whole():
    mp3 = bytearray(encoded())
    at = mp3.index(b"Xing") + 8
    count = int.from_bytes(mp3[at : at + 4], "big")
    mp3[at : at + 4] = (count + 1).to_bytes(4, "big")
    np.testing.assert_array_equal(read(io.BytesIO(mp3))[0], read(io.BytesIO(encoded()))[0])


def test_a_count_that_is_too_small_is_not_believed():
    """As of a file to which an editor added something; what is added is not trimmed."""
    mp3 = bytearray(encoded("VBR"))
    at = mp3.index(b"Xing") + 8
    mp3[at : at + 4] = (50).to_bytes(4, "big")
    found, about = read(io.BytesIO(mp3))
    whole = read(io.BytesIO(encoded("VBR")))[0]
    assert about.frames == found.shape[1] >= whole.shape[1]
    np.testing.assert_array_equal(found[:, : whole.shape[1]], whole)


def test_fraunhofers_information_frame_is_no_sound():
    mp3 = bare(encoded("VBR"))
    first = frames(mp3)[0]
    count = len(frames(mp3))

    def informed(count: int) -> bytes:
        tag = b"VBRI" + bytes(10) + count.to_bytes(4, "big")
        return (first[:4] + bytes(32) + tag).ljust(len(first), b"\0") + mp3

    np.testing.assert_array_equal(read(io.BytesIO(informed(count)))[0], read(io.BytesIO(mp3))[0])
    with pytest.raises(AudioError, match=f"is cut off: {count} of {count + 9} frames"):
        info(io.BytesIO(informed(count + 9)))


def silent(version: int, layer: int, bitrate: int, rate: int, mode: int = 3) -> bytes:
    """A frame whose content is zero, which every layer takes for silence."""
    head = bytes((0xFF, 0xE1 | version << 3 | 4 - layer << 1, bitrate << 4 | rate << 2, mode << 6))
    return head.ljust(kind_of(head[1], head[2] & 0xC).sizes[head[2]], b"\0")


@together(version=[3, 2, 0], layer=[1, 2, 3], rate=[0, 1, 2], count=[1, 2, 40])
def test_every_layer_and_version(version, layer, rate, count):
    """At bit rates that vary from large to small, one frame included."""
    samples = {1: 384, 2: 1152}.get(layer, 1152 if version == 3 else 576)
    content = [silent(version, layer, 13 if i < 2 else 3, rate) for i in range(count)]
    found, about = read(io.BytesIO(b"".join(content)))
    assert about.sample_rate == (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    assert about.subtype == "MPEG_LAYER_" + layer * "I"
    assert found.shape == (1, about.frames) == (1, count * samples)
    assert not found.any()


def test_mono_that_becomes_stereo_is_refused():
    content = 9 * silent(3, 3, 9, 0) + 9 * silent(3, 3, 9, 0, mode=0)
    with pytest.raises(AudioError, match="channels: 1 to 44100 Hz, channels: 2"):
        info(io.BytesIO(content))


@pytest.mark.parametrize("mode", MODES)
def test_mp3_in_a_wav(tmp_path: Path, mode):
    mp3 = bare(encoded(mode))
    # tag 0x55, channels, rate, bytes per second, alignment, bits, 12 bytes more
    form = bytes.fromhex("55000100") + RATE.to_bytes(4, "little") + bytes.fromhex("803e0000")
    form += bytes.fromhex("010000000c00") + bytes.fromhex("010002000000010001007105")
    chunks = b"WAVEfmt " + len(form).to_bytes(4, "little") + form
    chunks += b"data" + len(mp3).to_bytes(4, "little") + mp3 + bytes(len(mp3) % 2)
    path = tmp_path / "x.wav"
    path.write_bytes(b"RIFF" + len(chunks).to_bytes(4, "little") + chunks)
    found, about = read(path)
    assert (about.format, about.subtype) == ("WAV", "MPEG_LAYER_III")
    np.testing.assert_array_equal(found, read(io.BytesIO(mp3))[0])
