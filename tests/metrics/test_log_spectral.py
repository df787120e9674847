"""Log-spectral distance against the code of the URGENT challenge, scipy's spectra, closed forms."""

import math

import numpy as np
import pytest
from scipy.signal import stft

from sgmse.errors import MetricError
from sgmse.metrics import lsd, lsd_high

RATE = 16000


def test_agrees_with_the_urgent_challenge_on_twenty_pairs(pairs, golden):
    assert len(golden) == 20
    for name, pair in pairs.items():
        assert lsd(*pair, RATE) == pytest.approx(golden[name]["lsd"], abs=1e-3), name


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_agrees_with_spectra_of_scipy(rate, pairs):
    s, s_hat = pairs["1-noisy"]
    length = 32 * rate // 1000
    options = {"nperseg": length, "boundary": "zeros", "padded": False, "scaling": "spectrum"}
    gain = length / 2  # of a periodic Hann window: scipy divides by the sum of its weights
    scaled = s_hat * np.vdot(s_hat, s) / np.vdot(s_hat, s_hat)
    S, S_hat = (np.abs(gain * stft(x, rate, **options)[2]) + 1e-8 for x in (s, scaled))
    expected = np.sqrt(np.mean(np.log(S**2 / S_hat**2 + 1e-8) ** 2, axis=0)).mean()
    assert lsd(s, s_hat, rate) == pytest.approx(expected, abs=1e-9)


def test_level_and_sign_of_a_right_estimate_do_not_count(pairs):
    s, _ = pairs["0-noisy"]
    assert lsd(s, s, RATE) == pytest.approx(0, abs=1e-7)
    assert lsd(s, -0.25 * s, RATE) == pytest.approx(0, abs=1e-4)  # the floor is not scaled


def test_a_digitally_silent_stretch_is_no_error_where_the_estimate_is_silent_too(pairs):
    s, _ = pairs["0-noisy"]
    s = np.concatenate([s, np.zeros(RATE)])
    assert lsd(s, s, RATE) == pytest.approx(0, abs=1e-7)
    click = s.copy()
    click[-100] = 1e-3
    assert 0.1 < lsd(s, click, RATE) < 1


def test_closed_form_of_two_levels():
    """White noise of which half is louder by a factor: |2 ln(g)| and |2 ln(2 g)|, half each."""
    s = np.random.default_rng(0).standard_normal(40 * RATE)
    s_hat = s * np.where(np.arange(len(s)) < len(s) // 2, 1, 2)
    g = (1 + 2) / (1 + 4)  # least squares
    expected = (abs(math.log(g)) + abs(math.log(2 * g))) * 2 / 2
    assert lsd(s, s_hat, RATE) == pytest.approx(expected, rel=1e-2)  # the halves' energies differ


def test_a_rate_without_frames(pairs):
    with pytest.raises(MetricError, match="sample rate is too low"):
        lsd(*pairs["0-noisy"], 40)


# Above 8 kHz


def two_bands(high: float) -> np.ndarray:
    """Half a second at 48 kHz: noise below 7 kHz, and noise above 9 kHz so many times as loud."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(24000))
    frequencies = np.fft.rfftfreq(24000, 1 / 48000)
    spectrum[(frequencies > 7000) & (frequencies < 9000)] = 0
    spectrum[frequencies >= 9000] *= high
    return np.fft.irfft(spectrum)


def test_the_band_above_counts_in_decibels_and_the_one_below_does_not():
    """A noise of all frequencies, half as loud: 6.02 dB; only below 8 kHz otherwise: nothing."""
    s = np.random.default_rng(0).standard_normal(24000)
    assert lsd_high(s, s, 48000) == 0
    assert lsd_high(s, s / 2, 48000) == pytest.approx(20 * math.log10(2), abs=1e-9)
    t = np.arange(24000) / 48000
    tone = s + 0.01 * np.sin(2 * np.pi * 1000 * t)
    assert lsd_high(s, tone, 48000) < 1e-3


def test_an_empty_band_is_as_far_as_the_floor():
    """80 dB below the loudest bin, and no farther; so is one that is too quiet to be heard."""
    s = two_bands(1.0)
    gone, inaudible = (lsd_high(s, two_bands(high), 48000) for high in (0.0, 1e-8))
    assert 50 < gone < 80
    assert inaudible == pytest.approx(gone, abs=0.1)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_there_must_be_a_band(rate):
    s = np.random.default_rng(0).standard_normal(rate)
    with pytest.raises(MetricError, match=f"at {rate} Hz there is nothing above 8000 Hz"):
        lsd_high(s, s, rate)
    with pytest.raises(MetricError, match="too short"):
        lsd_high(s[:100], s[:100], 48000)
