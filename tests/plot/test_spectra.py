"""What pictures of sounds are made of: the right powers at the right places, in any blocks."""

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sgmse.audio import cut
from sgmse.plot.spectra import COLUMNS, RANGE, ROWS, SHADES, decibels, envelope, picture, powers

RATE = 16000


def tone(hertz: float, seconds: float, rate: int = RATE, level: float = 1.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)[None]


def of(sound: np.ndarray, rate: int = RATE, **size: int) -> np.ndarray:
    return powers(cut(sound), sound.shape[1], rate, **size)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_is_where_it_is_and_as_loud(rate):
    power = of(tone(2000, 2.0, rate), rate, rows=10_000)
    middle = power[:, power.shape[1] // 4 : -power.shape[1] // 4]
    assert_allclose(np.argmax(middle, axis=0) * rate / round(0.032 * rate), 2000, atol=16)
    assert_allclose(middle.max(axis=0), 0.25, rtol=0.1)  # a full sine: |1/2|^2
    assert 10 * np.log10(middle.max() / np.median(middle)) > 60


def test_channels_are_averaged():
    one, other = tone(1000, 1.0), tone(3000, 1.0)
    both = of(np.concatenate([one, other]))
    assert_allclose(both, (of(one) + of(other)) / 2)


def test_blocks_do_not_matter():
    sound = np.random.default_rng(0).normal(size=(2, 20_011))
    whole = of(sound)
    for length in (1, 7, 500, 4096):
        if length > 1 or sound.shape[1] < 3000:
            assert_allclose(powers(cut(sound, length), sound.shape[1], RATE), whole)
    assert_allclose(powers(cut(sound[:, :2000], 1), 2000, RATE), of(sound[:, :2000]))


@pytest.mark.parametrize("samples", [1, 16, 4800, 16 * 10_000, 16 * 60_000 + 7])
def test_the_size_is_bounded(samples):
    noise = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    power = of(noise)
    assert 1 <= power.shape[1] <= COLUMNS + 1
    assert power.shape[0] <= ROWS
    assert np.isfinite(power).all()
    assert samples < 16 * 10_000 or power.shape[1] > COLUMNS - 3


def test_of_a_long_recording_nothing_is_passed_over():
    """A click anywhere is seen, at its time; the power of noise does not depend on the length."""
    seconds = 60
    for at in (7.003, 31.77):
        sound = np.zeros((1, seconds * RATE))
        sound[0, round(at * RATE)] = 1.0
        power = of(sound).sum(axis=0)
        assert np.argmax(power) == pytest.approx(at / seconds * len(power), abs=1.5)
        assert power.max() > 0
    noise = np.random.default_rng(0).normal(size=(1, seconds * RATE))
    assert of(noise).mean() == pytest.approx(of(noise[:, : 5 * RATE]).mean(), rel=0.03)


def test_envelopes_hold_every_sample():
    sound = np.random.default_rng(0).normal(size=(2, 10_000))
    sound[1, 777] = 9.0
    for length in (13, 100_000):
        low, high = envelope(cut(sound, length), 10_000, columns=100)
        assert_allclose(low, sound.reshape(2, 100, 100).min(axis=(0, 2)))
        assert_allclose(high, sound.reshape(2, 100, 100).max(axis=(0, 2)))
    low, high = envelope(cut(sound[:, :3]), 3, columns=100)
    assert_allclose(high, sound[:, :3].max(axis=0))


def test_decibels():
    assert_allclose(decibels(np.array([1.0, 0.1, 0.0]), 0.1), [10, 0, -290], atol=10.1)
    assert_allclose(decibels(np.array([1.0, 0.01]), 1.0), [0, -20])
    assert np.isfinite(decibels(np.zeros(3), 0.0)).all()


def test_pictures_are_of_one_pixel_a_value_and_linear_in_decibels():
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    steps = 10 ** (-np.array([[0.0, 20.0, 40.0, 60.0], [80.0, 100.0, 0.0, 40.0]]) / 10)
    with image.open(io.BytesIO(picture(steps, 1.0))) as made:
        shades = np.asarray(made)[::-1]  # row 0 is the lowest
    wanted = np.clip(1 - np.array([[0, 20, 40, 60], [80, 100, 0, 40]]) / RANGE, 0, 1)
    assert_allclose(shades, np.round(wanted * (SHADES - 1)))
    assert not np.asarray(image.open(io.BytesIO(picture(np.zeros((4, 4)), 1.0)))).any()
