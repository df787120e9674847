"""Simple restorers: what they find, and what they make of it."""

import numpy as np
import pytest
from scipy.signal import lfilter

from sgmse.bench import LinearPrediction, LinearUpsampling, SplineDeclipping, SplineGaps
from sgmse.bench._restorers import Run, clipped, gaps
from sgmse.metrics import si_sdr

RATE = 16000


@pytest.fixture
def tones() -> np.ndarray:
    t = np.arange(8000) / RATE
    return sum(0.1 * np.sin(2 * np.pi * f * t + f) for f in (180, 370, 910)).astype(np.float32)


def test_what_is_clipped_is_found(tones):
    limit = 0.15
    harmed = tones.clip(-limit, limit)
    found = clipped(harmed.astype(np.float64))
    where = np.zeros(len(harmed), bool)
    for run in found:
        where[run.start : run.end] = True
    assert not where[np.abs(tones) < limit].any()
    alone = np.abs(tones) >= limit  # a single sample at the limit is one like others
    assert where[alone].mean() > 0.98


def test_gaps_are_found_and_short_ones_are_not():
    x = np.ones(1000)
    x[100:180], x[300:303], x[900:] = 0, 0, 0
    assert gaps(x, 80) == [(100, 180), (900, 1000)]


def test_a_spline_brings_peaks_back(tones):
    harmed = tones.clip(-0.15, 0.15)
    restored = SplineDeclipping().enhance(harmed, RATE)
    assert si_sdr(tones, restored, RATE) > si_sdr(tones, harmed, RATE) + 10
    kept = np.abs(tones) < 0.15
    np.testing.assert_array_equal(restored[kept], tones[kept])


def test_linear_prediction_continues_what_is_predictable(tones):
    harmed = tones.copy()
    harmed[4000:4160] = 0
    restored = LinearPrediction().enhance(harmed, RATE)
    # 10 ms of sums of sines, which a model of order 64 predicts: the error is that of learning it.
    assert si_sdr(tones[4000:4160], restored[4000:4160], RATE) > 20
    kept = np.r_[0:4000, 4160:8000]
    np.testing.assert_array_equal(restored[kept], harmed[kept])


def test_linear_prediction_is_the_least_squares_solution():
    """Janssen's gap is where the prediction error is least: no step away from it is better."""
    rng = np.random.default_rng(0)
    x = lfilter([1], [1, -1.6, 0.9], rng.standard_normal(2000))
    system = LinearPrediction(order=2)
    x[1000:1080] = 0
    filled = system.filled(x, Run(1000, 1080), rounds=1)
    full = np.convolve(x, x[::-1])[len(x) - 1 : len(x) + 2]
    full[0] *= 1 + 1e-6
    first = np.linalg.solve([[full[0], full[1]], [full[1], full[0]]], full[1:])

    def error(z: np.ndarray) -> float:
        return float((np.convolve(z, np.r_[1, -first])[2 : len(z)] ** 2).sum())

    least = error(filled)
    for n in (1000, 1040, 1079):
        for step in (-0.01, 0.01):
            other = filled.copy()
            other[n] += step
            assert error(other) > least


def test_gaps_without_a_neighbour_stay():
    x = np.full(8000, 0.1, np.float32)
    x[:400] = 0
    x[7600:] = 0
    for system in (LinearPrediction(), SplineGaps()):
        np.testing.assert_array_equal(system.enhance(x, RATE), x)


def test_pauses_stay():
    x = np.random.default_rng(0).standard_normal(16000).astype(np.float32) / 10
    x[4000:12000] = 0
    np.testing.assert_array_equal(LinearPrediction().enhance(x, RATE), x)


def test_lines_between_samples_have_images_above(tones):
    up = LinearUpsampling(8000).enhance(tones, RATE)
    spectrum = np.abs(np.fft.rfft(up * np.hanning(len(up)))) ** 2
    above = spectrum[len(spectrum) // 2 :].sum() / spectrum.sum()
    assert 1e-6 < above < 1e-2
    assert si_sdr(tones, up, RATE) > 20
