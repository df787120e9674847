import numpy as np
import pytest

from sgmse.data.degradations import NoiseFloor

RATE = 16000


def drawn(slope: float, level: float = -50.0, peak: float = 0.5) -> np.ndarray:
    """What it adds to a click."""
    click = np.zeros(2 * RATE, np.float32)
    click[100] = peak
    floor = NoiseFloor(1.0, (level, level), (slope, slope))
    return floor(click, np.random.default_rng(0), RATE) - click


@pytest.mark.parametrize("level", [-80.0, -45.0])
@pytest.mark.parametrize("peak", [0.01, 0.9])
def test_its_level_is_relative_to_the_peak(level, peak):
    rms = np.sqrt(np.mean(drawn(-3.0, level, peak) ** 2))
    assert 20 * np.log10(rms / peak) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("slope", [-6.0, 0.0, 3.0])
def test_its_spectrum_falls_by_the_slope(slope):
    power = np.abs(np.fft.rfft(drawn(slope))) ** 2
    f = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    low, high = (10 * np.log10(power[(f > c / 1.1) & (f < c * 1.1)].mean()) for c in (500, 4000))
    # means over 200 bins and more of exponential variables: 0.3 dB, and 0.1 dB
    assert (high - low) / 3 == pytest.approx(slope, abs=0.4)


def test_silence_and_one_sample_stay():
    for audio in (np.zeros(100, np.float32), np.zeros(1, np.float32)):
        assert not NoiseFloor()(audio, np.random.default_rng(0), RATE).any()
