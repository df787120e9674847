"""FLAC that does not say how long it is, or has something behind it."""

import io
from functools import cache

import numpy as np
import pytest
import soundfile

from sgmse.audio import info, read
from sgmse.errors import AudioError

TOTAL = slice(18, 26)  # bytes of STREAMINFO whose low 36 bits count the samples


@cache
def encoded(samples: int = 20011, channels: int = 2, subtype: str = "PCM_16") -> bytes:
    sound = 0.1 * np.random.default_rng(0).standard_normal((samples, channels))
    file = io.BytesIO()
    soundfile.write(file, sound, 44100, format="FLAC", subtype=subtype)
    return file.getvalue()


def uncounted(flac: bytes) -> bytes:
    """As written to a pipe."""
    value = int.from_bytes(flac[TOTAL], "big")
    assert value % 2**36
    return flac[:18] + (value >> 36 << 36).to_bytes(8, "big") + flac[26:]


@pytest.mark.parametrize("samples", [1, 17, 4095, 4096, 4097, 20011])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_without_a_length_it_is_read_to_its_end(samples, subtype):
    flac = encoded(samples, 2, subtype)
    found, about = read(io.BytesIO(uncounted(flac)))
    assert about.frames == samples
    np.testing.assert_array_equal(found, read(io.BytesIO(flac))[0])


def test_many_frames_without_a_length():
    """Their numbers take two and three bytes."""
    for samples in (200 * 4096, 2100 * 4096 + 5):
        file = io.BytesIO()
        soundfile.write(file, np.zeros(samples, np.int16), 16000, format="FLAC")
        assert info(io.BytesIO(uncounted(file.getvalue()))).frames == samples


@pytest.mark.parametrize("cut", [1, 2, 100, 3000, 30000])
def test_without_a_length_what_is_cut_off_is_refused(cut):
    with pytest.raises(AudioError, match="is cut off in its last frame"):
        info(io.BytesIO(uncounted(encoded())[:-cut]))


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(1), bytes(700)])
@pytest.mark.parametrize("before", [b"", b"ID3\4\0\0\0\0\7\x68" + bytes(1000)])
def test_tags_are_no_damage(before, behind):
    flac = encoded()
    for content in (flac, uncounted(flac)):
        found, about = read(io.BytesIO(before + content + behind))
        assert about.frames == 20011
        np.testing.assert_array_equal(found, read(io.BytesIO(flac))[0])


def test_a_count_that_cannot_be_is_refused():
    """Before memory is asked for so many samples."""
    flac = encoded()
    value = int.from_bytes(flac[TOTAL], "big")
    content = flac[:18] + (value | 2**36 - 1).to_bytes(8, "big") + flac[26:]
    with pytest.raises(AudioError, match="is cut off or damaged; copy it again"):
        read(io.BytesIO(content))
