"""Word error rate: normalisation, edits, and what is asked of a recogniser."""

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics import word_error_rate
from sgmse.metrics.words import edits, words

RATE = 16000
SOUND = np.linspace(-0.5, 0.5, 100)


def hears(text: str):
    return lambda samples, rate: text


# By jiwer 4.0.0: jiwer.wer(reference, hypothesis), texts already normalised.
JIWER = [
    ("the cat sat on the mat", "the cat sat on the mat", 0.0),
    ("the cat sat on the mat", "the cat sit on mat", 1 / 3),
    ("the cat sat on the mat", "", 1.0),
    ("a b c d", "b c d e", 0.5),
    ("a b c d", "d c b a", 1.0),
    ("yes", "oh yes yes it is", 4.0),
    ("a b a b a b", "b a b a b a", 1 / 3),
]


@pytest.mark.parametrize(("spoken", "heard", "rate"), JIWER)
def test_agrees_with_jiwer(spoken, heard, rate):
    assert word_error_rate(spoken, SOUND, RATE, hears(heard)) == pytest.approx(rate)


def test_edits_of_sequences():
    assert edits("kitten", "sitting") == 3
    assert edits("", "abc") == edits("abc", "") == 3
    assert edits("abc", "abc") == edits("", "") == 0
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b, c = ("".join(rng.choice(list("xyz"), rng.integers(8))) for _ in range(3))
        assert edits(a, b) == edits(b, a)
        assert edits(a, c) <= edits(a, b) + edits(b, c)
        assert abs(len(a) - len(b)) <= edits(a, b) <= max(len(a), len(b))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello,\tWORLD!\n", "hello world"),
        ("Don\u2019t \u2018quote\u2019 'me'", "don't quote me"),
        ("rock 'n' roll", "rock n roll"),
        ("well-known and/or", "well known and or"),
        ("\ufb01ne \uff21\uff22", "fine ab"),  # a ligature, full-width letters
        (
            "Gr\u00fc\u00dfe, \u041f\u0440\u0438\u0432\u0435\u0442",
            "gr\u00fc\u00dfe \u043f\u0440\u0438\u0432\u0435\u0442",
        ),
        ("cafe\u0301", "caf\u00e9"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940!", "\u0939\u093f\u0928\u094d\u0926\u0940"),  # marks
        ("... -- !?", ""),
    ],
)
def test_normalisation(text, expected):
    assert words(text) == expected.split()


def test_case_and_punctuation_do_not_count():
    assert word_error_rate("Yes, sir!", SOUND, RATE, hears("yes sir")) == 0


def test_a_recording_as_reference_is_transcribed_too():
    heard = []

    def transcribe(samples, rate):
        heard.append((samples.copy(), rate))
        return "one two three" if len(heard) == 1 else "one too three"

    assert word_error_rate(SOUND, -SOUND, RATE, transcribe) == pytest.approx(1 / 3)
    (s, rate), (s_hat, _) = heard
    assert rate == RATE
    assert s.dtype == s_hat.dtype == np.float32
    assert s == pytest.approx(SOUND)
    assert s_hat == pytest.approx(-SOUND)


def test_what_cannot_be_scored():
    with pytest.raises(MetricError, match=r"reference has no words \('--'\)"):
        word_error_rate("--", SOUND, RATE, hears("a"))
    with pytest.raises(MetricError, match="estimate is silent"):
        word_error_rate("a", 0 * SOUND, RATE, hears("a"))
    with pytest.raises(MetricError, match="differ in samples"):
        word_error_rate(SOUND[:-1], SOUND, RATE, hears("a"))
