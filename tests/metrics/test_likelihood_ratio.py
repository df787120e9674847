"""LLR against pysepm, and its linear prediction against scipy."""

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz, toeplitz

from sgmse.errors import MetricError
from sgmse.metrics import llr
from sgmse.metrics.composite import EPSILON, WORST, lags, prediction, residual

RATE = 16000


@pytest.fixture
def frames() -> np.ndarray:
    """Five coloured frames (5, 480)."""
    noise = np.random.default_rng(0).standard_normal((5, 480))
    return np.cumsum(noise, axis=1) * np.hanning(480)


def test_agrees_with_pysepm_on_twenty_pairs(pairs, golden):
    assert len(golden) == 20
    for name, pair in pairs.items():
        assert llr(*pair, RATE) == pytest.approx(golden[name]["llr"], abs=1e-6), name


def test_autocorrelation(frames):
    r = lags(frames, 16)
    assert r.shape == (5, 17)
    assert r[2] == pytest.approx(np.correlate(frames[2], frames[2], "full")[479 : 479 + 17])


def test_prediction_solves_the_normal_equations(frames):
    r = lags(frames, 16)
    for a, row in zip(prediction(r), r, strict=True):
        assert a[0] == 1
        assert a[1:] == pytest.approx(-solve_toeplitz(row[:-1], row[1:]), rel=1e-6)


def test_residual_is_the_quadratic_form(frames):
    r = lags(frames, 16)
    a = np.random.default_rng(1).standard_normal((5, 17))
    expected = [row @ toeplitz(of) @ row for row, of in zip(a, r, strict=True)]
    assert residual(a, r) == pytest.approx(expected)
    a[:, 0] = 0
    assert (residual(prediction(r), r) < residual(prediction(r) + 1e-3 * a, r)).all()


def test_no_distance_for_a_perfect_estimate_at_any_level(pairs):
    s, _ = pairs["0-noisy"]
    assert llr(s, s, RATE) == 0
    assert llr(s, 0.01 * s, RATE) == pytest.approx(0, abs=1e-6)
    assert llr(s, s, 8000) == 0


def test_silent_stretches_have_a_finite_distance(pairs):
    s, s_hat = (signal.copy() for signal in pairs["0-noisy"])
    s[:8000] = 0
    assert 0 < llr(s, s_hat, RATE) < 40
    assert llr(s, s, RATE) == 0
    s_hat[:16000] = 0
    assert 0 < llr(s, s_hat, RATE) < 40


def test_a_frame_without_a_prediction_has_the_worst_ratio():
    """The signal is 0 after the offset that keeps silence from it: 4 of 5 frames are 0 / 0."""
    rng = np.random.default_rng(0)
    s, s_hat = rng.standard_normal((2, 480 + 5 * 120))
    s[:-240] = -EPSILON
    assert llr(s, s_hat, RATE) == pytest.approx(np.log(WORST), rel=0.25)


def test_limits(pairs):
    s, s_hat = pairs["0-noisy"]
    with pytest.raises(MetricError, match="must be 8000 Hz or 16000 Hz, not 48000 Hz"):
        llr(s, s_hat, 48000)
    with pytest.raises(MetricError, match=r"0\.037 s are too short"):
        llr(s[:599], s_hat[:599], RATE)
