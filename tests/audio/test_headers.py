"""Headers that count their sound wrongly: what is there is read, what is cut off is refused."""

import io
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import together

from sgmse.audio import Info, info, read
from sgmse.errors import AudioError, RecordingWarning

SAMPLES = 3001
WAVS = [
    *(("WAV", coding) for coding in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *(("WAV", coding) for coding in ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM")),
    *(("WAVEX", coding) for coding in ("PCM_16", "PCM_24", "FLOAT")),
    *(("RF64", coding) for coding in ("PCM_16", "PCM_24")),
]
#: What says that a length is not known. In whole blocks, or with the header, or without it.
PLACEHOLDERS = {
    "FFmpeg": lambda block: 0xFFFFFFFF,
    "SoX": lambda block: 0x7FFFF000 // block * block,
    "SoX, with the header": lambda block: 0x7FFFF000 + 36,
    "arecord": lambda block: 0x80000000,
    "2^31 - 1": lambda block: 0x7FFFFFFF,
    "2^32, without the header": lambda block: 0xFFFFFFFF - 44,
    "nothing": lambda block: 0,
}


@cache
def encoded(container: str, coding: str, channels: int = 2, endian: str | None = None) -> bytes:
    sound = 0.1 * np.random.default_rng(0).standard_normal((SAMPLES, channels))
    file = io.BytesIO()
    soundfile.write(file, sound, 16000, coding, endian, container)
    return file.getvalue()


def put(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def same(content: bytes, other: bytes, samples: int | None = None) -> Info:
    """Whether `content` is read as `other`, or its first samples."""
    expected, about = read(io.BytesIO(other))
    found, here = read(io.BytesIO(content))
    assert here.frames == found.shape[1] == (samples or about.frames)
    assert (here.format, here.subtype) == (about.format, about.subtype)
    np.testing.assert_array_equal(found, expected[:, : found.shape[1]])
    return here


def riff(content: bytes, size: int) -> bytes:
    """With another size of the sound, and of the whole, in a wav file."""
    order = ">" if content[:4] == b"RIFX" else "<"
    at = content.index(b"data") + 4
    if content[:4] == b"RF64":
        return put(content, content.index(b"ds64") + 16, struct.pack("<Q", size))
    content = put(content, at, struct.pack(f"{order}I", size))
    return put(content, 4, struct.pack(f"{order}I", min(size + at, 0xFFFFFFFF)))


@pytest.mark.parametrize(("container", "coding"), WAVS)
@together(placeholder=PLACEHOLDERS)
def test_wav_from_a_pipe(container, coding, placeholder):
    for channels in (1, 2, 3, 6):
        if channels > 2 and "ADPCM" in coding:
            continue
        wav = encoded(container, coding, channels)
        form = wav.index(b"fmt ") + 20
        (block,) = struct.unpack("<H", wav[form : form + 2])
        content = riff(wav, PLACEHOLDERS[placeholder](block))
        padded = SAMPLES * block % 2 and "ADPCM" not in coding  # the byte is not told from sound
        same(content[:-1] if padded else content, wav)


@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "FLOAT"])
def test_big_endian_wav(coding):
    rifx = encoded("WAV", coding, 2, "BIG")
    for size in (0, 0xFFFFFFFF):
        same(riff(rifx, size), rifx)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(rifx[:-1000]))


@pytest.mark.parametrize("container", ["RF64", "BW64"])
@pytest.mark.parametrize("size", [0, -1])
def test_long_wav_that_was_never_finished(container, size):
    rf64 = encoded("RF64", "PCM_24")
    content = container.encode() + rf64[4:]
    assert same(content, rf64).format == "RF64"
    at = rf64.index(b"ds64") + 8
    unknown = put(content, at, struct.pack("<qqq", size, size, size))
    same(unknown, rf64)
    # as a recorder leaves it that would have made it an RF64 in the end
    plain = put(b"RIFF" + rf64[4:], at - 8, b"JUNK")
    data = plain.index(b"data") + 4
    assert same(put(plain, data, bytes(4)), encoded("WAVEX", "PCM_24")).format == "WAVEX"


@pytest.mark.parametrize(("container", "coding"), WAVS)
@pytest.mark.parametrize("cut", [1000, 1])
def test_cut_off_wav(container, coding, cut):
    wav = encoded(container, coding)
    at = wav.index(b"data") + 8
    there, all_ = len(wav) - at - cut, len(wav) - at
    with pytest.raises(AudioError, match=f"is cut off: {there} of {all_} bytes; copy it again"):
        info(io.BytesIO(wav[:-cut]))


def test_a_cut_off_wav_of_three_gigabytes_is_refused(tmp_path: Path):
    """Its size is no placeholder, although a wav file from a pipe may say more."""
    content = riff(encoded("WAV", "PCM_16"), 3_000_000_000)
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(AudioError, match=f"is cut off: {len(content) - 44} of 3000000000 bytes"):
        info(tmp_path / "x.wav")


@pytest.mark.parametrize("size", [0xFFFFFFFF, (5 << 30) % (1 << 32), 0])
def test_wav_beyond_4_gib(tmp_path: Path, size):
    """With a placeholder, with a count that ran over, and with none."""
    path = tmp_path / "x.wav"
    head = riff(encoded("WAV", "PCM_16", 2), size)[:44]
    with path.open("wb") as file:
        file.write(head)
        file.truncate(44 + (5 << 30))  # a hole, which takes no place
    assert info(path).frames == (5 << 30) // 4


