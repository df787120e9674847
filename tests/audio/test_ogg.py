"""Ogg: all links of a chain, one stream of several, and no page less."""

import io
from functools import cache

import numpy as np
import pytest
import soundfile

from sgmse.audio import info, read
from sgmse.audio._ogg import checksum
from sgmse.errors import AudioError, RecordingWarning

CODINGS = [("VORBIS", 44100), ("OPUS", 48000), ("OPUS", 16000)]


@cache
def encoded(coding: str, rate: int, seed: int = 0, channels: int = 2) -> tuple[bytes, ...]:
    """The pages of three seconds."""
    sound = 0.1 * np.random.default_rng(seed).standard_normal((3 * rate, channels))
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, coding, format="OGG") as writer:
        writer.write(sound)
    return paged(file.getvalue())


def paged(ogg: bytes) -> tuple[bytes, ...]:
    return tuple(b"OggS\0" + page for page in ogg.split(b"OggS\0")[1:])


def changed(page: bytes, at: int, value: bytes) -> bytes:
    """With other bytes, and the checksum of these."""
    page = page[:at] + value + page[at + len(value) :]
    return page[:22] + checksum(page).to_bytes(4, "little") + page[26:]


def with_serial(pages, serial: bytes) -> list[bytes]:
    return [changed(page, 14, serial) for page in pages]


def renumbered(pages) -> list[bytes]:
    return [changed(page, 18, i.to_bytes(4, "little")) for i, page in enumerate(pages)]


def first_of_sound(pages) -> int:
    return next(i for i, page in enumerate(pages) if int.from_bytes(page[6:14], "little"))


def test_the_checksum_is_that_of_the_file():
    for page in encoded("OPUS", 48000):
        assert checksum(page) == int.from_bytes(page[22:26], "little")


@pytest.mark.parametrize(("coding", "rate"), CODINGS)
@pytest.mark.parametrize("where", [0, 1, -2])
def test_a_lost_page_is_refused(coding, rate, where):
    """The first one too, for which libsndfile takes the second."""
    pages = list(encoded(coding, rate))
    first = first_of_sound(pages)
    del pages[first + where if where >= 0 else where]
    with pytest.raises(AudioError, match=r"is damaged: a page is missing after \d\.\d\d s"):
        info(io.BytesIO(b"".join(pages)))


@pytest.mark.parametrize(("coding", "rate"), CODINGS)
def test_a_damaged_page_is_refused(coding, rate):
    pages = list(encoded(coding, rate))
    at = first_of_sound(pages) + 1
    pages[at] = pages[at][:-9] + b"X" + pages[at][-8:]
    place = sum(map(len, pages[:at]))
    whole = b"".join(pages)
    with pytest.raises(AudioError, match=f"damaged after {place} of {len(whole)} bytes"):
        info(io.BytesIO(whole))


@pytest.mark.parametrize(("coding", "rate"), CODINGS)
def test_without_its_last_page_it_is_refused(coding, rate):
    with pytest.raises(AudioError, match="is cut off or damaged at its end"):
        info(io.BytesIO(b"".join(encoded(coding, rate)[:-1])))


@pytest.mark.parametrize(("coding", "rate"), CODINGS)
@pytest.mark.parametrize("serial", ["another", "the same"])
def test_a_chain_is_read_to_its_end(coding, rate, serial):
    one, two = encoded(coding, rate), list(encoded(coding, rate, 1))
    two = with_serial(two, b"next" if serial == "another" else one[0][14:18])
    expected = np.concatenate([read(io.BytesIO(b"".join(part)))[0] for part in (one, two)], axis=1)
    found, about = read(io.BytesIO(b"".join([*one, *two])))
    assert about.frames == 6 * rate
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(AudioError, match="is cut off or damaged"):
        info(io.BytesIO(b"".join([*one[:-1], *two])))


def test_a_chain_of_other_rates_is_refused():
    links = [*encoded("OPUS", 48000), *encoded("OPUS", 16000)]
    with pytest.raises(AudioError, match=r"changes after 3\.00 s \(48000 Hz, channels: 2 to 16000"):
        info(io.BytesIO(b"".join(links)))


