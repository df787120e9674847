import numpy as np
import pytest
from scipy.signal import group_delay
from sounds import RATE, noise, rng

from sgmse.data.degradations import MicrophoneColour
from sgmse.data.degradations.colour import minimum_phase


def gains(colour: MicrophoneColour, seed: int, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies from 20 Hz, and dB."""
    response = colour.response(rng(seed), rate).astype(float)
    frequency = np.fft.rfftfreq(len(response), 1 / rate)
    db = 20 * np.log10(np.abs(np.fft.rfft(response)))
    return frequency[frequency >= 20], db[frequency >= 20]


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_gain_stays_in_its_range_and_uses_it(rate):
    colour = MicrophoneColour(1.0, (-9.0, 4.0), roll_off=0.0)
    drawn = np.concatenate([gains(colour, seed, rate)[1] for seed in range(8)])
    assert drawn.min() > -9.1  # the response ends after 1/8 s
    assert drawn.max() < 4.1
    assert drawn.min() < -7
    assert drawn.max() > 2


def test_it_is_smooth_over_octaves():
    colour = MicrophoneColour(1.0, (-6.0, 6.0), (1.0, 1.0), roll_off=0.0)
    f, db = gains(colour, 1)
    slope = np.diff(db) / np.diff(np.log2(f))
    # A monotone cubic has at most 3 times the mean slope, 12 dB an octave.
    assert np.abs(slope[f[1:] > 100]).max() < 37
    assert np.ptp(db) > 4


def test_rolls_off_by_12_db_an_octave():
    flat = (0.0, 0.0)
    colour = MicrophoneColour(1.0, flat, roll_off=1.0, low_cut=(250, 250), high_cut=(2000, 2000))
    f, db = gains(colour, 0, 48000)

    def at(frequency: float) -> float:
        return float(np.interp(frequency, f, db))

    assert at(250) == pytest.approx(-3, abs=0.2)
    assert at(2000) == pytest.approx(-3, abs=0.2)
    assert at(60) - at(30) == pytest.approx(12, abs=0.7)
    assert at(8000) - at(16000) == pytest.approx(12, abs=0.7)
    assert at(700) == pytest.approx(0, abs=0.2)


def test_cutoffs_are_as_probable_as_they_say():
    colour = MicrophoneColour(1.0, (0.0, 0.0), roll_off=0.3, low_cut=(200, 200))
    rolled = [gains(colour, seed, 8000)[1][0] < -6 for seed in range(150)]
    assert np.mean(rolled) == pytest.approx(0.3, abs=0.15)  # 4 standard deviations


def test_minimum_phase_is_that_of_a_known_filter():
    # 1 + 0.5 z^-1 has its zero inside the unit circle
    known = np.array([1, 0.5])
    response = minimum_phase(np.abs(np.fft.rfft(known, 512)))
    np.testing.assert_allclose(response[:2], known, atol=1e-12)
    np.testing.assert_allclose(response[2:], 0, atol=1e-12)
    # and of 0.5 + z^-1 the same is made, which has the same magnitude
    np.testing.assert_allclose(
        minimum_phase(np.abs(np.fft.rfft(known[::-1], 512))), response, atol=1e-12
    )


def test_it_starts_at_once_and_does_not_delay():
    colour = MicrophoneColour(1.0, roll_off=0.0)
    impulse = np.eye(1, 4000, 1000, dtype="f")[0]
    for seed in range(4):
        out = colour(impulse, rng(seed), RATE)
        np.testing.assert_allclose(out[:1000], 0, atol=1e-6)  # fftconvolve in float32
        assert np.abs(out).argmax() == 1000
        _, delay = group_delay((colour.response(rng(seed), RATE), 1), 512)
        assert np.abs(delay.mean()) < 1  # over all frequencies a minimum phase has none


def test_it_is_linear():
    colour = MicrophoneColour(1.0)
    one, two = noise(RATE, 1), noise(RATE, 2)
    apart = colour(one, rng(), RATE) + colour(two, rng(), RATE)
    np.testing.assert_allclose(colour(one + two, rng(), RATE), apart, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: MicrophoneColour(gain=(-50.0, 0.0)), "gain"),
        (lambda: MicrophoneColour(octaves=(0.0, 1.0)), "octaves"),
        (lambda: MicrophoneColour(roll_off=1.1), "roll_off"),
        (lambda: MicrophoneColour(low_cut=(0.0, 1.0)), "low_cut"),
        (lambda: MicrophoneColour(high_cut=(2.0, 1.0)), "high_cut"),
    ],
)
def test_bad_ranges_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
