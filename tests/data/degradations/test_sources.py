import numpy as np
import pytest
from sounds import RATE, tone

from sgmse.data.degradations import Speed, active_power, add_noise


def test_active_power_leaves_pauses_out():
    speech = tone(500)
    half_silent = np.concatenate([speech, np.zeros_like(speech)])
    assert active_power(half_silent, RATE) == pytest.approx(0.5, rel=1e-4)
    assert active_power(np.zeros(100, "f"), RATE) == 0
    assert active_power(tone(500)[:7], RATE) > 0  # shorter than a frame


@pytest.mark.parametrize("snr", [-5.0, 0.0, 12.5])
def test_noise_has_the_ratio_to_the_active_speech(snr):
    rng = np.random.default_rng(0)
    speech = np.concatenate([tone(300), np.zeros(RATE, "f")])
    noise = rng.standard_normal(2 * RATE).astype("f")
    before = speech.copy()
    added = add_noise(speech, noise, snr, RATE) - speech
    ratio = 10 * np.log10(active_power(speech, RATE) / active_power(added, RATE))
    assert ratio == pytest.approx(snr, abs=1e-3)
    np.testing.assert_array_equal(speech, before)
    np.testing.assert_array_equal(add_noise(speech, 0 * noise, snr, RATE), speech)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_speed_moves_the_pitch_and_gives_the_length(factor):
    need = Speed.needs(8000, factor)
    out = Speed.apply(tone(1000, 1.5)[:need], factor, 8000)
    assert len(out) == 8000
    spectrum = np.abs(np.fft.rfft(out * np.hanning(8000)))
    assert spectrum.argmax() * RATE / 8000 == pytest.approx(1000 * factor, abs=2)  # a bin


def test_speed_is_as_probable_as_it_says():
    rng = np.random.default_rng(0)
    factors = np.array([Speed(0.3, (0.9, 1.1)).draw(rng) for _ in range(4000)])
    changed = factors[factors != 1]
    assert len(changed) / 4000 == pytest.approx(0.3, abs=0.03)  # 4 standard deviations
    assert changed.min() >= 0.9
    assert changed.max() <= 1.1


@pytest.mark.parametrize(
    ("make", "named"),
    [(lambda: Speed(1.5), "probability"), (lambda: Speed(0.5, (1.1, 0.9)), "factor")],
)
def test_bad_ranges_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
