"""Weighted spectral slope against pysepm, and its weights against the definition, band by band."""

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics import wss
from sgmse.metrics.composite import CENTRES, WIDTHS, _weights

RATE = 16000


def test_agrees_with_pysepm_on_twenty_pairs(pairs, golden):
    assert len(golden) == 20
    for name, pair in pairs.items():
        assert wss(*pair, RATE) == pytest.approx(golden[name]["wss"], abs=1e-6), name


def test_bands():
    assert len(CENTRES) == len(WIDTHS) == 25
    assert np.all(np.diff(CENTRES) > 0)
    assert np.all(np.diff(WIDTHS) >= 0)


def peak(levels: list[float], band: int) -> float:
    """The level that counts as the peak next to a band, by walking uphill."""
    top = len(levels) - 1
    if levels[band + 1] > levels[band]:
        while band < top and levels[band + 1] > levels[band]:
            band += 1
        return levels[band - 1]  # one short of the peak, as the original
    while band >= 0 and levels[band + 1] <= levels[band]:
        band -= 1
    return levels[band + 1]


def test_weights_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    levels = np.round(rng.normal(-20, 3, (200, 25)))  # with neighbours that are equal
    levels[0], levels[1], levels[2] = np.arange(25), -np.arange(25), -20
    expected = [
        [20 / (20 + row.max() - row[i]) / (1 + peak(list(row), i) - row[i]) for i in range(24)]
        for row in levels
    ]
    assert _weights(levels) == pytest.approx(np.array(expected), rel=1e-12)


def test_no_distance_for_a_perfect_estimate_at_any_level(pairs):
    s, _ = pairs["0-noisy"]
    assert wss(s, s, RATE) == 0
    assert wss(s, 0.5 * s, RATE) == pytest.approx(0, abs=1e-2)  # but for bands at the floor


def test_what_is_below_the_floor_is_silence(pairs):
    s, _ = pairs["0-noisy"]
    s = np.concatenate([s, np.zeros(RATE)])
    hum = s + 1e-9 * np.random.default_rng(0).standard_normal(len(s))
    assert wss(s, hum, RATE) < 1e-3


def test_silence_is_finite(pairs):
    s, s_hat = (signal.copy() for signal in pairs["0-noisy"])
    s[:16000] = 0
    assert np.isfinite(wss(s, s_hat, RATE))
    assert np.isfinite(wss(s_hat, s, RATE))


def test_limits(pairs):
    s, s_hat = pairs["0-noisy"]
    with pytest.raises(MetricError, match="must be 8000 Hz or 16000 Hz, not 44100 Hz"):
        wss(s, s_hat, 44100)
    with pytest.raises(MetricError, match=r"0\.037 s are too short"):
        wss(s[:599], s_hat[:599], RATE)
