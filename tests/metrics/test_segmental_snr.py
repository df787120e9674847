"""Segmental SNR against pysepm and closed forms."""

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics import segmental_snr

RATE = 16000


@pytest.fixture
def s() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(RATE)


def test_agrees_with_pysepm_on_twenty_pairs(pairs, golden):
    assert len(golden) == 20
    for name, pair in pairs.items():
        expected = golden[name]["segmental_snr"]
        assert segmental_snr(*pair, RATE) == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize(
    ("gain", "decibels"), [(0.9, 20), (1.1, 20), (0.0 + 1e-9, 0), (-1, -6.0206), (1 + 1e-3, 35)]
)
def test_closed_form(s, gain, decibels):
    # The noise is (1 - gain) s in every frame.
    assert segmental_snr(s, gain * s, RATE) == pytest.approx(decibels, abs=1e-4)
    assert segmental_snr(s, gain * s, 44100) == pytest.approx(decibels, abs=1e-4)


def test_limits_hold_for_each_frame(s):
    assert segmental_snr(s, s, RATE) == 35
    assert segmental_snr(s, 100 * s, RATE) == -10
    # Frames of the first half are perfect, of the second half hopeless; 4 of 129 hold both.
    half = np.where(np.arange(RATE) < RATE // 2, s, 100 * s)
    assert segmental_snr(s, half, RATE) == pytest.approx((35 - 10) / 2, abs=4 / 129 * 45)


def test_silent_frames_of_the_reference_count_as_the_lowest(s):
    s[: RATE // 2] = 0
    silent = np.mean([120 * k + 480 <= RATE // 2 for k in range(129)])
    assert segmental_snr(s, s, RATE) == pytest.approx(35 * (1 - silent) - 10 * silent, abs=0.5)


def test_too_short(s):
    with pytest.raises(MetricError, match=r"0\.020 s are too short; .* needs 0\.04 s"):
        segmental_snr(s[:320], s[:320], RATE)
