"""The level of speech is that of the input, whatever a model made of it; noise stays away."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import Gain, enhancer

from sgmse.postprocessing import Level

RATE = 16000


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of low noise with pauses, (1, samples)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    low = np.convolve(rng.standard_normal(len(t)), np.ones(16) / 4, "same")
    return (0.2 * low * (np.sin(2 * np.pi * 1.5 * t) > 0))[None]


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, samples))


def decibels(ratio: float) -> float:
    return 20 * np.log10(ratio)


@pytest.mark.parametrize(
    ("snr", "lost"), [(-5, 3.5), (-5, 0), (0, 3.2), (0, 1.9), (10, 2.2), (30, 2.4), (30, 0)]
)
def test_speech_is_as_loud_as_it_was(snr, lost):
    s = speech(5)
    n = noise(s.shape[1])
    n *= np.sqrt(np.sum(s**2) / np.sum(n**2) / 10 ** (snr / 10))
    out = Level(RATE)(10 ** (-lost / 20) * s, s + n)
    share = np.sum(out * s) / np.sum(s * s)
    assert decibels(share) == pytest.approx(0, abs=0.25)


@pytest.mark.parametrize(("kept", "most"), [(0.001, 1), (0.03, 1), (0.1, 1), (0.5, 2.7)])
def test_a_residue_of_noise_stays_one(kept, most):
    n = noise(3 * RATE)
    out = Level(RATE)(kept * n, n)
    assert decibels(np.sqrt(np.sum(out**2) / np.sum((kept * n) ** 2))) < most


def test_a_segment_without_speech_has_the_gain_of_those_before():
    s, n = speech(5), 0.05 * noise(5 * RATE)
    level = Level(RATE)
    first = level(0.7 * s, s + n)
    gain = first[0, 100] / (0.7 * s[0, 100])
    silent = level(0.02 * n, n)
    assert silent[0, 0] / (0.02 * n[0, 0]) == pytest.approx(gain, rel=0.06)
    again = level(0.7 * s, s + n)
    assert decibels(again[0, 100] / first[0, 100]) == pytest.approx(0, abs=0.05)


def test_what_is_clean_silent_or_louder_is_left_alone():
    s = speech(2)
    np.testing.assert_allclose(Level(RATE)(s, s), s, rtol=1e-12)
    np.testing.assert_array_equal(Level(RATE)(2 * s, s), 2 * s)
    zero = np.zeros((2, 1000), np.float32)
    out = Level(RATE)(zero, zero)
    np.testing.assert_array_equal(out, zero)
    assert out.dtype == np.float32
    assert Level(RATE)(zero[:, :1], zero[:, :1] + 1).shape == (2, 1)


def test_no_sample_is_raised_beyond_the_peak_of_the_recording():
    s = speech(2)
    s /= np.abs(s).max()
    clean = 0.8 * s
    clean[0, 1000] = 0.95  # an error of the model
    clean[0, 2000] = 1.05
    out = Level(RATE)(clean, s)
    assert out[0, 1000] == 1
    assert out[0, 2000] == 1.05
    assert np.sum(out[0] * s[0]) / np.sum(s**2) == pytest.approx(1, abs=5e-3)


def test_segments_are_raised_alike_and_leave_no_seam():
    quiet = replace(enhancer(Gain(0.8)), segment=0.1, overlap=0.02)
    audio = np.vstack([speech(2), noise(2 * RATE) / 8])
    out = quiet(audio, RATE)
    raised = out / audio
    assert np.abs(raised[np.abs(audio) > 0.01] - 1).max() < 0.02
    alone = quiet(audio[1], RATE)
    np.testing.assert_allclose(out[1], alone, atol=1e-6)


def test_no_channel_changes_another_and_nothing_its_arguments():
    s, n = speech(2), 0.1 * noise(2 * RATE)
    clean, noisy = np.vstack([0.7 * s, 0.001 * n]), np.vstack([s + n, n])
    before = clean.copy()
    out = Level(RATE)(clean, noisy)
    np.testing.assert_array_equal(clean, before)
    for i in range(2):
        np.testing.assert_array_equal(out[[i]], Level(RATE)(clean[[i]], noisy[[i]]))
