"""Recordings as streams: cutting, fading and mixing change nothing that they should not."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from sgmse.audio import alongside, cut, in_segments, mixed, peaks, segments

streams = st.lists(st.integers(0, 40), min_size=1, max_size=12)


def ramp(samples: int, channels: int = 2) -> np.ndarray:
    return np.arange(1, 1 + channels * samples, dtype=np.float64).reshape(channels, samples)


def blocks_of(audio: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(audio, np.cumsum(sizes)[:-1], axis=1)


def joined(blocks) -> np.ndarray:
    """The stream as one array; one without samples may have no blocks."""
    return np.concatenate(list(blocks) or [np.empty((2, 0))], axis=1)


@pytest.mark.parametrize("length", [1, 7, 20, 100])
def test_cut_keeps_all(length):
    pieces = list(cut(ramp(20), length))
    assert all(p.shape[1] <= length for p in pieces)
    np.testing.assert_array_equal(joined(pieces), ramp(20))


def test_peaks_are_those_of_each_channel():
    audio = np.array([[0.1, -0.7, 0.2], [0, 0, 0], [0.3, 0.1, -0.2]])
    np.testing.assert_array_equal(peaks(cut(audio, 2)), [0.7, 0, 0.3])


@given(streams, st.integers(2, 30), st.data())
@settings(max_examples=100, deadline=None)
def test_segments_share_the_overlap_and_are_never_short(sizes, length, data):
    overlap = data.draw(st.integers(0, length // 2))
    audio = ramp(sum(sizes))
    pieces = list(segments(blocks_of(audio, sizes), length, overlap))
    if not sum(sizes):
        assert pieces == []
        return
    assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]
    start = 0
    for piece, last in pieces:
        np.testing.assert_array_equal(piece, audio[:, start : start + piece.shape[1]])
        assert last or piece.shape[1] == length
        start += piece.shape[1] - overlap
    assert start + overlap == audio.shape[1]
    shortest = length / 2 if len(pieces) > 1 else 1
    assert shortest <= pieces[-1][0].shape[1] <= 1.5 * length


@given(streams, st.integers(2, 30), st.data())
@settings(max_examples=100, deadline=None)
def test_what_a_process_leaves_alone_comes_out_unchanged(sizes, length, data):
    overlap = data.draw(st.integers(0, length // 2))
    audio = ramp(sum(sizes)).astype(np.float32)
    out = list(in_segments(blocks_of(audio, sizes), list, length, overlap))
    assert all(block.dtype == np.float32 for block in out)
    if sum(sizes):
        np.testing.assert_array_equal(joined(out), audio)


def test_segments_fade_into_each_other():
    """A process that answers with the number of the segment shows the weights."""
    audio = np.zeros((1, 250))

    def numbered(pieces):
        return (np.full_like(piece, i) for i, piece in enumerate(pieces))

    out = joined(in_segments([audio], numbered, 100, 20))[0]
    assert out.shape == (250,)
    assert (out[:80] == 0).all()
    assert (out[100:160] == 1).all()  # segments start at 0, 80, 160
    assert (out[180:] == 2).all()
    fade = out[80:100]
    np.testing.assert_allclose(fade + fade[::-1], 1, atol=1e-12)
    assert (np.diff(fade) > 0).all()
    np.testing.assert_allclose(out[160:180] - 1, fade, atol=1e-12)


def late(blocks):
    """Gives everything back, in other blocks, some of them empty, all of them late."""
    everything = joined(blocks)
    yield everything[:, :0]
    yield from cut(everything, 7)


@given(streams, st.sampled_from([0.0, 0.25, 1.0]))
@settings(max_examples=50, deadline=None)
def test_mixes_sample_by_sample(sizes, dry):
    audio = ramp(sum(sizes))
    out = joined(mixed(blocks_of(audio, sizes), lambda x: (-b for b in late(x)), dry))
    np.testing.assert_allclose(out, (2 * dry - 1) * audio, rtol=1e-12)


def test_what_is_alongside_holds_no_more_than_the_process_is_late():
    """An endless stream through a process without delay."""

    def endless():
        while True:
            yield np.ones((1, 10))

    stream = alongside(endless(), lambda blocks: (2 * b for b in blocks))
    for _ in range(1000):
        made, original = next(stream)
        assert (made == 2).all()
        assert (original == 1).all()
    waiting = stream.gi_frame.f_locals["waiting"]
    assert len(waiting) <= 1
