import numpy as np
import pytest
from sounds import RATE, level, noise, ratio, rng, tone

from sgmse.data.degradations import Clip, Quantise


def test_clip_cuts_at_its_level_and_nothing_else():
    audio = 0.8 * tone(100)
    before = audio.copy()
    out = Clip(1.0, (6.0, 6.0))(audio, rng(), RATE)
    limit = np.abs(audio).max() * 10 ** (-6 / 20)
    assert np.abs(out).max() == pytest.approx(limit)
    inside = np.abs(audio) <= limit
    np.testing.assert_array_equal(out[inside], audio[inside])
    np.testing.assert_array_equal(audio, before)


def test_soft_clipping_is_a_tanh_below_its_level():
    audio = 0.8 * tone(100)
    out = Clip(1.0, (20.0, 20.0), soft=1.0)(audio, rng(), RATE)
    limit = 0.08
    np.testing.assert_allclose(out, limit * np.tanh(audio / limit), rtol=1e-3, atol=1e-6)
    assert np.abs(out).max() <= limit
    assert level(out, 300) > 0.01  # odd harmonics
    assert level(out, 200) < 1e-4
    gentle = Clip(1.0, (0.0, 0.0), soft=1.0)(1e-3 * audio + tone(50, 1e-3)[0], rng(), RATE)
    assert np.isfinite(gentle).all()


def test_a_share_of_the_clipping_is_soft():
    audio = tone(100, 0.1)
    clip = Clip(1.0, (6.0, 6.0), soft=0.3)
    hard = Clip(1.0, (6.0, 6.0))(audio, rng(), RATE)
    same = np.mean([np.array_equal(clip(audio, rng(i), RATE), hard) for i in range(1000)])
    assert same == pytest.approx(0.7, abs=0.06)  # 4 standard deviations


@pytest.mark.parametrize("bits", [4.0, 8.0, 12.0])
def test_quantised_audio_has_that_many_bits(bits):
    audio = noise(RATE)
    audio /= np.abs(audio).max()
    out = Quantise(1.0, (bits, bits))(audio, rng(), RATE)
    step = 2 / 2**bits
    assert np.abs(out - audio).max() <= 0.501 * step
    np.testing.assert_allclose(out / step, np.rint(out / step), atol=1e-3)
    # an error that is uniform over a step: power step^2 / 12
    power = np.mean(audio.astype(float) ** 2)
    assert ratio(audio, out) == pytest.approx(10 * np.log10(power / (step**2 / 12)), abs=0.3)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Clip(level=(-1.0, 3.0)), "level"),
        (lambda: Clip(soft=2.0), "soft"),
        (lambda: Quantise(bits=(1.0, 3.0)), "bits"),
        (lambda: Quantise(-1.0), "probability"),
    ],
)
def test_bad_ranges_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
