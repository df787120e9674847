import numpy as np
import pytest
from sounds import RATE, noise, rng

from sgmse.data.degradations import NoiseGate

GATE = NoiseGate(1.0, (-30.0, -30.0), (1.0, 1.0))


def power(audio):
    return 10 * np.log10(np.mean(audio.astype(float) ** 2))


def pause(level, rate=RATE):
    """A second of noise, and one of noise at another level in dB."""
    one, two = noise(rate, 1), noise(rate, 2)
    return np.concatenate([one, (two * 10 ** (level / 20)).astype("f")])


# The loudest 40 % of the frames are the noise of the first second. The power around a place, a mean
# over neighbours that are alike, varies by some dB, and the places that are left louder weigh more:
# 1.4 dB for a slope of 1, hence the tolerance.
@pytest.mark.parametrize(
    ("level", "slope", "most", "loss"),
    [(-20, 1, 20, 0), (-40, 1, 20, 10), (-40, 0.5, 20, 5), (-60, 1, 20, 20), (-60, 1, 12, 12)],
)
@pytest.mark.parametrize("rate", [16000, 48000])
def test_what_is_below_the_threshold_is_lowered(level, slope, most, loss, rate):
    gate = NoiseGate(1.0, (-30.0, -30.0), (slope, slope), most)
    audio = pause(level, rate)
    out = gate(audio, rng(), rate)
    loud, quiet = slice(0, rate - rate // 20), slice(rate + rate // 20, None)
    assert power(out[quiet]) - power(audio[quiet]) == pytest.approx(-loss, abs=1.5)
    np.testing.assert_allclose(out[loud], audio[loud], atol=1e-3 * np.abs(audio).max())


def test_it_goes_by_frequency():
    """A tone is left, and the noise around it falls."""
    t = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * t)
    hiss = 1e-4 * noise(2 * RATE)
    out = GATE((tone + hiss).astype("f"), rng(), RATE)
    window = np.hanning(2 * RATE)  # the tone is cut off at the ends, where it has all frequencies
    rest, before = (np.abs(np.fft.rfft(window * x))[2 * 2000 :] for x in (out - tone, hiss))
    assert np.mean(rest**2) < 0.02 * np.mean(before**2)  # -20 dB is 0.01
    assert abs(np.mean(out * tone) - 0.5) < 1e-3


def test_it_goes_by_what_is_relative():
    """The level of the recording does not matter."""
    audio = pause(-45)
    np.testing.assert_allclose(
        GATE(1e-3 * audio, rng(), RATE), 1e-3 * GATE(audio, rng(), RATE), atol=1e-8
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"threshold": (-20.0, -30.0)}, "threshold must be two rising numbers"),
        ({"threshold": (0.0, 30.0)}, r"threshold must be two rising numbers in \[-100, 20\]"),
        ({"slope": (-1.0, 1.0)}, "slope must be two rising numbers"),
        ({"most": -1.0}, r"most must lie in \[0, 100\], not -1"),
        ({"probability": 2.0}, "probability"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, says):
    with pytest.raises(ValueError, match=f"NoiseGate: {says}"):
        NoiseGate(**wrong)
