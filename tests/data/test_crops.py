import numpy as np
import pytest
from corpora import cached_folder

from sgmse.data._crops import crop, is_silent, odds, pick

RATE = 8000


@pytest.fixture
def speech(corpus, tmp_path):
    return cached_folder(corpus / "clean", tmp_path, RATE)


def test_speech_are_drawn_by_their_length_to_a_power(speech):
    share = speech.lengths / speech.lengths.sum()
    every = np.ones(len(speech), bool)
    np.testing.assert_allclose(np.diff(odds(speech, 1.0, every), prepend=0), share)
    np.testing.assert_allclose(np.diff(odds(speech, 0.0, every), prepend=0), 1 / len(speech))
    assert odds(speech, 0.3, every)[-1] == 1
    rng, chances = np.random.default_rng(0), odds(speech, 1.0, every)
    drawn = np.bincount([pick(chances, rng) for _ in range(4000)], minlength=len(speech))
    np.testing.assert_allclose(drawn / 4000, share, atol=0.03)  # 4 standard deviations


@pytest.mark.parametrize("without", [0, 1, 3])
def test_what_is_left_out_is_never_drawn(speech, without):
    usable = np.arange(len(speech)) != without
    rng, chances = np.random.default_rng(0), odds(speech, 1.0, usable)
    assert {pick(chances, rng) for _ in range(500)} == set(np.flatnonzero(usable))
    assert pick(chances, Highest()) == np.flatnonzero(usable)[-1]


class Highest:
    """A generator that draws the largest number below 1."""

    def random(self) -> float:
        return np.nextafter(1.0, 0.0)


def test_a_crop_lies_in_its_clip(speech):
    longest = int(speech.lengths.argmax())
    whole = speech.read(longest)
    found = crop(speech, longest, 2000, np.random.default_rng(0))  # more than a pause
    windows = np.lib.stride_tricks.sliding_window_view(whole, 2000)
    places = np.flatnonzero((windows == found).all(axis=1))
    assert len(places) == 1
    starts = {crop(speech, longest, 2000, np.random.default_rng(i)).tobytes() for i in range(9)}
    assert len(starts) == 9


def test_short_speech_are_padded_or_repeated(speech):
    length = int(speech.lengths[0])
    whole = speech.read(0)
    padded = crop(speech, 0, 20000, np.random.default_rng(0))
    assert padded.shape == (20000,)
    first = int(np.flatnonzero(padded)[0])
    place = first - int(np.flatnonzero(whole)[0])
    np.testing.assert_array_equal(padded[place : place + length], whole)
    assert not padded[:place].any()
    assert not padded[place + length :].any()
    repeated = crop(speech, 0, 2 * length + 7, np.random.default_rng(0), repeat=True)
    np.testing.assert_array_equal(repeated, [*whole, *whole, *whole[:7]])


def test_silence_is_below_60_db():
    square = np.where(np.arange(100) % 2, 1, -1).astype("f")
    assert is_silent(0.9e-3 * square)
    assert not is_silent(1.1e-3 * square)
    assert is_silent(np.full(100, 0.5, "f"))  # a constant is no sound
