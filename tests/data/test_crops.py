import numpy as np
import pytest

from sgmse.data.cache import cached
from sgmse.data.crops import crop, odds, pick

RATE = 8000


@pytest.fixture
def clips(corpus, tmp_path):
    return cached(corpus / "clean", tmp_path, RATE)


def test_clips_are_drawn_by_their_length_to_a_power(clips):
    share = clips.lengths / clips.lengths.sum()
    np.testing.assert_allclose(np.diff(odds(clips, 1.0), prepend=0), share)
    np.testing.assert_allclose(np.diff(odds(clips, 0.0), prepend=0), 1 / len(clips))
    assert odds(clips, 0.3)[-1] == 1
    rng = np.random.default_rng(0)
    drawn = np.bincount([pick(odds(clips, 1.0), rng) for _ in range(4000)], minlength=len(clips))
    np.testing.assert_allclose(drawn / 4000, share, atol=0.03)  # 4 standard deviations


def test_a_crop_lies_in_its_clip(clips):
    longest = int(clips.lengths.argmax())
    whole = clips.read(longest)
    found = crop(clips, longest, 2000, np.random.default_rng(0))  # more than a pause
    windows = np.lib.stride_tricks.sliding_window_view(whole, 2000)
    places = np.flatnonzero((windows == found).all(axis=1))
    assert len(places) == 1
    starts = {crop(clips, longest, 2000, np.random.default_rng(i)).tobytes() for i in range(9)}
    assert len(starts) == 9


def test_short_clips_are_padded_or_repeated(clips):
    length = int(clips.lengths[0])
    whole = clips.read(0)
    padded = crop(clips, 0, 20000, np.random.default_rng(0))
    assert padded.shape == (20000,)
    first = int(np.flatnonzero(padded)[0])
    place = first - int(np.flatnonzero(whole)[0])
    np.testing.assert_array_equal(padded[place : place + length], whole)
    assert not padded[:place].any()
    assert not padded[place + length :].any()
    repeated = crop(clips, 0, 2 * length + 7, np.random.default_rng(0), repeat=True)
    np.testing.assert_array_equal(repeated, [*whole, *whole, *whole[:7]])
