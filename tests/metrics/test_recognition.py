"""What is heard of phones and words: known values, order, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.errors import MetricError
from sgmse.metrics import phone_similarity, recognition, sphinx_word_errors, sphinx_words
from sgmse.metrics.words import words

pytest.importorskip("pocketsphinx")
DATA = Path(__file__).parent.parent / "data"
RATE = 16000


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return tuple(soundfile.read(DATA / f"{name}.wav")[0][:48000] for name in ("clean", "noisy"))


@pytest.fixture(scope="module")
def heard(pair) -> list[float]:
    """The similarity with noise at gains of 0, 0.1 and 1, which tests share."""
    clean, noise = pair[0], pair[1] - pair[0]
    return [phone_similarity(clean, clean + gain * noise, RATE) for gain in (0, 0.1, 1)]


@pytest.mark.slow
def test_phones_are_lost_in_noise(heard):
    assert heard[0] == 1
    assert heard[0] > heard[1] > heard[2]


@pytest.mark.slow
def test_a_score_depends_on_no_recording_before_it(pair, heard):
    recognition.phones(0.01 * np.random.default_rng(0).standard_normal(RATE))
    assert phone_similarity(*pair, RATE) == heard[2]
    assert phone_similarity(0.1 * pair[0], 0.3 * pair[1], RATE) == pytest.approx(heard[2], abs=0.1)


def test_phones_are_those_of_the_alphabet(pair):
    found = recognition.phones(pair[0])
    assert 3 * 3 < len(found) < 3 * 20  # in 3 s
    assert all(phone.isalpha() and phone.isupper() for phone in found)
    assert "SIL" not in found


def test_other_rates_and_short_or_silent_recordings_are_refused(pair):
    with pytest.raises(MetricError, match="must be 16000 Hz, not 8000 Hz; resample"):
        phone_similarity(*pair, 8000)
    with pytest.raises(MetricError, match=r"0\.125 s are too short; .* needs 0\.25 s"):
        phone_similarity(pair[0][:2000], pair[1][:2000], RATE)
    with pytest.raises(MetricError, match="estimate is silent"):
        phone_similarity(pair[0], 0 * pair[0], RATE)
    with pytest.raises(MetricError, match="must be 16000 Hz, not 44100 Hz; resample"):
        sphinx_words(pair[0].astype(np.float32), 44100)


def test_words_of_a_voice_and_their_errors(monkeypatch, pair):
    """The decoder of words takes seconds: what it is asked is a test of its own."""
    texts = iter(["the cat sat", "the hat sat", "a hat sat"])
    monkeypatch.setattr(recognition, "sphinx_words", lambda samples, rate: next(texts))
    assert sphinx_word_errors(pair[0], pair[1], RATE) == pytest.approx(1 / 3)
    assert sphinx_word_errors("The cat sat", pair[1], RATE) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_words_are_heard(pair):
    text = words(sphinx_words(pair[0].astype(np.float32), RATE))
    assert len(text) >= 3
    assert sphinx_word_errors(pair[0], pair[0], RATE) == 0
    assert sphinx_word_errors(*pair, RATE) > 0.2