@pytest.mark.parametrize(("coding", "rate"), CODINGS)
@pytest.mark.parametrize("other", ["picture", "sound"])
def test_of_several_streams_the_first_of_sound_is_read(coding, rate, other):
    own, twin = encoded(coding, rate), with_serial(encoded(coding, rate, 1), b"twin")
    if other == "picture":
        twin[0] = changed(twin[0], 28, b"\x80theora")
    starts = [twin[0], own[0]] if other == "picture" else [own[0], twin[0]]
    rest = [page for pair in zip(own[1:], twin[1:], strict=False) for page in pair]
    rest += [*own[1 + len(rest) // 2 :], *twin[1 + len(rest) // 2 :]]
    content = io.BytesIO(b"".join([*starts, *rest]))
    expected = read(io.BytesIO(b"".join(own)))[0]
    if other == "sound":
        with pytest.warns(RecordingWarning, match="holds 2 streams of sound; the first is taken"):
            found, about = read(content)
    else:
        found, about = read(content)
    assert about.frames == 3 * rate
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("coding", "rate"), CODINGS)
def test_what_was_cut_from_a_longer_stream_is_read_and_said(coding, rate):
    """Its pages are numbered from 0, and their positions are not."""
    pages = list(encoded(coding, rate))
    first = first_of_sound(pages)
    lost = int.from_bytes(pages[first][6:14], "little")
    cut = b"".join(renumbered([*pages[:first], *pages[first + 1 :]]))
    with pytest.warns(RecordingWarning, match=r"it begins \d\.\d\d s into what it was cut from"):
        found, about = read(io.BytesIO(cut))
    assert about.frames == found.shape[1]
    clock = rate if coding == "VORBIS" else 48000
    assert about.duration == pytest.approx(3 - lost / clock, abs=0.05)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(700)])
def test_tags_and_zeros_behind_it_are_no_damage(behind):
    ogg = b"".join(encoded("VORBIS", 44100))
    np.testing.assert_array_equal(read(io.BytesIO(ogg + behind))[0], read(io.BytesIO(ogg))[0])
    with pytest.raises(AudioError, match="is cut off or damaged after"):
        info(io.BytesIO(ogg + b"something else"))


def flac_in_ogg(flac: bytes, sizes: list[int]) -> list[bytes]:
    """FLAC (RFC 9639, 10.1): STREAMINFO, a comment, then each frame a packet and page."""
    packets = [b"\x7fFLAC\1\0\0\1" + flac[:42], b"\x84" + (8).to_bytes(3, "big") + bytes(8)]
    at = len(flac) - sum(sizes)
    for size in sizes:
        packets.append(flac[at : at + size])
        at += size
    pages = []
    for number, packet in enumerate(packets):
        flags = 2 if not number else 4 if packet is packets[-1] else 0
        position = min(max(number - 1, 0) * 4096, 10000)
        lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        head = b"OggS\0" + bytes([flags]) + position.to_bytes(8, "little") + b"flac"
        head += number.to_bytes(4, "little") + bytes(4) + bytes([len(lacing)]) + lacing
        pages.append(changed(head + packet, 0, b"OggS"))
    return pages


def test_flac_in_ogg_is_read():
    sound = 0.1 * np.random.default_rng(0).standard_normal((10000, 1))
    file = io.BytesIO()
    soundfile.write(file, sound, 16000, format="FLAC", subtype="PCM_16")
    flac = file.getvalue()
    starts = [flac.index(bytes.fromhex("fff8")), *()]
    while (at := flac.find(flac[starts[0] : starts[0] + 3], starts[-1] + 1)) > 0:
        starts.append(at)
    last = flac.rindex(bytes.fromhex("fff8"))
    starts += [last] if last not in starts else []
    assert len(starts) == 3  # 4096, 4096, 1808 samples
    sizes = [b - a for a, b in zip(starts, [*starts[1:], len(flac)], strict=True)]
    pages = flac_in_ogg(flac, sizes)
    for content in (pages, [*pages, *with_serial(pages, b"more")]):
        found, about = read(io.BytesIO(b"".join(content)))
        links = len(content) // len(pages)
        assert (about.format, about.subtype, about.frames) == ("FLAC", "PCM_16", links * 10000)
        np.testing.assert_array_equal(found, np.tile(read(io.BytesIO(flac))[0], links))
    with pytest.raises(AudioError, match="a page is missing"):
        info(io.BytesIO(b"".join([*pages[:3], *pages[4:]])))
    total = int.from_bytes(pages[0][28 + 9 + 18 :][:8], "big")
    uncounted = changed(pages[0], 28 + 9 + 18, (total - 10000).to_bytes(8, "big"))
    assert info(io.BytesIO(b"".join([uncounted, *pages[1:]]))).frames == 10000


def test_another_coding_is_named_as_such():
    speex = changed(encoded("VORBIS", 44100)[0], 28, b"Speex   ")
    with pytest.raises(AudioError, match="holds no Vorbis, Opus or FLAC; convert it: ffmpeg"):
        info(io.BytesIO(speex))