CHUNK = b"LIST" + struct.pack("<I", 7) + b"INFOabc" + b"\0"


def test_chunks_wherever_they_stand():
    wav = encoded("WAV", "PCM_24", 1)  # an odd number of bytes: a byte of padding behind them
    form, data = wav[12:36], wav[36:]
    assert len(data) % 2 == 0
    assert data[-1] == 0
    for chunks in (
        [CHUNK, form, data],
        [form, CHUNK, data],
        [form, CHUNK[:-1], data],  # without the byte of padding
        [form, data, CHUNK],
        [form, data[:-1], CHUNK],
        [form, data, CHUNK, b"id3 \4\0\0\0abcd"],
        [CHUNK, data, CHUNK, form],
        [form, b"PAD " + struct.pack("<I", 5000) + bytes(5000), data],
    ):
        whole = b"WAVE" + b"".join(chunks)
        same(b"RIFF" + struct.pack("<I", len(whole)) + whole, wav)


def test_a_header_without_sound_is_empty_whatever_follows():
    wav = encoded("WAV", "PCM_16")
    for behind in (b"", CHUNK, CHUNK + CHUNK):
        with pytest.raises(AudioError, match="holds no samples"):
            info(io.BytesIO(riff(wav[:44] + behind, 0)))


@pytest.mark.parametrize(
    ("behind", "what"), [(8 * bytes(range(1, 201)), "no part of it"), (None, "another file")]
)
@pytest.mark.parametrize("container", ["WAV", "W64", "AIFF", "AU", "CAF", "NIST"])
def test_what_is_behind_the_sound_is_said(container, behind, what):
    """libsndfile reads it as sound in some containers."""
    whole = encoded(container, "PCM_16")
    behind = whole if behind is None else behind
    if container in ("W64", "NIST"):
        what = "no part of it"
    count = f"{len(behind)} bytes behind its sound are {what} by its header, and not read"
    with pytest.warns(RecordingWarning, match=f"<memory>: {count}"):
        same(whole + behind, whole)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(999)])
@pytest.mark.parametrize("container", ["WAV", "W64", "AIFF", "AU", "CAF", "NIST"])
def test_tags_and_zeros_behind_the_sound_are_nothing_to_speak_of(container, behind):
    same(encoded(container, "PCM_16") + behind, encoded(container, "PCM_16"))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7F000000, 0x7FFFFFFF])
@pytest.mark.parametrize("coding", ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_aiff_from_a_pipe(coding, size):
    """SoX takes 0x7f000000 in AIFF."""
    aiff = encoded("AIFF", coding)
    content = put(aiff, aiff.index(b"SSND") + 4, struct.pack(">I", size))
    same(content, aiff)
    frames = struct.pack(">I", size // 4)
    same(put(content, aiff.index(b"COMM") + 10, frames), aiff)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(aiff[:-1000]))


def test_aiff_in_any_order():
    aiff = encoded("AIFF", "PCM_16")
    common, sound = aiff.index(b"COMM"), aiff.index(b"SSND")
    turned = aiff[:common] + aiff[sound:] + aiff[common:sound]
    assert info(io.BytesIO(turned)).frames == SAMPLES
    same(turned, aiff)


@pytest.mark.parametrize("endian", ["BIG", "LITTLE"])
@pytest.mark.parametrize("coding", ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_au_from_a_pipe(coding, endian):
    au = encoded("AU", coding, 2, endian)
    order = ">" if endian == "BIG" else "<"
    for size in (0, 0xFFFFFFFF, 0x7FFFF000):
        same(put(au, 8, struct.pack(f"{order}I", size)), au)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(au[:-1000]))


@pytest.mark.parametrize("size", [0, 24, -1, (1 << 63) - 1])
@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "FLOAT"])
def test_w64_from_a_pipe(coding, size):
    w64 = encoded("W64", coding)
    at = w64.index(b"data\xf3\xac\xd3\x11") + 16
    same(put(w64, at, struct.pack("<q", size)), w64)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(w64[:-1000]))


@pytest.mark.parametrize("size", [0, 4, -1, (1 << 63) - 1])
@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_caf_from_a_pipe(coding, size):
    caf = encoded("CAF", coding)
    same(put(caf, caf.index(b"data") + 4, struct.pack(">q", size)), caf)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(caf[:-1000]))


@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "ULAW"])
def test_nist_counts_samples(coding):
    nist = encoded("NIST", coding)
    count = f"sample_count -i {SAMPLES}\n".encode()
    for unknown in (b"", b"sample_count -i 0\n", b"sample_count -i 4294967295\n"):
        header = nist[:1024].replace(count, unknown)
        same(header[:1024].ljust(1024, b"\0") + nist[1024:], nist)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(nist[:-1000]))


@pytest.mark.parametrize("coding", ["PCM_U8", "PCM_16", "ULAW"])
def test_voc_counts_its_blocks(coding):
    voc = encoded("VOC", coding)
    assert info(io.BytesIO(voc)).frames == SAMPLES
    same(voc + 2000 * b"n", voc)
    with pytest.raises(AudioError, match=r"is cut off: \d+ of \d+ bytes"):
        info(io.BytesIO(voc[:-1000]))
    if coding == "PCM_U8":
        return  # has another block in front
    size = int.from_bytes(voc[27:30], "little")
    cut = 30 + size - 2000
    parts = voc[:27] + (size - 2000).to_bytes(3, "little") + voc[30:cut]
    same(parts + b"\2" + (2000).to_bytes(3, "little") + voc[cut:], voc)
